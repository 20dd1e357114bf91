"""Options that say where one meter is."""

from __future__ import annotations

from typing import Annotated

import typer

from gridtokenx_edge.commissioning.profile.contact import Place
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

PortOption = Annotated[str, typer.Option("--port", help="Its serial port.")]
HostOption = Annotated[str, typer.Option("--host", help="Or its server, HOST[:PORT].")]
AddressOption = Annotated[str, typer.Option("--address", help="Its Modbus address.")]
BaudOption = Annotated[str, typer.Option("--baud", help="Baud rate of the serial line.")]
ParityOption = Annotated[str, typer.Option("--parity", help="N, E or O.")]
StopBitsOption = Annotated[int, typer.Option("--stop-bits", min=1, max=2)]
RtuOption = Annotated[bool, typer.Option("--rtu-over-tcp", help="The host passes RTU frames.")]


def place(
    port: str,
    host: str,
    address: str,
    baud: str,
    parity: str,
    stop_bits: int,
    usual: LineSettings,
    *,
    rtu_over_tcp: bool,
) -> Place | None:
    """Where the options point to; None if they name no meter. Raises ValueError."""
    if not port and not host:
        return None
    if port and host:
        raise ValueError("expected --port or --host, got both")
    target = SerialTarget(port) if port else parse_target(host, rtu_over_tcp=rtu_over_tcp)
    is_rtu = not isinstance(target, TcpTarget) or target.rtu_over_tcp
    unit, *more = parse_addresses(address or "1", ADDRESSES if is_rtu else UNITS)
    if more:
        raise ValueError(f"expected one address, got {address!r}")
    if not isinstance(target, SerialTarget):
        return Place(target, None, unit)
    bauds = parse_bauds(baud) if baud else (usual.baud,)
    parities = parse_parities(parity) if parity else (usual.parity,)
    settings = chosen_settings(bauds, parities, stop_bits)
    if len(settings) > 1:
        raise ValueError("expected one baud rate and one parity")
    return Place(target, settings[0], unit)
