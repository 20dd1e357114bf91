"""Running buses: meters, their server, and the line or socket that leads to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from gridtokenx_sim.bus_error import BusError
from gridtokenx_sim.config import faults
from gridtokenx_sim.config.faults import BusFault, Scheduled
from gridtokenx_sim.config.sim_config import SerialBus, TcpBus
from gridtokenx_sim.line.line import Line, LineError
from gridtokenx_sim.modbus.meter import SimMeter
from gridtokenx_sim.modbus.server import BusMeters, SerialServer, TcpServer


class RunningSerialBus:
    """Meters on a serial line; `path` is the link that a gateway opens."""

    kind: Literal["serial"] = "serial"

    def __init__(
        self,
        config: SerialBus,
        meters: Sequence[SimMeter],
        complain: Callable[[str], None] | None,
    ) -> None:
        self.name = config.name
        self.path = Path(config.link)
        self.meters = tuple(meters)
        self.faults = _schedule(config)
        self._config = config
        self._complain = complain
        self._speaker: SimMeter | None = None
        self._line: Line | None = None
        self._server: SerialServer | None = None

    @property
    def plugged(self) -> bool:
        return self._line is not None and self._line.plugged

    async def start(self) -> None:
        config = self._config
        bus_meters = BusMeters(_by_address(self.meters), unknown_answers=False, speaks=self._hear)
        try:
            line = self._line = Line(
                self.path,
                config.baud,
                paced=config.paced,
                damage=self._damage,
                complain=self._complain,
            )
            self._server = SerialServer(bus_meters, line.meters_port, config.baud)
            await self._server.serve_forever(background=True)
            await asyncio.sleep(0)  # pymodbus attaches to the port in the loop's next turn
            line.open()
        except LineError as error:
            raise BusError(str(error)) from None

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]
        if self._line is not None:
            self._line.close()

    async def unplug(self) -> None:
        """Pull the adapter out of the gateway."""
        if self._line is not None:
            self._line.unplug()

    async def replug(self) -> None:
        """Put it back: the same link, a new device behind it. Raises BusError."""
        try:
            if self._line is not None:
                self._line.replug()
        except LineError as error:
            raise BusError(str(error)) from None

    def _hear(self, meter: SimMeter) -> None:
        # A bus is half duplex, so the bytes that follow come from this meter.
        self._speaker = meter

    def _damage(self, reply: bytes) -> bytes:
        return self._speaker.pass_wire(reply) if self._speaker else reply


class RunningTcpBus:
    """Meters behind a Modbus TCP server at `host` and `port`."""

    kind: Literal["tcp"] = "tcp"

    def __init__(self, config: TcpBus, meters: Sequence[SimMeter]) -> None:
        self.name = config.name
        self.host = config.host
        self.port = config.port
        self.meters = tuple(meters)
        self.faults = _schedule(config)
        self._server: TcpServer | None = None

    @property
    def plugged(self) -> bool:
        return self._server is not None

    async def start(self) -> None:
        bus_meters = BusMeters(_by_address(self.meters), unknown_answers=True)
        server = TcpServer(bus_meters, self.host, self.port)
        try:
            await server.serve_forever(background=True)
        except RuntimeError:
            raise BusError(
                f"bus {self.name}: expected to listen on {self.host}:{self.port},"
                " but it is taken or not ours"
            ) from None
        self._server = server
        self.port = server.bound_port

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.shutdown()  # type: ignore[no-untyped-call]

    async def unplug(self) -> None:
        """Close the connections and refuses new ones."""
        await self.stop()

    async def replug(self) -> None:
        """Listen again on the same port. Raises BusError."""
        if self._server is None:
            await self.start()


def _by_address(meters: Sequence[SimMeter]) -> dict[int, SimMeter]:
    return {meter.address: meter for meter in meters}


def _schedule(config: SerialBus | TcpBus) -> list[Scheduled[BusFault]]:
    return [faults.schedule(fault) for fault in config.fault]
