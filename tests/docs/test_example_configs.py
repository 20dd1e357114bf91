"""config/: the examples pass their programs' own checks, and their comments tell the truth."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.docs.markdown import ROOT

from gridtokenx_backend.config.settings import load_settings
from gridtokenx_backend.config.terms_file import load_terms
from gridtokenx_edge.config.config_check import load_config

CONFIG = ROOT / "config"
# What a comment cannot show as a default: files that only TLS needs, and what the machine decides.
_NOT_DEFAULTS = {"ca", "cert", "key", "verify_workers"}
_COMMENTED_KEY = re.compile(r"^( *)# ([a-z_]+)( = .*)$")
_COMMENTED_TABLE = re.compile(r"^# (\[[a-z_]+\].*)$")


@pytest.mark.parametrize("command", ["gridtokenx_edge", "gridtokenx_backend"])
def test_the_examples_pass_check_config(command: str) -> None:
    name = "edge" if command == "gridtokenx_edge" else "backend"
    config = str(CONFIG / f"{name}.toml")
    done = subprocess.run(
        [sys.executable, "-m", command, "check-config", "--config", config],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{name}.toml: ok" in done.stdout


@pytest.mark.parametrize(
    ("name", "load"),
    [
        ("edge.toml", load_config),
        ("backend.toml", lambda path: load_settings(path).backend),
        ("community.toml", load_terms),
    ],
)
def test_what_is_commented_out_is_the_default(
    name: str, load: Callable[[Path], Any], tmp_path: Path
) -> None:
    text = (CONFIG / name).read_text()
    everything = tmp_path / name
    lines = text.splitlines()
    everything.write_text("\n".join(map(uncommented, lines)) + "\n")
    assert sum(uncommented(line) != line for line in lines) >= 5
    with_comments = msgspec.structs.asdict(load(everything))
    assert with_comments == msgspec.structs.asdict(load(CONFIG / name))


def uncommented(line: str) -> str:
    if table := _COMMENTED_TABLE.match(line):
        return table[1]
    key = _COMMENTED_KEY.match(line)
    return f"{key[1]}{key[2]}{key[3]}" if key and key[2] not in _NOT_DEFAULTS else line


def test_the_examples_fit_together() -> None:
    edge = load_config(CONFIG / "edge.toml")
    terms = load_terms(CONFIG / "community.toml")
    assert edge.site.community == terms.community.name
    polled = {meter.id for bus in edge.bus for meter in bus.meter}
    assert polled == {meter.id for meter in terms.meter}
