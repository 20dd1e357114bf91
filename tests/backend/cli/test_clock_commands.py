"""`gridtokenx-backend clock` against a backend whose clock was a day ahead, and is right again."""

from __future__ import annotations

import json
from pathlib import Path

from bench.rig.community import BackendProcess
from bench.rig.processes import free_port
from tests.backend.commands import Command
from tests.backend.running import write_configs
from tests.backend.village import Village

DAY_MS = 86_400_000


def test_a_day_that_got_into_the_journal_is_set_back_by_a_command(
    tmp_path: Path, command: Command
) -> None:
    config = write_configs(tmp_path, Village().document, free_port())
    right = config.read_text()
    config.write_text(right + f"[clock]\noffset_ms = {DAY_MS}\n")
    (tmp_path / "data").mkdir(mode=0o700)
    with BackendProcess(tmp_path, config) as backend:
        where = ("--config", str(config), "--api", backend.ready(60)["api"])
        assert "The clock is believed." in command("clock", "show", *where).out
    config.write_text(right)
    with BackendProcess(tmp_path, config) as backend:
        api = backend.ready(60)["api"]
        where = ("--config", str(config), "--api", api)
        found = json.loads(command("clock", "show", *where, "--json").out)
        assert found["doubt"] == "behind_journal"
        assert "behind the journal's newest entry" in command("clock", "show", *where).out
        refused = command("market", "halt", "--reason", "a test", *where)
        assert refused.status != 0
        assert "the clock is in doubt" in refused.err
        refused = command("clock", "confirm", "--reason", "\x07", *where)
        assert "reason: expected" in refused.err
        done = json.loads(
            command("clock", "confirm", "--reason", "by the radio", *where, "--json").out
        )
        assert DAY_MS - 120_000 < done["from_ms"] - done["to_ms"] <= DAY_MS
        assert json.loads(command("clock", "show", *where, "--json").out)["doubt"] == ""
        assert command("market", "halt", "--reason", "a test", *where).status == 0
    assert command("replay", "--verify", "--config", str(config)).status == 0
