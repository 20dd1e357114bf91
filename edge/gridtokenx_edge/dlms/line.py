"""One line to DLMS meters: a serial port or a connection that one meter at a time is asked on.

It is opened when it is wanted, and closed when it fails. A caller that asks too soon after a
failure gets the same fault at once, and the port is not tried again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from gridtokenx_dlms.aio.line import ByteLine, SerialLine, StreamLine
from gridtokenx_dlms.errors import LinkError
from gridtokenx_edge.backoff import Backoff
from gridtokenx_edge.config.dlms_config import DlmsBus, DlmsSerial, DlmsTcp
from gridtokenx_edge.meters.dlms import load_dlms
from gridtokenx_edge.polling.faults import LineDown
from gridtokenx_edge.polling.silent_meter_budget import SilentMeterBudget

_RECONNECT_BASE_S = 0.5
_RECONNECT_CAP_S = 30.0
# So much of the line meters may take that do not answer, all of them together.
_SILENT_SHARE_PERCENT = 10


def line_baud(bus: DlmsBus) -> int:
    """Return the line's rate: the config's, or that of the first meter's profile."""
    chosen: int | None = getattr(bus, "baud", None)
    return chosen or load_dlms(bus.meter[0].profile).link.baud


class DlmsLine:
    """A line that one caller at a time holds."""

    def __init__(self, config: DlmsSerial | DlmsTcp, baud: int = 9600) -> None:
        self.name = config.name
        self.config = config
        self.generation = 0
        """Counts connections: links and associations do not outlive one."""
        self._baud = baud
        self._lock = asyncio.Lock()
        self._line: ByteLine | None = None
        self._backoff = Backoff(_RECONNECT_BASE_S, _RECONNECT_CAP_S, random.random)
        self._not_before_s = float("-inf")
        self._why_down = ""
        self._has_answered = False
        self.asked: Callable[[float], None] = lambda _: None
        """Told how long each caller held the line, in seconds."""
        self.on_bytes: Callable[[bool, bytes], None] | None = None
        """Told the bytes that are sent (true) and that come (false)."""
        self._is_hidden = False
        self.silent_meters = SilentMeterBudget(_SILENT_SHARE_PERCENT)

    opens_on_demand = True

    async def until_up(self) -> None:
        """Return at once: a contact opens the line."""

    @asynccontextmanager
    async def hold(self, number: int = 0) -> AsyncIterator[None]:
        """Have the line for oneself, for the meter of this number. Callers get it in the order of
        asking.
        """
        async with self._lock:
            began_s = time.monotonic()
            try:
                yield
            finally:
                held_s = time.monotonic() - began_s
                self.silent_meters.held(number, held_s)
                self.asked(held_s)

    async def connect(self) -> None:
        """Open the line unless it is open. Raises LineDown."""
        if self._line:
            return
        if time.monotonic() < self._not_before_s:
            raise LineDown(self._why_down)
        config = self.config
        try:
            if isinstance(config, DlmsSerial):
                self._line = SerialLine(config.port, self._baud)
            else:
                self._line = await StreamLine.connect(config.host, config.port)
        except LinkError as error:
            self._fail(str(error))
            raise LineDown(str(error)) from None
        self.generation += 1
        self._has_answered = False

    def _fail(self, reason: str) -> None:
        self._why_down = reason
        self._not_before_s = time.monotonic() + self._backoff.next_s()

    def answered(self) -> None:
        """Take note that a meter has answered: the next failure of the line is a first one
        again.
        """
        self._has_answered = True
        self._backoff.reset()

    @contextmanager
    def hide_bytes(self, *, is_secret: bool) -> Iterator[None]:
        """Keep the bytes that pass meanwhile from `on_bytes`, if they hold a secret such as a
        password.
        """
        self._is_hidden = is_secret
        try:
            yield
        finally:
            self._is_hidden = False

    def close(self) -> None:
        line, self._line = self._line, None
        if line:
            line.close()

    # --- as the ByteLine of a meter's transport -------------------------------------------------

    async def read(self) -> bytes:
        try:
            data = await self._open_line().read()
        except LinkError as error:
            self._lost(error)
            raise
        if self.on_bytes and not self._is_hidden:
            self.on_bytes(False, data)
        return data

    async def write(self, data: bytes) -> None:
        try:
            if self.on_bytes and not self._is_hidden:
                self.on_bytes(True, data)
            await self._open_line().write(data)
        except LinkError as error:
            self._lost(error)
            raise

    async def drain(self, count: int) -> None:
        await self._open_line().drain(count)

    def set_baud(self, baud: int) -> None:
        self._open_line().set_baud(baud)

    @property
    def is_up(self) -> bool:
        return self._line is not None

    def _open_line(self) -> ByteLine:
        if self._line is None:
            raise LinkError(self._why_down or "the line is closed")
        return self._line

    def _lost(self, error: LinkError) -> None:
        self._why_down = str(error)
        if not self._has_answered:
            self._fail(str(error))
        self.close()


class MeterView:
    """A line as one meter's transport sees it: closing the transport leaves the line open."""

    def __init__(self, line: DlmsLine) -> None:
        self._line = line
        self.read = line.read
        self.write = line.write
        self.drain = line.drain
        self.set_baud = line.set_baud

    def close(self) -> None:
        """Do nothing, because the other meters use the line too."""
