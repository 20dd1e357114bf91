"""Files of tokens: one that is empty or can be guessed lets nobody in, and nothing starts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from bench.rig.processes import free_port
from tests.backend.commands import Command
from tests.backend.parts import journal_at
from tests.backend.running import write_configs
from tests.backend.serving import TOKEN, api_on
from tests.backend.village import Village

from gridtokenx_backend import server
from gridtokenx_backend.config.data_folder import prepare_data_folder
from gridtokenx_backend.config.settings import Settings, load_settings
from gridtokenx_wire.errors import KeyFileError
from gridtokenx_wire.keys import read_token

WEAK = {
    "": "expected a token of at least 32 characters, got 0",
    "\n": "expected a token of at least 32 characters, got 0",
    "x": "expected a token of at least 32 characters, got 1",
    "x" * 31: "expected a token of at least 32 characters, got 31",
    "x" * 20 + " " + "y" * 20: "expected one line of letters, digits and -._~+/=",
    "x" * 20 + "\n" + "y" * 20: "expected one line of letters, digits and -._~+/=",
    "\N{SNOWMAN}" * 40: "expected one line of letters, digits and -._~+/=",
}


@pytest.fixture(name="settings")
def _settings(tmp_path: Path) -> Settings:
    settings = load_settings(write_configs(tmp_path, Village().document, free_port()))
    prepare_data_folder(settings)
    return settings


@pytest.mark.parametrize("token", WEAK)
@pytest.mark.parametrize("name", ["operator.token", "metrics.token"])
def test_a_start_refuses_a_token_that_can_be_guessed(
    settings: Settings, command: Command, token: str, name: str
) -> None:
    path = settings.data / name
    path.write_text(token)
    said = f"{path}: {WEAK[token]}"
    with pytest.raises(KeyFileError) as refusal:
        asyncio.run(server.run(settings, lambda _: None))
    assert str(refusal.value) == said
    ran = command("check-config", "-c", str(settings.folder / "backend.toml"))
    assert (ran.status, ran.err) == (2, said + "\n")


def test_a_token_that_a_start_makes_is_one(settings: Settings, command: Command) -> None:
    assert len(read_token(settings.operator_token)) == 43
    assert read_token(settings.operator_token) != read_token(settings.metrics_token)
    ran = command("check-config", "-c", str(settings.folder / "backend.toml"))
    assert ran.status == 0, ran.err


@pytest.mark.parametrize("shown", ["Bearer ", "Bearer", "", "Basic ", f"Bearer {TOKEN[:-1]}"])
async def test_an_empty_credential_is_nobodys(tmp_path: Path, shown: str) -> None:
    async with journal_at(tmp_path / "journal.db") as journal, api_on(journal, Village()) as api:
        object.__setattr__(api.backend, "operator_token", "")
        assert api.backend.metrics_token == ""
        for path in ("/v1/devices", "/metrics", "/v1/periods"):
            headers = {"Authorization": shown}
            assert (await api.get(path, headers=headers)).status_code == 401
