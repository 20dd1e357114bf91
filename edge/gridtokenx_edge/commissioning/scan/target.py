"""Where to look: a serial port or a TCP server, as an installer names it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import msgspec

from gridtokenx_edge.commissioning.scan.settings import LineSettings
from gridtokenx_edge.config.edge_config import BusConfig, SerialBus, TcpBus

_MODBUS_PORT = 502


class SerialTarget(msgspec.Struct, frozen=True):
    """A serial port, such as `/dev/ttyUSB0`."""

    port: str

    def __str__(self) -> str:
        return self.port

    @property
    def name(self) -> str:
        return PurePosixPath(self.port).name or "bus"

    def bus(self, settings: LineSettings | None, timeout_s: float) -> BusConfig:
        """Return the bus at these settings. The default is how most meters leave the factory."""
        of = settings or LineSettings(9600)
        return SerialBus(
            name=self.name,
            port=self.port,
            meter=[],
            baud=of.baud,
            parity=of.parity,
            stop_bits=of.stop_bits,
            timeout_ms=round(timeout_s * 1000),
            retries=0,
        )


class TcpTarget(msgspec.Struct, frozen=True):
    """A Modbus server, or a serial device server that passes RTU frames through."""

    host: str
    port: int = _MODBUS_PORT
    rtu_over_tcp: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def name(self) -> str:
        return self.host

    def bus(self, _settings: LineSettings | None, timeout_s: float) -> BusConfig:
        return TcpBus(
            name=self.name,
            host=self.host,
            meter=[],
            port=self.port,
            rtu_over_tcp=self.rtu_over_tcp,
            timeout_ms=round(timeout_s * 1000),
            retries=0,
        )


Target = SerialTarget | TcpTarget


def parse_target(text: str, *, rtu_over_tcp: bool = False) -> Target:
    """Return the target of a text. Raises ValueError.

    Texts are `/dev/ttyUSB0`, `192.0.2.7`, `gateway.local:1502` and `[2001:db8::7]:502`.
    """
    if "/" in text or (text and Path(text).exists()):
        if rtu_over_tcp:
            raise ValueError(f"expected a host for RTU over TCP, got {text!r}")
        return SerialTarget(text)
    host, port = split_host(text)
    if not host or any(letter.isspace() for letter in host):
        raise ValueError(f"expected a serial port such as /dev/ttyUSB0 or a host, got {text!r}")
    if not port:
        return TcpTarget(host, rtu_over_tcp=rtu_over_tcp)
    return TcpTarget(host, parse_port(port), rtu_over_tcp)


def parse_port(text: str) -> int:
    """Return a TCP port. Raises ValueError."""
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise ValueError(f"expected a TCP port from 1 to 65535, got {text!r}")
    return int(text)


def split_host(text: str) -> tuple[str, str]:
    """Return a host and its port, which may be empty."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, rest.removeprefix(":")
    if text.count(":") > 1:  # it is an IPv6 address without brackets
        return text, ""
    host, _, port = text.partition(":")
    return host, port
