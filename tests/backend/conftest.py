"""Settings that all of the backend's tests share."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from tests.backend.commands import Command
from tests.backend.village import Village

# The machine is shared: an example may be slow without being wrong. pytest bounds each test.
settings.register_profile("shared machine", deadline=None)
settings.register_profile(
    "whole core",
    parent=settings.get_profile("shared machine"),
    max_examples=50,
    stateful_step_count=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("shared machine")


@pytest.fixture
def village() -> Village:
    """Anna and ben with a gateway and a meter each, cleo without; 1000 GRX for everyone."""
    return Village()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The console script of the backend."""
    return Command(monkeypatch, capsys)
