"""A DLMS meter for the edge's tests: the library's server half, on a pseudo-terminal or TCP."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import tty
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from gridtokenx_dlms import data
from gridtokenx_dlms.acse import Mechanism
from gridtokenx_dlms.aio.line import SerialLine
from gridtokenx_dlms.aio.server import Conduct, Device, HdlcServer, TcpListener, talk_wrapper
from gridtokenx_dlms.errors import LinkError
from gridtokenx_dlms.hdlc.station import Station
from gridtokenx_dlms.mode_e import Identification
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.objects.clock import ClockObject
from gridtokenx_dlms.objects.device import ObjectModel
from gridtokenx_dlms.objects.directory import AssociationLn, SapAssignment
from gridtokenx_dlms.objects.profile_generic import (
    CLOCK_COLUMN,
    LOAD_PROFILE,
    ProfileGeneric,
    Row,
    clock_value,
)
from gridtokenx_dlms.objects.registers import UNIT_W, UNIT_WH, DataObject, Register
from gridtokenx_dlms.objects.selection import CaptureObject
from gridtokenx_dlms.security import Keys, Protection
from gridtokenx_dlms.server import ClientTerms, ServerAssociation

IMPORT, EXPORT = Obis(1, 0, 1, 8, 0), Obis(1, 0, 2, 8, 0)
POWER_IN, POWER_OUT = Obis(1, 0, 1, 7, 0), Obis(1, 0, 2, 7, 0)
SERIAL, STATUS = Obis(0, 0, 96, 1, 0), Obis(0, 0, 96, 10, 1)
COUNTER = Obis(0, 0, 43, 1, 0)
METER_TITLE = b"ISK\0\0\0\0\7"
PERIOD_MS = 900_000
KEYS = Keys(encryption=bytes(range(16)), authentication=bytes(range(0xD0, 0xE0)))
PASSWORD = b"12345678"
SERIAL_NUMBER = "40012345"
METER = f"ISKRAEMECO-{SERIAL_NUMBER}"


class TestedMeter:
    """Registers that grow linearly with the meter's time: exact at every moment.

    A thousandth of a Wh would be lost in its registers; 3,600,000 ms of `import_w` watts are that
    many Wh.
    """

    __test__ = False

    def __init__(self, now_ms: Callable[[], int], **access: Any) -> None:
        self.true_ms = now_ms
        self.ahead_ms = 0
        self.import_w, self.export_w = 3600, 360
        self.serial = SERIAL_NUMBER
        self.conduct = Conduct()
        self.requests: list[str] = []
        self.row_status: Callable[[int], int] = lambda _: 0
        self.access = ClientTerms(**access)
        self.counter = itertools.count(1)
        self.newest_heard = 0
        self.associations: list[ServerAssociation] = []
        clock = ClockObject(self.now_ms, self._move, -60)
        columns = [
            CLOCK_COLUMN,
            CaptureObject(class_id=1, obis=STATUS, attribute=2),
            CaptureObject(class_id=3, obis=IMPORT, attribute=2),
            CaptureObject(class_id=3, obis=EXPORT, attribute=2),
        ]
        self.model = ObjectModel(
            [
                clock,
                DataObject(SERIAL, lambda: data.octet_string(self.serial.encode())),
                DataObject(
                    Obis(0, 0, 42, 0, 0),
                    lambda: data.octet_string(b"ISK1030700" + self.serial.encode()),
                ),
                DataObject(COUNTER, lambda: data.double_long_unsigned(self.newest_heard)),
                Register(IMPORT, lambda: self.energy(self.import_w), 0, UNIT_WH),
                Register(EXPORT, lambda: self.energy(self.export_w), 0, UNIT_WH),
                Register(POWER_IN, lambda: data.double_long_unsigned(self.import_w), 0, UNIT_W),
                Register(POWER_OUT, lambda: data.double_long_unsigned(self.export_w), 0, UNIT_W),
                SapAssignment({1: b"ISK1030700" + SERIAL_NUMBER.encode()}),
                ProfileGeneric(LOAD_PROFILE, columns, PERIOD_MS // 1000, 4000, self.rows),
            ]
        )
        self.model.add(AssociationLn(self.model.objects, 1, 1, 0, 1, 1024, may_write=False))

    def drop_profile(self) -> None:
        """As a meter of the same model without one."""
        del self.model._objects[7, LOAD_PROFILE]

    def now_ms(self) -> int:
        """The meter's own time."""
        return self.true_ms() + self.ahead_ms

    def _move(self, by_ms: int) -> None:
        self.ahead_ms += by_ms

    def wh_at(self, watts: int, at_ms: int) -> int:
        return watts * (at_ms - 1_700_000_000_000) // 3_600_000

    def energy(self, watts: int) -> data.Data:
        return data.double_long_unsigned(self.wh_at(watts, self.true_ms()))

    def rows(self, first_ms: int, last_ms: int) -> Sequence[Row]:
        last_ms = min(last_ms, self.now_ms())
        first_ms = max(first_ms, last_ms - 1000 * PERIOD_MS)
        self.requests.append(f"rows {first_ms} {last_ms}")
        rows = []
        for at_ms in range(first_ms + -first_ms % PERIOD_MS, last_ms + 1, PERIOD_MS):
            energies = [
                data.double_long_unsigned(self.wh_at(watts, at_ms - self.ahead_ms))
                for watts in (self.import_w, self.export_w)
            ]
            status = data.unsigned(self.row_status(at_ms))
            rows.append(Row(at_ms, (clock_value(at_ms, -60), status, *energies)))
        return rows

    def associate(self, client: int, server: int) -> ServerAssociation | None:
        if server != 1:
            return None
        access = self.access if client != 16 else ClientTerms()
        association = ServerAssociation(
            client, access, self, METER_TITLE, lambda: next(self.counter), secrets.token_bytes
        )
        association._newest_counter = self.newest_heard - 1
        self.associations.append(association)
        return association

    def get(self, client: int, attribute: Any, selection: Any) -> Any:
        self.requests.append(str(attribute.obis))
        self._hear()
        return self.model.get(client, attribute, selection)

    def set(self, client: int, attribute: Any, value: Any) -> Any:
        return self.model.set(client, attribute, value)

    def act(self, client: int, method: Any, parameters: Any) -> Any:
        return self.model.act(client, method, parameters)

    def _hear(self) -> None:
        heard = max(association._newest_counter for association in self.associations)
        self.newest_heard = max(self.newest_heard, heard)

    # --- where it is served ---------------------------------------------------------------------

    @asynccontextmanager
    async def on_tcp(self, port: int = 0) -> AsyncIterator[int]:
        listener = TcpListener(
            lambda line: talk_wrapper(line, self.associate, lambda: self.conduct),
            "127.0.0.1",
            port,
        )
        await listener.start()
        try:
            yield listener.port
        finally:
            await listener.stop()

    @asynccontextmanager
    async def on_serial(self, link: Path, *, mode_e: bool = False) -> AsyncIterator[Path]:
        opening = (
            Identification(maker="ISK", baud_code="5", name="AM550", speaks_hdlc=True)
            if mode_e
            else None
        )
        self.station = Station(None, self.associate)
        with_pty = PtyLine(link)
        server = HdlcServer(
            with_pty, [Device(station=self.station, conduct=lambda: self.conduct, opening=opening)]
        )
        serving = asyncio.create_task(server.run())
        try:
            yield link
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError, LinkError):
                await serving
            with_pty.close()


class PtyLine(SerialLine):
    """The meter's end of a pseudo-terminal, whose other end is at `link`."""

    def __init__(self, link: Path) -> None:
        self._fd, self._other = os.openpty()
        tty.setraw(self._other)
        os.set_blocking(self._fd, False)
        link.symlink_to(os.ttyname(self._other))
        self._port, self._baud = str(link), 9600
        self._loop = asyncio.get_running_loop()
        self.bauds: list[int] = []

    def set_baud(self, baud: int) -> None:
        self._baud = baud
        self.bauds.append(baud)

    async def drain(self, count: int) -> None:
        """Nothing is slow here."""

    def close(self) -> None:
        super().close()
        Path(self._port).unlink(missing_ok=True)
        if self._other >= 0:
            os.close(self._other)
            self._other = -1


MECHANISMS = {"none": Mechanism.NONE, "low": Mechanism.LOW, "gmac": Mechanism.HIGH_GMAC}
PROTECTED = Protection.AUTHENTICATED_ENCRYPTED
