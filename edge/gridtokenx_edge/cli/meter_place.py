"""The options that say where one meter is, and the place that they name."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from gridtokenx_edge.agent.loop import run as run_loop
from gridtokenx_edge.cli.terminal import INTERRUPTED, fail
from gridtokenx_edge.commissioning.profile.contact import MeterPlace
from gridtokenx_edge.commissioning.scan.settings import (
    ADDRESSES,
    UNITS,
    LineSettings,
    chosen_settings,
    parse_addresses,
    parse_bauds,
    parse_parities,
)
from gridtokenx_edge.commissioning.scan.target import SerialTarget, TcpTarget, parse_target
from gridtokenx_edge.polling.faults import LineDown

T = TypeVar("T")

PortOption = Annotated[str, typer.Option("--port", help="The meter's serial port.")]
HostOption = Annotated[
    str, typer.Option("--host", help="The meter's TCP server instead, as HOST[:PORT].")
]
AddressOption = Annotated[str, typer.Option("--address", help="The meter's Modbus address.")]
BaudOption = Annotated[str, typer.Option("--baud", help="The baud rate of the serial line.")]
ParityOption = Annotated[
    str, typer.Option("--parity", help="The parity of the serial line: N, E or O.")
]
StopBitsOption = Annotated[int, typer.Option("--stop-bits", min=1, max=2)]
RtuOption = Annotated[
    bool, typer.Option("--rtu-over-tcp", help="The host passes RTU frames through.")
]


class PlaceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the options say of a meter's place, as they were written."""

    port: str
    host: str
    address: str
    baud: str
    parity: str
    stop_bits: int
    rtu_over_tcp: bool

    def place(self, usual: LineSettings) -> MeterPlace | None:
        """Return the place of the meter, or None if the options name no meter.

        `usual` are the settings of a serial line where the options name none. Raises ValueError.
        """
        if not self.port and not self.host:
            return None
        if self.port and self.host:
            raise ValueError("expected --port or --host, got both")
        if self.port:
            unit = self._unit(ADDRESSES)
            return MeterPlace(SerialTarget(self.port), self._settings(usual), unit)
        target = parse_target(self.host, rtu_over_tcp=self.rtu_over_tcp)
        is_rtu = not isinstance(target, TcpTarget) or target.rtu_over_tcp
        unit = self._unit(ADDRESSES if is_rtu else UNITS)
        settings = self._settings(usual) if isinstance(target, SerialTarget) else None
        return MeterPlace(target, settings, unit)

    def _unit(self, known: Sequence[int]) -> int:
        unit, *more = parse_addresses(self.address or "1", known)
        if more:
            raise ValueError(f"expected one address, got {self.address!r}")
        return unit

    def _settings(self, usual: LineSettings) -> LineSettings:
        bauds = parse_bauds(self.baud) if self.baud else (usual.baud,)
        parities = parse_parities(self.parity) if self.parity else (usual.parity,)
        settings = chosen_settings(bauds, parities, self.stop_bits)
        if len(settings) > 1:
            raise ValueError("expected one baud rate and one parity")
        return settings[0]


def run_on_line(work: Coroutine[Any, Any, T]) -> T:
    """Run what asks a meter. A line that fails, or Ctrl-C, ends the command."""
    try:
        return run_loop(work)
    except LineDown as fault:
        fail(str(fault))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
