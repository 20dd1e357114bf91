"""Running DLMS buses: HDLC on a pseudo-terminal, and the wrapper or HDLC on TCP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

from gridtokenx_dlms.aio.line import SerialLine, StreamLine
from gridtokenx_dlms.aio.server import (
    Conduct,
    Device,
    HdlcServer,
    TcpListener,
    talk_hdlc,
    talk_wrapper,
)
from gridtokenx_dlms.errors import LinkError
from gridtokenx_dlms.hdlc.address import HdlcAddress
from gridtokenx_dlms.hdlc.parameters import LinkParameters
from gridtokenx_dlms.hdlc.station import Station
from gridtokenx_dlms.mode_e import BAUD_RATES, Identification
from gridtokenx_sim.bus_error import BusError
from gridtokenx_sim.clock import CommunityClock
from gridtokenx_sim.config import faults
from gridtokenx_sim.config.dlms import DlmsSerialBus, DlmsTcpBus, PushConfig
from gridtokenx_sim.dlms.meter import DlmsMeter
from gridtokenx_sim.dlms.objects import LOGICAL_DEVICE
from gridtokenx_sim.dlms.push import keep_pushing, send_over_tcp
from gridtokenx_sim.line.line import Line, LineError

_CODES = {baud: code for code, baud in BAUD_RATES.items()}


class RunningDlmsSerialBus:
    """Meters on a serial line; `path` is the link that a gateway opens."""

    kind: Literal["dlms_serial"] = "dlms_serial"

    def __init__(
        self,
        config: DlmsSerialBus,
        meters: Sequence[DlmsMeter],
        clock: CommunityClock,
        complain: Callable[[str], None] | None,
    ) -> None:
        self.name = config.name
        self.path = Path(config.link)
        self.meters = tuple(meters)
        self.faults = [faults.schedule(fault) for fault in config.fault]
        self._config = config
        self._clock = clock
        self._complain = complain
        self._speaker: DlmsMeter | None = None
        self._line: Line | None = None
        self._port: SerialLine | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def plugged(self) -> bool:
        return self._line is not None and self._line.plugged

    async def start(self) -> None:
        config = self._config
        try:
            self._line = Line(
                self.path,
                config.baud,
                paced=config.paced,
                damage=self._damage,
                complain=self._complain,
                follows_meters=True,
            )
            self._port = SerialLine(self._line.meters_port, config.baud)
            self._line.open()
        except (LineError, LinkError) as error:
            raise BusError(str(error)) from None
        devices = [self._device(meter) for meter in self.meters]
        server = HdlcServer(self._port, devices, config.idle_s)
        self._tasks.append(asyncio.create_task(server.run()))
        for meter, device in zip(self.meters, devices, strict=True):
            if meter.config.push:
                self._tasks.append(self._pusher(meter, device, server, meter.config.push))

    def _device(self, meter: DlmsMeter) -> Device:
        config = self._config
        opening = None
        if config.opening == "mode_e":
            opening = Identification(
                maker=meter.kind.letters,
                baud_code=_CODES[config.baud],
                name=meter.config.serial,
                speaks_hdlc=True,
            )
        return Device(
            station=_station(config, meter),
            conduct=partial(self._conduct, meter),
            opening=opening,
            name=meter.config.serial,
        )

    def _conduct(self, meter: DlmsMeter) -> Conduct:
        # A bus is half duplex, so this meter answers the next request.
        self._speaker = meter
        return meter.conduct()

    def _pusher(
        self, meter: DlmsMeter, device: Device, server: HdlcServer, push: PushConfig
    ) -> asyncio.Task[None]:
        client = HdlcAddress.client(push.client)
        own = HdlcAddress.server(LOGICAL_DEVICE, meter.address)

        async def send(message: bytes) -> None:
            self._speaker = meter
            await server.notify(device.station.notify(client, own, message))

        return asyncio.create_task(
            keep_pushing(meter, push, self._clock, send, self._clock.now_ms())
        )

    async def stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        await _end(tasks)
        if self._port is not None:
            self._port.close()
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

    def _damage(self, reply: bytes) -> bytes:
        return self._speaker.pass_wire(reply) if self._speaker else reply


class RunningDlmsTcpBus:
    """A meter behind a TCP port with the wrapper, or meters behind a device server with HDLC."""

    kind: Literal["dlms_tcp"] = "dlms_tcp"

    def __init__(
        self, config: DlmsTcpBus, meters: Sequence[DlmsMeter], clock: CommunityClock
    ) -> None:
        self.name = config.name
        self.host = config.host
        self.port = config.port
        self.meters = tuple(meters)
        self.faults = [faults.schedule(fault) for fault in config.fault]
        self._config = config
        self._clock = clock
        self._listener: TcpListener | None = None
        self._pushers: list[asyncio.Task[None]] = []

    @property
    def plugged(self) -> bool:
        return self._listener is not None

    async def start(self) -> None:
        listener = TcpListener(self._talk, self.host, self.port)
        try:
            await listener.start()
        except OSError:
            raise BusError(
                f"bus {self.name}: expected to listen on {self.host}:{self.port},"
                " but it is taken or not ours"
            ) from None
        self._listener = listener
        self.port = listener.port
        for meter in self.meters:
            if push := meter.config.push:
                send = partial(send_over_tcp, push)
                now_ms = self._clock.now_ms()
                task = asyncio.create_task(keep_pushing(meter, push, self._clock, send, now_ms))
                self._pushers.append(task)

    async def _talk(self, line: StreamLine) -> None:
        config = self._config
        if config.framing == "hdlc":
            devices = [
                Device(station=_station(config, meter), conduct=meter.conduct)
                for meter in self.meters
            ]
            await talk_hdlc(line, devices, config.idle_s)
        else:
            (meter,) = self.meters
            await talk_wrapper(line, meter.associate, meter.conduct, config.idle_s)

    async def stop(self) -> None:
        pushers, self._pushers = self._pushers, []
        await _end(pushers)
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.stop()

    async def unplug(self) -> None:
        """Close the connections and refuses new ones."""
        await self.stop()

    async def replug(self) -> None:
        """Listen again on the same port. Raises BusError."""
        if self._listener is None:
            await self.start()


RunningDlmsBus = RunningDlmsSerialBus | RunningDlmsTcpBus


def _station(config: DlmsSerialBus | DlmsTcpBus, meter: DlmsMeter) -> Station:
    size, window = config.information_bytes, config.window
    return Station(
        meter.address,
        meter.associate,
        LinkParameters(
            transmit_length=size, receive_length=size, transmit_window=window, receive_window=window
        ),
    )


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, LinkError):
            await task
