"""An association with a simulated DLMS meter, over whatever line it is on."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gridtokenx_dlms.acse import Mechanism
from gridtokenx_dlms.aio.client_transport import (
    HdlcTransport,
    Timing,
    WrapperTransport,
    run_service,
)
from gridtokenx_dlms.aio.line import SerialLine, StreamLine
from gridtokenx_dlms.aio.mode_e_opening import OpeningTiming, open_in_mode_e
from gridtokenx_dlms.client import Authentication, ClientAssociation
from gridtokenx_dlms.data import Data
from gridtokenx_dlms.hdlc.address import HdlcAddress
from gridtokenx_dlms.hdlc.client_link import ClientLink
from gridtokenx_dlms.hdlc.parameters import LinkParameters
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.security import Keys, Protection
from gridtokenx_dlms.session import Ciphering
from gridtokenx_dlms.xdlms.attribute import Attribute
from gridtokenx_sim.dlms.meter import DlmsMeter
from gridtokenx_sim.simulation import Simulation

PATIENT = Timing(reply_s=1.0, gap_s=0.1, exchange_s=8.0, busy_s=0.01, retries=1)
QUICK = Timing(reply_s=0.15, gap_s=0.03, exchange_s=8.0, busy_s=0.01, retries=4)
OPENING = OpeningTiming(reply_s=1.0, gap_s=0.2, confirmation_s=0.5)
QUARTER_MS = 900_000
KEYS = {
    "encryption_key": "000102030405060708090A0B0C0D0E0F",
    "authentication_key": "D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF",
}
OUR_KEYS = Keys(
    encryption=bytes.fromhex(KEYS["encryption_key"]),
    authentication=bytes.fromhex(KEYS["authentication_key"]),
)
CIPHERED = "authenticated_encrypted"
METER: dict[str, Any] = {
    "model": "dlms_three_phase",
    "address": 17,
    "serial": "12345678",
    "annual_load_kwh": "4000",
    "solar_kwp": "5",
    "import_kwh": "1234.5",
    "export_kwh": "67.25",
    "client": [
        {"address": 16, "reads": "identity"},
        {"address": 2, "mechanism": "low", "password": "12345678"},
        {"address": 1, "mechanism": "gmac", "protection": CIPHERED, "may_write": True, **KEYS},
    ],
}
SERIAL = {"name": "s", "kind": "dlms_serial", "link": "tty", "meter": [METER]}
NET = {"name": "t", "kind": "dlms_tcp", "meter": [METER]}
IMPORT, EXPORT = Attribute(3, Obis(1, 0, 1, 8, 0), 2), Attribute(3, Obis(1, 0, 2, 8, 0), 2)
CLOCK = Attribute(8, Obis(0, 0, 1, 0, 0), 2)
PROFILE = Attribute(7, Obis(1, 0, 99, 1, 0), 2)
NAME = Attribute(1, Obis(0, 0, 42, 0, 0), 2)
COUNTER = Attribute(1, Obis(0, 0, 43, 1, 0), 2)
counters = itertools.count(1000, 1000)


class Reader:
    """An association with the only meter of a bus, over whatever line it has."""

    def __init__(self, transport: Any, client: int, protection: Protection) -> None:
        self.transport = transport
        mechanism = {16: Mechanism.NONE, 2: Mechanism.LOW, 1: Mechanism.HIGH_GMAC}[client]
        ciphering = Ciphering(
            keys=OUR_KEYS, title=b"GTX\0\0\0\0\1", protection=protection, counter=next(counters)
        )
        proof = Authentication(
            mechanism=mechanism, secret=b"12345678", challenge=b"challenge of ours"
        )
        self.association = ClientAssociation(proof, ciphering if client == 1 else None)

    async def open(self) -> None:
        await run_service(self.association.open(), self.transport)

    async def get(self, attribute: Attribute, selection: Any = None) -> Data:
        return await run_service(self.association.get(attribute, selection), self.transport)

    async def rows(self, selection: Any = None) -> list[list[Any]]:
        """Return the profile: times in Unix milliseconds, numbers as they are."""
        found = await self.get(PROFILE, selection)
        return [
            [
                item.moment().unix_ms() if isinstance(item.value, bytes) else item.value
                for item in of
            ]
            for of in (row.items() for row in found.items())
        ]


@asynccontextmanager
async def reading(
    running: Simulation,
    client: int = 1,
    *,
    mode_e: bool = False,
    hdlc: bool = False,
    size: int = 128,
    protection: Protection = Protection.AUTHENTICATED_ENCRYPTED,
    timing: Timing = QUICK,
) -> AsyncIterator[Reader]:
    bus = running.buses[0]
    link = ClientLink(
        HdlcAddress.client(client),
        HdlcAddress.server(1, 17),
        LinkParameters(
            transmit_length=size, receive_length=size, transmit_window=1, receive_window=1
        ),
    )
    transport: Any
    if bus.kind == "dlms_serial":
        line = SerialLine(str(bus.path))
        if mode_e:
            await open_in_mode_e(line, "", OPENING)
        transport = HdlcTransport(line, link, timing)
    else:
        stream = await StreamLine.connect("127.0.0.1", bus.port)
        transport = (
            HdlcTransport(stream, link, QUICK)
            if hdlc
            else WrapperTransport(stream, client, 1, QUICK)
        )
    try:
        await transport.open()
        reader = Reader(transport, client, protection)
        await reader.open()
        yield reader
    finally:
        await transport.close()


def truth(running: Simulation, at_ms: int) -> tuple[int, int]:
    registers = running.meters[0].registers(at_ms)
    return registers.import_uwh // 10**6, registers.export_uwh // 10**6


def only(running: Simulation) -> DlmsMeter:
    meter = running.meters[0]
    assert isinstance(meter, DlmsMeter)
    return meter
