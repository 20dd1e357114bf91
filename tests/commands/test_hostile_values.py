"""Every command, with every value that a person, a script or a terminal may bring: one line, no
traceback.
"""

from __future__ import annotations

import enum
import http.server
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer.main

from gridtokenx_client.wallet import Wallet

VALUES = [
    "",
    " ",
    "-",
    "-1",
    "0",
    "inf",
    "nan",
    "1e400",
    "9" * 400,
    "1_000",
    "0001-01-01",
    "9999-12-31",
    "9999-12",
    "2026-02-30",
    "[/] x",
    "\x1b[31m\u202e",
    "\udcff",  # what Python makes of an argument that is no UTF-8
    ".",
    "a\nb",
]
PROGRAMS = ["gridtokenx_client", "gridtokenx_backend", "gridtokenx_edge", "gridtokenx_sim"]
# These begin to work for good wherever all they are given is right.
ENDLESS = {("gridtokenx_sim", "demo"), ("gridtokenx_sim", "broker")}


class NotACommunity(http.server.BaseHTTPRequestHandler):
    """Some server that knows its health and nothing else."""

    def do_GET(self) -> None:
        health = {"status": "ok", "community": "x", "time_ms": time.time_ns() // 10**6}
        found = self.path == "/v1/health"
        body = json.dumps(health | {"entries": 0, "time_zone": "UTC"} if found else {}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(name="api", scope="module")
def _api() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), NotACommunity) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: str) -> None:
    """Work in a folder with a key and a server's config."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDTOKENX_API", api)
    monkeypatch.setenv("COLUMNS", "80")
    Wallet.create(tmp_path / "a.key")
    (tmp_path / "operator.token").write_text("t" * 40)


def commands(program: str) -> Iterator[tuple[list[str], Any]]:
    """Every command of a program with the words that name it."""
    app = import_module(f"{program}.__main__").app
    found = [([], typer.main.get_command(app))]
    while found:
        words, command = found.pop()
        inner = getattr(command, "commands", {})
        found += [([*words, name], each) for name, each in inner.items()]
        if not inner or command.invoke_without_command:
            yield words, command


def plausible(parameter: Any, api: str) -> str:
    """A value that lets a command get as far as it can without a server or a meter."""
    name = parameter.name or ""
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return str(next(iter(kind)).value)
    known = {"key": "a.key", "api": api, "url": api, "kwh": "1", "price": "0.1", "month": "2026-06"}
    return known.get(name, "1" if kind in (int, float) else "missing")


def arguments(command: Any, changed: Any, value: str, api: str) -> list[str]:
    """What is required, and the changed parameter with its value."""
    options: list[str] = []
    positional: list[str] = []
    for each in command.params:
        if each is not changed and not each.required and each.name not in {"key", "api"}:
            continue
        given = value if each is changed else plausible(each, api)
        if each.param_type_name == "option":
            options += [f"{each.opts[0]}={given}"]
        else:
            positional.append(given)
    return [*options, "--", *positional]


def takes_value(parameter: Any) -> bool:
    return parameter.type_descriptor.annotation is not bool and parameter.name not in {
        "help",
        "version",
    }


def run(program: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the exit code; anything but SystemExit is a traceback."""
    monkeypatch.setattr(sys, "argv", [program, *words])
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(SystemExit) as end:
        import_module(f"{program}.__main__").main()
    return end.value.code


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_value_of_any_option_brings_a_traceback(
    program: str, api: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = 0
    known = set()
    for words, command in commands(program):
        if (program, words[-1] if words else "") in ENDLESS:
            continue
        for parameter in filter(takes_value, command.params):
            if (option := (parameter.name, parameter.help)) in known:
                continue  # one that several commands share
            known.add(option)
            for value in VALUES:
                line = [*words, *arguments(command, parameter, value, api)]
                try:
                    code = run(program, line, monkeypatch)
                except (Exception, pytest.fail.Exception) as error:
                    raise AssertionError(f"{line}: {error!r}") from error
                said = capsys.readouterr()
                assert "Traceback" not in said.out + said.err, line
                assert code in (0, 1, 2, 3, 4, 5, None), (line, code)
                assert not code or said.err or said.out, f"{line} fails without a word"
                tried += 1
    assert tried > len(VALUES)


@pytest.mark.parametrize("seconds", ["inf", "nan", "-1", "1e30", "1e-9"])
def test_an_order_rests_for_a_time_that_can_be_told(
    seconds: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    order = ["order", "place", "buy", "1", "--price", "0.1", "--key", "a.key"]
    assert run("gridtokenx_client", [*order, f"--for-s={seconds}"], monkeypatch) == 2
    assert "--for-s" in capsys.readouterr().err


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_without_our_characters_gets_others(program: str, encoding: str) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", program, "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"--help" in done.stdout


@pytest.mark.parametrize("words", [["wallet", "address", "--key", "a.key"], ["--help"]])
def test_a_reader_that_has_enough_of_the_output_brings_no_traceback(words: list[str]) -> None:
    command = [sys.executable, "-m", "gridtokenx_client", *words]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(writer)
    assert done.stderr == b""
