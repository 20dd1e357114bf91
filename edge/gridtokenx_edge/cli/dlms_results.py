"""Shows the DLMS meters that were found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from gridtokenx_dlms.errors import LinkError
from gridtokenx_edge.commissioning.scan.dlms_results import id_of, profiles_of
from gridtokenx_edge.commissioning.scan.dlms_scan import (
    BAUD_RATES,
    FIRST_ADDRESSES,
    FoundDlms,
    scan_serial,
    scan_tcp,
)
from gridtokenx_edge.commissioning.scan.target import SerialTarget, Target
from gridtokenx_terminal.table import Column, TerminalTable

TCP_PORT = 4059


def looker(
    target: Target, port: int, bauds: Sequence[int]
) -> Callable[[Callable[[str], None]], Awaitable[list[FoundDlms]]]:
    """Return what looks for DLMS meters on a serial port, or at `port` of a host."""

    async def look(tell: Callable[[str], None]) -> list[FoundDlms]:
        try:
            if isinstance(target, SerialTarget):
                return await scan_serial(target.port, FIRST_ADDRESSES, bauds or BAUD_RATES, tell)
            return await scan_tcp(target.host, port, tell)
        except LinkError:  # no server listens there, or the port is gone
            return []

    return look


def found_table(found: Sequence[FoundDlms]) -> TerminalTable:
    names = [Column(name) for name in ("DLMS meter", "opening", "baud")]
    address_column = Column("address", is_number=True)  # the physical one
    table = TerminalTable([*names, address_column, Column("profile")])
    for one in found:
        address = "" if one.physical_address is None else str(one.physical_address)
        name = one.name or one.identification
        profiles = "\nor ".join(profiles_of(one))
        table.add(name, one.opening, str(one.baud or ""), address, profiles)
    return table


def remark_lines(found: Sequence[FoundDlms]) -> list[str]:
    """Return what an installer should know of these meters."""
    lines = []
    for one in found:
        said = one.identification and f"says in mode E that it is {one.identification}"
        numbered = "" if id_of(one) else "its id ends with the number on its front"
        texts = filter(None, (said, one.remark, numbered))
        lines += [f"{one.name or 'DLMS meter'}: {text}" for text in texts]
    return lines
