"""Finds DLMS meters on a port or at a host, as the public client, and names them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from gridtokenx_dlms.aio.client_transport import (
    HdlcTransport,
    Timing,
    Transport,
    WrapperTransport,
    run_service,
)
from gridtokenx_dlms.aio.line import ByteLine, SerialLine, StreamLine
from gridtokenx_dlms.aio.mode_e_opening import OpeningTiming, open_in_mode_e
from gridtokenx_dlms.client import PUBLIC_CLIENT, ClientAssociation
from gridtokenx_dlms.errors import DlmsError, LinkError
from gridtokenx_dlms.hdlc.address import HdlcAddress
from gridtokenx_dlms.hdlc.client_link import ClientLink
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.xdlms.attribute import Attribute
from gridtokenx_edge.meters.dlms_values import name_text

_LOGICAL_DEVICE_NAME = Attribute(1, Obis(0, 0, 42, 0, 0), 2)
_MANAGEMENT = 1
# Meters are found at these as they come from the factory: most want no lower address, many 16 or
# 17, some the last digits of their serial number.
FIRST_ADDRESSES: tuple[int | None, ...] = (None, 1, 16, 17, 18, 100)
BAUD_RATES = (9600, 19200, 4800, 115200)
_TIMING = Timing(reply_s=0.6, gap_s=0.1, exchange_s=5.0, retries=0)
_TCP_TIMING = Timing(reply_s=3.0, exchange_s=10.0, retries=0)
_OPENING = OpeningTiming(reply_s=1.6, gap_s=1.0, confirmation_s=0.6, retries=0)


class FoundDlms(msgspec.Struct, frozen=True, kw_only=True):
    """A meter that answered.

    `name` is its logical device name, or "" if it does not tell it. `identification` is what it
    says in mode E.
    """

    opening: Literal["mode_e", "hdlc", "wrapper"]
    baud: int
    physical_address: int | None
    name: str
    identification: str = ""
    remark: str = ""


Progress = Callable[[str], None]


async def scan_serial(
    port: str, addresses: Sequence[int | None], bauds: Sequence[int], progress: Progress
) -> list[FoundDlms]:
    """Try mode E first, as it finds any rate, and then HDLC at each rate and address.

    Raises LinkError if the port cannot be opened.
    """
    line = SerialLine(port, bauds[0])
    try:
        progress("mode E at 300 baud")
        if found := await _in_mode_e(line):
            return [found]
        for baud in bauds:
            line.set_baud(baud)
            at_rate = []
            for address in addresses:
                progress(f"HDLC at {baud} baud, physical address {_shown(address)}")
                if told := await _at_address(line, address):
                    name, remark = told
                    at_rate.append(
                        FoundDlms(
                            opening="hdlc",
                            baud=baud,
                            physical_address=address,
                            name=name,
                            remark=remark,
                        )
                    )
            if at_rate:
                return _distinct(at_rate)
    finally:
        line.close()
    return []


async def scan_tcp(host: str, port: int, progress: Progress) -> list[FoundDlms]:
    """Try the wrapper at the management logical device. Raises LinkError if nobody listens."""
    progress(f"the wrapper at {host}:{port}")
    line = await StreamLine.connect(host, port)
    try:
        transport = WrapperTransport(_LineLeftOpen(line), PUBLIC_CLIENT, _MANAGEMENT, _TCP_TIMING)
        name, remark = await _name(transport)
    except LinkError:
        return []
    finally:
        line.close()
    return [FoundDlms(opening="wrapper", baud=0, physical_address=None, name=name, remark=remark)]


def _shown(address: int | None) -> str:
    return "none" if address is None else str(address)


async def _in_mode_e(line: ByteLine) -> FoundDlms | None:
    try:
        told = await open_in_mode_e(line, timing=_OPENING)
    except DlmsError:
        return None
    text = f"{told.maker}{told.name}"
    for address in FIRST_ADDRESSES:
        if name := await _at_address(line, address):
            return FoundDlms(
                opening="mode_e",
                baud=told.baud,
                physical_address=address,
                name=name[0],
                identification=text,
                remark=name[1],
            )
    return FoundDlms(
        opening="mode_e",
        baud=told.baud,
        physical_address=None,
        name="",
        identification=text,
        remark="no answer to the public client",
    )


async def _at_address(line: ByteLine, address: int | None) -> tuple[str, str] | None:
    link = ClientLink(HdlcAddress.client(PUBLIC_CLIENT), HdlcAddress.server(_MANAGEMENT, address))
    try:
        return await _name(HdlcTransport(_LineLeftOpen(line), link, _TIMING))
    except LinkError:
        return None


async def _name(transport: Transport) -> tuple[str, str]:
    """Return the logical device name, and why it was not told.

    Raises LinkError if nobody is there.
    """
    await transport.open()
    association = ClientAssociation()
    try:
        await run_service(association.open(), transport)
        name = name_text(await run_service(association.get(_LOGICAL_DEVICE_NAME), transport))
    except LinkError:
        raise
    except DlmsError as error:
        return "", str(error)
    finally:
        await transport.close()
    return name, ""


class _LineLeftOpen:
    """A line that its transports leave open."""

    def __init__(self, line: ByteLine) -> None:
        self.read = line.read
        self.write = line.write
        self.drain = line.drain
        self.set_baud = line.set_baud

    def close(self) -> None:
        """Leave the line open: the next address is asked on it."""


def _distinct(found: Sequence[FoundDlms]) -> list[FoundDlms]:
    """Return each meter once.

    A meter may answer to no lower address as well as to its own. Then its own counts.
    """
    named = {one.name: one for one in found if one.physical_address is None}
    named |= {one.name: one for one in found if one.physical_address is not None}
    return list(named.values())
