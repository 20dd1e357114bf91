"""Why nobody answers behind a TCP port: the framing is the other one, or numbers do not fit."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gridtokenx_edge.config.edge_config import BusConfig, MeterConfig, SerialBus, TcpBus
from gridtokenx_edge.log import FaultLog, start_logging
from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.modbus.faults import MeterRefused
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.polling.faults import BusFault

_ANY = Block(fc=4, address=0, count=2)
_NUMBERS = "replies with number"
_UPDATE = "update the converter, or let it pass RTU frames through and set rtu_over_tcp = true"


async def why_silent(bus: BusConfig, meters: Sequence[MeterConfig], heard: Sequence[str]) -> str:
    """Return what to do about a TCP bus on which nobody answers, or "" if nothing is known.

    `heard` is why requests failed.
    """
    if isinstance(bus, SerialBus):
        return ""
    for text in heard:
        if _NUMBERS in text:
            return f"{_NUMBERS}{text.partition(_NUMBERS)[2]}: {_UPDATE}"
    other = msgspec.structs.replace(bus, rtu_over_tcp=not bus.rtu_over_tcp)
    for meter in meters:
        if await answers(other, meter.address):
            return f"it answers with rtu_over_tcp = {str(other.rtu_over_tcp).lower()}: set it so"
    return ""


async def answers(bus: TcpBus, address: int) -> bool:
    """Return whether somebody answers a request, if only by refusing it."""
    line = Line(bus, FaultLog(start_logging()))
    try:
        await line.connect()
        async with line.hold():
            await line.read(address, _ANY)
    except MeterRefused:
        return True
    except BusFault:
        return False
    finally:
        line.close()
    return True
