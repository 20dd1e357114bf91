"""Keys that systemd hands over: `credential:NAME` in place of a file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gridtokenx_edge.config.config_check import load_config
from gridtokenx_edge.config.credentials import secret_path
from gridtokenx_edge.config.edge_config import resolve_paths
from gridtokenx_wire.errors import KeyFileError
from gridtokenx_wire.keys import create_private_key, load_private_key


@pytest.mark.parametrize(
    ("name", "environ", "path"),
    [
        ("edge.key", {}, "/etc/gridtokenx/edge.key"),
        ("/srv/edge.key", {}, "/srv/edge.key"),
        ("credential:edge.key", {"CREDENTIALS_DIRECTORY": "/run/c"}, "/run/c/edge.key"),
        ("credential:edge.key", {}, "/run/credentials/gridtokenx-edge.service/edge.key"),
    ],
)
def test_a_name_is_a_file_or_a_credential(name: str, environ: dict[str, str], path: str) -> None:
    assert secret_path(Path("/etc/gridtokenx"), name, environ) == Path(path)


@pytest.mark.parametrize("name", ["credential:", "credential:..", "credential:a/b"])
def test_a_credential_has_a_plain_name(name: str, site: Any, meters: Any) -> None:
    site.config.write_text(CONFIG.replace("credential:edge.key", name))
    done = check(site.config)
    assert done.returncode == 2
    assert "device.key: expected credential: and a name without /" in done.stderr


CONFIG = """
site = {community = "lane"}
device = {key = "credential:edge.key", outbox = "outbox.db"}
backend = {ack_key = "FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z"}
broker = {host = "b", ca = "ca.pem", cert = "edge.pem", key = "credential:edge-tls.key"}
[[bus]]
name = "hall"
kind = "tcp"
host = "127.0.0.1"
port = 1
[[bus.meter]]
id = "ABB-1"
profile = "abb_b23"
address = 1
"""


def check(config: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gridtokenx_edge", "check-config", "--config", str(config)]
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environ},
    )


def test_what_only_the_service_sees_is_checked_only_there(site: Any) -> None:
    site.config.write_text(CONFIG)
    for name in ("ca.pem", "edge.pem"):
        (site.folder / name).write_text("")
    assert check(site.config).returncode == 0
    inside = check(site.config, CREDENTIALS_DIRECTORY=str(site.folder))
    assert inside.returncode == 2
    assert f"expected a file, found none at {site.folder}/edge-tls.key" in inside.stderr


async def test_the_agent_signs_with_the_key_that_it_is_handed(
    meters: Any, site: Any, broker: Any, backend: Any, ack_key: str, wait_until: Any, tmp_path: Path
) -> None:
    handed = tmp_path / "handed"
    handed.mkdir()
    (tmp_path / "edge.key").rename(handed / "edge.key")
    # As systemd leaves it: root's, and readable for one user by an access list.
    (handed / "edge.key").chmod(0o440)
    async with meters.serve(meters.tcp(meters.meter("abb_b23", 1))) as running:
        site.write(running, ack_key, broker.port)
        text = site.config.read_text()
        site.config.write_text(text.replace('"edge.key"', '"credential:edge.key"'))
        site.start(env={**os.environ, "CREDENTIALS_DIRECTORY": str(handed)})
        await wait_until(lambda: backend.readings)


async def test_a_key_that_was_not_handed_over_is_one_line(
    meters: Any, site: Any, wait_until: Any, tmp_path: Path
) -> None:
    tls = 'ca = "ca.pem", cert = "edge.pem", key = "credential:edge-tls.key"'
    site.config.write_text(CONFIG.replace(tls, "insecure = true"))
    agent = site.start(env={**os.environ, "CREDENTIALS_DIRECTORY": str(tmp_path)})
    await wait_until(lambda: agent.poll() is not None)
    assert agent.returncode == 2
    (line,) = (site.folder / "edge.log").read_text().splitlines()
    assert line == f"{tmp_path}/edge.key: cannot be read: No such file or directory"


def test_the_key_command_makes_none_where_systemd_would_hand_one_over(site: Any) -> None:
    site.config.write_text(CONFIG)
    command = [sys.executable, "-m", "gridtokenx_edge", "key", "--config", str(site.config)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "device.key: expected a file for this command" in line
    assert "systemd-creds encrypt" in line


def test_others_may_still_not_read_it(tmp_path: Path) -> None:
    path = tmp_path / "edge.key"
    create_private_key(path)
    for mode, is_credential in ((0o440, False), (0o444, True), (0o460, True)):
        path.chmod(mode)
        with pytest.raises(KeyFileError, match="expected mode 0600"):
            load_private_key(path, is_credential=is_credential)
    path.chmod(0o440)
    load_private_key(path, is_credential=True)


def test_the_paths_say_that_the_key_is_a_credential(site: Any) -> None:
    site.config.write_text(CONFIG)
    for name in ("ca.pem", "edge.pem"):
        (site.folder / name).write_text("")
    config = load_config(site.config)
    assert resolve_paths(config, site.config).is_key_credential
