"""Which secrets a push line needs: those that open its messages, never a password."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from tests.edge.dlms.dlms_meter import KEYS
from tests.edge.dlms.test_dlms_push import Sink

from gridtokenx_edge.config.config_check import load_config
from gridtokenx_edge.config.dlms_config import DlmsPush
from gridtokenx_edge.dlms.listener import Listener
from gridtokenx_edge.dlms.meter_access import DlmsFiles
from gridtokenx_edge.meters.dlms import dlms_names, load_dlms
from gridtokenx_edge.polling.driver import MeterUnusableError
from gridtokenx_wire.clock import SystemClock
from gridtokenx_wire.errors import ConfigError

PUSHING = [name for name in dlms_names() if load_dlms(name).push]
CONFIG = """
[site]
community = "lane"
[device]
key = "device.key"
outbox = "outbox.db"
[backend]
ack_key = "4zvwRjXUKGfvwnParsHAS3HuSVzV5cA4McphgmoCtajS"
[broker]
host = "127.0.0.1"
insecure = true
[[dlms]]
name = "han"
kind = "push"
port = "/dev/ttyUSB0"
[[dlms.meter]]
id = "{maker}-1"
profile = "{profile}"
{more}
"""


def opened(folder: Path, profile: str, more: str = "") -> None:
    """Check the config, and open its meter as the agent does. Raises what either of them finds."""
    file = folder / "edge.toml"
    file.write_text(CONFIG.format(profile=profile, maker=load_dlms(profile).maker, more=more))
    (bus,) = load_config(file).dlms
    assert isinstance(bus, DlmsPush)
    files = DlmsFiles(folder=folder, state=folder)
    listener = Listener(bus, files, SystemClock(), structlog.get_logger())
    listener.open_meter(bus.meter[0], Sink())


@pytest.mark.parametrize("profile", PUSHING)
def test_a_meter_that_sends_in_the_open_needs_no_secret(profile: str, tmp_path: Path) -> None:
    opened(tmp_path, profile, 'protection = "none"')


def test_an_e450_on_a_push_line_asks_for_nothing(tmp_path: Path) -> None:
    opened(tmp_path, "landisgyr_e450")


@pytest.mark.parametrize("profile", PUSHING)
@pytest.mark.parametrize(
    ("protection", "wanted"),
    [
        ("encrypted", ["encryption_key"]),
        ("authenticated", ["encryption_key", "authentication_key"]),
        ("authenticated_encrypted", ["encryption_key", "authentication_key"]),
    ],
)
def test_the_keys_that_open_the_messages_are_asked_for_by_the_check_of_the_config(
    profile: str, protection: str, wanted: list[str], tmp_path: Path
) -> None:
    for name in wanted:
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(KEYS.encryption.hex())
    given = [f'protection = "{protection}"', *(f'{name} = "{name}"' for name in wanted)]
    opened(tmp_path, profile, "\n".join(given))
    for missing in range(len(wanted)):
        lines = [line for at, line in enumerate(given) if at != missing + 1]
        with pytest.raises(ConfigError, match=f"{wanted[missing]}: expected where the secret is"):
            opened(tmp_path, profile, "\n".join(lines))
    (tmp_path / wanted[0]).unlink()
    with pytest.raises(MeterUnusableError, match="cannot be read"):
        opened(tmp_path, profile, "\n".join(given))
