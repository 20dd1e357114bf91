"""The command: key, replay, run; what it refuses, in one line and with exit code 2."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from bench.rig.community import BackendProcess
from bench.rig.processes import Process, free_port, python
from tests.backend.commands import Command
from tests.backend.replay.test_replay import life, write
from tests.backend.running import write_configs
from tests.backend.village import Village

from gridtokenx_backend.config.data_folder import prepare_data_folder
from gridtokenx_backend.config.settings import load_settings
from gridtokenx_wire.keys import load_private_key, parse_public_key, public_key_text


@pytest.fixture(name="config")
def _config(tmp_path: Path) -> Path:
    """The config of a backend without a broker."""
    return write_configs(tmp_path, Village().document, free_port())


# --- help, key ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["run", "check-config", "key", "replay"])
def test_every_commands_help_shows_an_example(command: Command, name: str) -> None:
    ran = command(name, "--help")
    assert ran.status == 0
    assert f"Example: gridtokenx-backend {name}" in ran.out


@pytest.mark.parametrize("arguments", [["fly"], ["run", "--fast"], ["replay", "extra"]])
def test_what_is_no_command_is_refused_in_one_line(command: Command, arguments: list[str]) -> None:
    ran = command(*arguments)
    assert (ran.status, ran.out, len(ran.lines)) == (2, "", 1)


def test_no_command_shows_the_help(command: Command) -> None:
    ran = command()
    assert ran.status == 2
    assert "check-config" in ran.out + ran.err


def test_key_makes_what_is_missing_and_prints_what_gateways_pin(
    tmp_path: Path, config: Path, command: Command
) -> None:
    ran = command("key", "-c", str(config))
    assert (ran.status, ran.err) == (0, "")
    data = tmp_path / "data"
    pinned = public_key_text(load_private_key(data / "ack.key").public_key())
    assert ran.out == f"{pinned}\n"
    assert len(parse_public_key(pinned)) == 32
    assert command("key", "-c", str(config)).out == f"{pinned}\n"
    assert json.loads(command("key", "-c", str(config), "--json").out) == {"ack_key": pinned}
    modes = {path.name: path.stat().st_mode & 0o777 for path in (data, *data.iterdir())}
    private = ("ack.key", "operator.token", "metrics.token")
    assert modes == {"data": 0o700} | dict.fromkeys(private, 0o600)


@pytest.mark.parametrize("name", ["key", "run"])
def test_a_key_that_others_can_read_is_refused(
    tmp_path: Path, config: Path, command: Command, name: str
) -> None:
    command("key", "-c", str(config))
    path = tmp_path / "data" / "ack.key"
    path.chmod(0o640)
    ran = run_in_vain(config) if name == "run" else command(name, "-c", str(config))[::2]
    said = f"{path}: expected mode 0600, got 0640; run: chmod 600 {path}\n"
    assert ran == (2, said)


def test_a_data_folder_that_is_a_file_is_refused(
    tmp_path: Path, config: Path, command: Command
) -> None:
    (tmp_path / "data").write_text("")
    ran = command("key", "-c", str(config))
    assert ran == (2, "", f"{tmp_path}/data: cannot be made: File exists\n")


# --- replay -------------------------------------------------------------------------------------


@pytest.fixture(name="journal")
def _journal(tmp_path: Path, config: Path) -> Path:
    """A short journal: eight entries, five of them signed."""
    prepare_data_folder(load_settings(config))
    path = tmp_path / "data" / "journal.db"
    asyncio.run(write(path, life(), snapshot_every=5))
    return path


def test_replay_prints_the_digest_of_the_state(
    config: Path, journal: Path, command: Command
) -> None:
    plain = json.loads(command("replay", "-c", str(config), "--json").out)
    verified = json.loads(command("replay", "-c", str(config), "--verify", "--json").out)
    assert plain == {"entries": 8, "digest": verified["digest"], "verified": "no"}
    assert verified == {
        "entries": 8,
        "digest": plain["digest"],
        "signatures_checked": 5,
        "snapshots_checked": 1,
        "intervals_checked": 0,
        "verified": "yes",
    }
    ran = command("replay", "-c", str(config), "--verify")
    assert plain["digest"] in ran.out
    assert ran.err.strip() == ""


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE journal SET at_ms = at_ms - 1 WHERE seq = 4", "entry 4: its at_ms is not that"),
        ("UPDATE journal SET input = x'00' WHERE seq = 3", "entry 3: its salt, input or outcome"),
        ("DELETE FROM journal WHERE seq = 2", "entry 2: missing"),
        ("DELETE FROM journal", "snapshot 5: the journal ends at entry 0"),
        ("DROP TABLE snapshot", "no such table: snapshot"),
    ],
)
def test_a_tampered_journal_is_refused_in_one_line(
    config: Path, journal: Path, command: Command, statement: str, said: str
) -> None:
    with closing(sqlite3.connect(journal)) as database, database:
        database.execute(statement)
    ran = command("replay", "-c", str(config), "--verify")
    lines = [line for line in ran.lines if line.strip()]
    assert (ran.status, ran.out, len(lines)) == (2, "", 1), ran
    assert lines[0].startswith(said)


def test_a_tampered_journal_is_not_run(config: Path, journal: Path) -> None:
    with closing(sqlite3.connect(journal)) as database, database:
        database.execute("UPDATE journal SET salt = x'00' WHERE seq = 7")
    status, err = run_in_vain(config)
    assert status == 2
    assert err == "entry 7: its salt, input or outcome is not what its leaf commits to\n"


def test_without_a_journal_there_is_nothing_to_replay(
    tmp_path: Path, config: Path, command: Command
) -> None:
    ran = command("replay", "-c", str(config))
    assert (ran.status, ran.out, len(ran.lines)) == (2, "", 1)
    assert ran.err.startswith(f"{tmp_path}/data/journal.db: expected a journal: ")
    assert not (tmp_path / "data" / "journal.db").exists()


# --- run ----------------------------------------------------------------------------------------


def run_in_vain(config: Path) -> tuple[int, str]:
    """Start a backend that cannot start; return its exit code, and stderr without the log."""
    ran = subprocess.run(
        python("gridtokenx_backend", "run", "--config", str(config)),
        capture_output=True,
        timeout=30,
        check=False,
        text=True,
    )
    assert ran.stdout == ""
    lines = ran.stderr.splitlines(keepends=True)
    return ran.returncode, "".join(line for line in lines if not line.startswith("{"))


@pytest.fixture(name="running")
def _running(tmp_path: Path, config: Path) -> Iterator[BackendProcess]:
    with BackendProcess(tmp_path, config) as backend:
        assert isinstance(backend, BackendProcess)
        yield backend


def test_a_backend_serves_keeps_a_second_one_away_and_stops_cleanly(
    tmp_path: Path, running: BackendProcess, config: Path
) -> None:
    ready = running.ready(60)
    assert ready.keys() == {"ready", "api"}
    health = httpx.get(f"{ready['api']}/v1/health").json()
    assert (health["status"], health["broker"]) == ("ok", "disconnected")
    headers = {"Authorization": f"Bearer {running.operator_token()}"}
    assert httpx.get(f"{ready['api']}/v1/devices", headers=headers).status_code == 200
    said = f"{tmp_path}/data: another backend is running on this data\n"
    assert run_in_vain(config) == (2, said)
    assert running.stop() == 0
    log = [json.loads(line) for line in running.stderr.read_text().splitlines()]
    assert log[-1]["event"] == "stopped"


def test_a_port_that_is_taken_is_refused(tmp_path: Path, config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config.write_text(config.read_text().replace("[api]\nport = 0", f"[api]\nport = {port}"))
        status, err = run_in_vain(config)
    assert status == 2
    assert err.startswith(f"api: 127.0.0.1:{port}: Address already in use")
    assert err.count("\n") == 1


def test_a_journal_of_another_community_is_refused(
    tmp_path: Path, config: Path, journal: Path
) -> None:
    community = tmp_path / "community.toml"
    community.write_text(community.read_text().replace('"lane"', '"street"'))
    said = f"{community}: expected the community 'lane', whose journal this is, got 'street'\n"
    assert run_in_vain(config) == (2, said)


def test_certificates_that_cannot_be_read_are_refused(config: Path) -> None:
    files = "".join(f'{each} = "{each}.pem"\n' for each in ("ca", "cert", "key"))
    config.write_text(config.read_text().replace("insecure = true\n", files))
    status, err = run_in_vain(config)
    assert status == 2
    for name, line in zip(("ca", "cert", "key"), err.splitlines(), strict=True):
        assert f"broker.{name}: expected a file, found none at " in line


def test_ctrl_c_stops_it_with_everything_saved(running: BackendProcess) -> None:
    running.ready(60)
    os.kill(running.pid, signal.SIGINT)
    assert Process.stop(running) == 0
    with closing(sqlite3.connect(running.data / "journal.db")) as database:
        (seq,) = database.execute("SELECT max(seq) FROM snapshot").fetchone()
        (last,) = database.execute("SELECT max(seq) FROM journal").fetchone()
    assert seq == last >= 1
