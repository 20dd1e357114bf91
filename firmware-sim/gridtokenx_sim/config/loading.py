"""The strict reader of `sim.toml`: each mistake is one line that says where and what was
expected.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from gridtokenx_sim.config.amounts import decode_amount
from gridtokenx_sim.config.checks import contradictions
from gridtokenx_sim.config.dlms import DlmsSerialBus, DlmsTcpBus
from gridtokenx_sim.config.faults import BusFault, DlmsFault, MeterFault
from gridtokenx_sim.config.sim_config import SerialBus, SimConfig, TcpBus


class ConfigError(Exception):
    """A config that cannot be used; `lines` says for each mistake where and what was expected."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def load_config(path: Path) -> SimConfig:
    """Read `path`; links are relative to its folder. Raises ConfigError."""
    try:
        document = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError([f"{path}: expected a readable file: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: expected a TOML file in UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: expected TOML: {error}"]) from None
    return parse_config(document, folder=path.parent, source=str(path))


def parse_config(document: Any, *, folder: Path, source: str = "config") -> SimConfig:
    """Return the config in a parsed TOML document.

    Raises ConfigError, with `source` in its lines.
    """
    try:
        config = msgspec.convert(document, SimConfig, dec_hook=decode_amount)
    except msgspec.ValidationError as error:
        raise ConfigError([f"{source}: {_explain(str(error))}"]) from None
    if lines := contradictions(config):
        raise ConfigError([f"{source}: {line}" for line in lines])
    buses = tuple(
        msgspec.structs.replace(bus, link=str(folder / bus.link))
        if isinstance(bus, SerialBus | DlmsSerialBus)
        else bus
        for bus in config.bus
    )
    return msgspec.structs.replace(config, bus=buses)


_AT = re.compile(r"(?s)(.*?)(?: - at `(?:key in )?\$\.?(.*?)`)?")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_INVALID = re.compile(r"Invalid (?:enum )?value (.*)")
_MISSING = re.compile(r"Object missing required field `(.*)`")


def _explain(message: str) -> str:
    """Return msgspec's message as `key.path: expected ...`."""
    matched = _AT.fullmatch(message)
    what, path = (matched[1], matched[2] or "") if matched else (message, "")
    if unknown := _UNKNOWN.fullmatch(what):
        path, what = _join(path, unknown[1]), "expected no such key"
    elif missing := _MISSING.fullmatch(what):
        path, what = _join(path, missing[1]), "expected a value, but the key is missing"
    elif invalid := _INVALID.fullmatch(what):
        choices = _CHOICES.get(path.rpartition(".")[2]) or _KINDS[_section(path)]
        what = f"expected {choices}, got {invalid[1]}"
    return f"{path or 'file'}: {what[:1].lower()}{what[1:]}"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _section(path: str) -> str:
    """Return `bus[0].meter[1].fault[0].kind` stands in the section `meter.fault`."""
    names = re.sub(r"\[\d+\]", "", path).split(".")[:-1]
    return ".".join(names[-2:]) if names[-1:] == ["fault"] else names[-1] if names else ""


def _tags(*kinds: Any) -> str:
    return "one of " + ", ".join(str(kind.__struct_config__.tag) for kind in kinds)


_CHOICES = {
    "mechanism": "none, low or gmac",
    "protection": "none, authenticated, encrypted or authenticated_encrypted",
    "reads": "all or identity",
    "opening": "direct or mode_e",
    "framing": "wrapper or hdlc",
}
_KINDS = {
    "bus": _tags(SerialBus, TcpBus, DlmsSerialBus, DlmsTcpBus),
    "meter.fault": f"{_tags(*MeterFault.__args__)} (DLMS: {_tags(*DlmsFault.__args__)})",
    "bus.fault": _tags(BusFault),
    "clock": "system or scaled",
    "meter": "0, 40000 or 50000",  # sunspec_base
}
