"""One Modbus line, serial or TCP: pymodbus's client, its faults told apart, kept connected.

pymodbus neither retries nor reconnects here: who asks decides what a failure costs the others.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from pymodbus import FramerType, ModbusException
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

from gridtokenx_edge.backoff import Backoff
from gridtokenx_edge.config import BusConfig, SerialBus
from gridtokenx_edge.log import FaultLog
from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.modbus.faults import LineDown, MeterGarbled, MeterRefused, MeterSilent

_CONNECT_TIMEOUT_S = 3.0
_RECONNECT_BASE_S = 0.5
_RECONNECT_CAP_S = 30.0
# So many requests in a row without a reply: reopen the line, as USB adapters and device servers
# do fall asleep.
_SILENT_BEFORE_REOPEN = 8
# Modbus over Serial Line V1.02, 2.5.1.1: frames are 3.5 characters of 11 bits apart, and 1.75 ms
# at least.
_FRAME_GAP_BITS = 3.5 * 11
_SHORTEST_FRAME_GAP_S = 0.00175


class Line:
    """A line that one requester at a time has the turn on.

    `hear` gets the bytes that pass: whether they are sent, and all of a message so far.
    """

    def __init__(
        self,
        config: BusConfig,
        faults: FaultLog,
        hear: Callable[[bool, bytes], None] | None = None,
    ) -> None:
        self.name = config.name
        self.timeout_s = config.timeout_ms / 1000
        self.retries = config.retries
        self.is_numbered = not isinstance(config, SerialBus) and not config.rtu_over_tcp
        """Whether replies carry their request's number (MBAP), so that a late one is known."""
        self.generation = 0
        """Counts connections: after a new one, meters may have been exchanged."""
        self._config = config
        self._faults = faults
        self._hear_bytes = hear
        self._turn = asyncio.Lock()
        self._client: AsyncModbusSerialClient | AsyncModbusTcpClient | None = None
        self._is_up = asyncio.Event()
        self._is_down = asyncio.Event()
        self._is_down.set()
        self._silent = 0
        self._is_waiting = False
        self._quiet_at_s = 0.0
        self._gap_s = _frame_gap_s(config)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The line to oneself, in the order of asking."""
        async with self._turn:
            yield

    async def connect(self) -> None:
        """Opens the port or connection. Raises LineDown with the reason."""
        self.close()
        client = self._make_client()
        if not await client.connect():
            client.close()
            raise LineDown(self._why_not())
        # A serial transport registers its reader in the next turn of the loop; closing it before
        # would leave the reader behind.
        await asyncio.sleep(0)
        self._client = client
        self._silent = 0
        self.generation += 1
        self._is_down.clear()
        self._is_up.set()

    def close(self) -> None:
        client, self._client = self._client, None
        if client:
            client.close()
        self._is_up.clear()
        self._is_down.set()

    async def keep_up(self) -> None:
        """Reconnects with backoff whenever the line goes down, until cancelled."""
        backoff = Backoff(_RECONNECT_BASE_S, _RECONNECT_CAP_S, random.random)
        try:
            while True:
                try:
                    await self.connect()
                except LineDown as fault:
                    self._faults.error("line_down", self.name, bus=self.name, reason=str(fault))
                    await asyncio.sleep(backoff.next_s())
                    continue
                backoff.reset()
                self._faults.over("line_down", self.name)
                await self._is_down.wait()
        finally:
            self.close()

    @property
    def is_up(self) -> bool:
        return self._is_up.is_set()

    async def until_up(self) -> None:
        await self._is_up.wait()

    async def read(self, address: int, block: Block) -> list[int]:
        """The registers of a block, from the meter at `address`. Call it in one's turn.

        Raises ModbusError. After MeterSilent or MeterGarbled a late reply may still come.
        """
        client = self._client
        if client is None or not client.connected:
            self.close()
            raise LineDown("the line is down")
        await self._frame_gap()
        ask = client.read_holding_registers if block.fc == 3 else client.read_input_registers
        self._is_waiting = True
        try:
            async with asyncio.timeout(self.timeout_s):
                reply = await ask(block.address, count=block.count, device_id=address)
        except TimeoutError:
            self._count_silence()
            raise MeterSilent(f"no reply within {self.timeout_s * 1000:.0f} ms") from None
        except ModbusException as error:
            if not client.connected:
                self.close()
                raise LineDown("the line went down") from None
            raise MeterGarbled(f"expected a reply: {error}") from None
        finally:
            self._is_waiting = False
            self._quiet_at_s = time.monotonic() + self._gap_s
        self._silent = 0
        if reply.isError():
            raise MeterRefused(reply.exception_code)
        if reply.function_code != block.fc or len(reply.registers) != block.count:
            raise MeterGarbled(
                f"expected {block.count} registers, got {len(reply.registers)}"
                f" with function code {reply.function_code}"
            )
        return list(reply.registers)

    def _make_client(self) -> AsyncModbusSerialClient | AsyncModbusTcpClient:
        config = self._config
        # Replies are timed out in `read`; this is for connecting, and must not come before it.
        timeout_s = max(_CONNECT_TIMEOUT_S, 2 * self.timeout_s)
        if isinstance(config, SerialBus):
            client: AsyncModbusSerialClient | AsyncModbusTcpClient = AsyncModbusSerialClient(
                config.port,
                baudrate=config.baud,
                parity=config.parity,
                stopbits=config.stop_bits,
                timeout=timeout_s,
                reconnect_delay=0,
                retries=0,
                trace_connect=self._on_connection,
                trace_packet=self._on_bytes,
            )
        else:
            client = AsyncModbusTcpClient(
                config.host,
                port=config.port,
                framer=FramerType.RTU if config.rtu_over_tcp else FramerType.SOCKET,
                timeout=timeout_s,
                reconnect_delay=0,
                retries=0,
                trace_connect=self._on_connection,
                trace_packet=self._on_bytes,
            )
        return client

    def _on_connection(self, is_connected: bool) -> None:  # noqa: FBT001 (pymodbus calls it)
        """Called by pymodbus; a request under way learns at once that no reply will come."""
        client = self._client
        if is_connected or client is None:
            return
        self._is_up.clear()
        self._is_down.set()
        waiting = client.ctx.response_future
        if self._is_waiting and not waiting.done():
            waiting.set_exception(ModbusException("the line went down"))

    def _on_bytes(self, is_sending: bool, data: bytes) -> bytes:  # noqa: FBT001 (the same)
        if self._hear_bytes:
            self._hear_bytes(is_sending, data)
        return data

    async def _frame_gap(self) -> None:
        wait_s = self._quiet_at_s - time.monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    def _count_silence(self) -> None:
        self._silent += 1
        if self._silent >= _SILENT_BEFORE_REOPEN:
            self.close()

    def _why_not(self) -> str:
        config = self._config
        if not isinstance(config, SerialBus):
            return f"expected a Modbus server at {config.host}:{config.port}, found none"
        return _why_no_port(config.port)


def _frame_gap_s(config: BusConfig) -> float:
    if not isinstance(config, SerialBus):
        return 0.0
    return max(_FRAME_GAP_BITS / config.baud, _SHORTEST_FRAME_GAP_S)


def _why_no_port(port: str) -> str:
    """What keeps a serial port from being opened, as an installer would say it."""
    if not Path(port).exists():
        return f"expected a serial port at {port}, found none (is the adapter plugged in?)"
    try:
        os.close(os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
    except PermissionError:
        return f"expected to be allowed to open {port} (add the user to the group dialout)"
    except OSError as error:
        if error.errno == errno.EBUSY:
            return f"expected {port} to be free, but another program uses it"
        return f"{port} cannot be opened: {error.strerror}"
    return f"expected {port} to be free, but another program uses it"
