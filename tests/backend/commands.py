"""`gridtokenx-backend`, run in this process as its console script runs it."""

from __future__ import annotations

import sys
from typing import NamedTuple

import pytest

from gridtokenx_backend.__main__ import main


class Ran(NamedTuple):
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.err.splitlines()


class Command:
    """Runs the command with arguments."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Ran:
        self._monkeypatch.setattr(sys, "argv", ["gridtokenx-backend", *arguments])
        self._capsys.readouterr()
        try:
            main()
            status = 0
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
        out, err = self._capsys.readouterr()
        return Ran(status=status, out=out, err=err)
