"""The face of a driver: what polling needs to know of a protocol, and what it hands to it.

    Driver          what a protocol's folder offers; it knows the buses of one section of the config
    └── Bus         one line with its meters, opened
        └── PolledMeter    one meter that is asked at its times: its line, its reader

Meters that send by themselves have no PolledMeter: their readings come while the bus runs. A
driver of your own implements these protocols and stands in the table of agent/drivers.py; all that
is above them (the poller, the schedule, statistics, supervision, reload) is the same for all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from gridtokenx_edge.log import Logger
from gridtokenx_edge.polling.faults import BusFault
from gridtokenx_edge.polling.reading_sink import ReadingSink
from gridtokenx_edge.polling.silent_meter_budget import SilentMeterBudget
from gridtokenx_edge.polling.watch import LineWatch
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.reading import Reading


class MeterSettings(Protocol):
    """What the config of every meter has, whatever protocol it speaks."""

    @property
    def id(self) -> str: ...
    @property
    def profile(self) -> str: ...
    @property
    def poll_every_s(self) -> float: ...
    @property
    def every_ms(self) -> int: ...


class BusSettings(Protocol):
    """What the config of every bus has."""

    @property
    def name(self) -> str: ...
    @property
    def meter(self) -> Sequence[MeterSettings]: ...


BusT_contra = TypeVar("BusT_contra", bound=BusSettings, contravariant=True)
MeterT_contra = TypeVar("MeterT_contra", bound=MeterSettings, contravariant=True)


class MeterUnusableError(Exception):
    """A meter cannot be opened as its config says; the text is one line, such as a lost secret."""


class StoredReadingsError(Exception):
    """The readings that are on the disk cannot be read now; the text is one line."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent hands to each of its drivers."""

    clock: Clock
    log: Logger
    is_synchronised: Callable[[], bool]
    """Whether a time service keeps this machine's clock."""
    folder: Path
    """Where the config file stands; file names in it are relative to this folder."""
    state: Path
    """Where a driver may keep files of its own."""
    device: bytes
    """The id of this gateway's key."""
    stored_readings: Callable[[], AsyncIterator[Reading]]
    """Yields the readings that wait in the outbox, oldest first. Raises StoredReadingsError."""


class MeterModel(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a meter from its config and its profile, for people."""

    address: int
    name: str = ""
    """As its profile says it, such as `ABB B21 (1-phase)`."""
    maker: str = ""
    """Empty where the profile is that of many makers."""
    is_contested: bool = False
    """Whether the sources of the profile disagree."""
    notes: tuple[str, ...] = ()


class BusFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver knows of a bus from its config, before it is opened."""

    line: object
    """What the line is opened with. Where a reload changes it, the whole bus is opened anew."""
    where: str
    """The port or the server, as a person would write it."""
    models: Mapping[str, MeterModel]
    """By the id of the meter."""
    poll_bound_s: float
    """A poll that takes longer than this hangs."""
    turn_bound_s: float | None = None
    """`Bus.run` hangs if it does not come round (LineWatch.turned) for longer than this; None: it
    does not tell."""


class PolledLine(Protocol):
    """What the poller needs of a line."""

    @property
    def name(self) -> str: ...

    @property
    def opens_on_demand(self) -> bool:
        """Whether a contact with a meter opens the line, and so learns that it is down. Otherwise
        `Bus.run` keeps the line connected, and reports its faults itself."""
        ...

    @property
    def silent_meters(self) -> SilentMeterBudget | None:
        """How much of the line meters without an answer may take; None: no bound."""
        ...

    @property
    def is_up(self) -> bool: ...

    async def until_up(self) -> None:
        """Return once a contact with a meter is worth a try."""


class Reader(Protocol):
    """Reads one meter."""

    @property
    def clock_drift_ms(self) -> int | None:
        """How far the meter's own clock is ahead of the gateway's; None: not known."""
        ...

    def forget_identity(self) -> None:
        """The meter was away: look again who it is before the next reading."""

    async def contact(self) -> None:
        """Make sure that the meter is there and is the configured one. Raises BusFault."""

    async def poll(self) -> Reading:
        """Return a reading whose every value was read just now. Raises BusFault."""
        ...


class PolledMeter(msgspec.Struct, frozen=True, kw_only=True):
    """A meter that was opened to be polled."""

    line: PolledLine
    reader: Reader
    sink: ReadingSink
    """Where its readings go: the sink that `open_meter` got, or one that passes them on to it."""
    address: int = 0
    """What the line's budget for silent meters knows it by."""
    retries: int = 0
    """How often a poll asks again after silence or a garbled reply."""
    beside: Callable[[], Coroutine[Any, Any, None]] | None = None
    """What runs beside the polls until cancelled, such as the repair of gaps."""


class ListenedMeter(Protocol):
    """A meter that sends its readings by itself."""

    failed: Callable[[BusFault], None]
    """What is told of each message that was of no use; set by whoever opened the meter."""

    @property
    def clock_drift_ms(self) -> int | None:
        """How far the meter's own clock is ahead of the gateway's; None: not known."""
        ...


class Bus(Protocol[MeterT_contra]):
    """A line with its meters, as a driver opened it."""

    @property
    def is_up(self) -> bool: ...

    async def run(self) -> None:
        """Work until cancelled (keep the line connected, listen to meters that send by
        themselves); then close the line."""

    def open_meter(
        self, meter: MeterT_contra, sink: ReadingSink
    ) -> PolledMeter | ListenedMeter | None:
        """Return the meter to be polled, or one that sends its readings to `sink` by itself, or
        None for such a one of which nothing more is known.

        Raises MeterUnusableError.
        """
        ...

    async def close_meter(self, meter: str) -> None:
        """End what was opened for the meter of this id. What takes too long is cancelled."""


class Driver(Protocol[BusT_contra, MeterT_contra]):
    """A protocol that meters speak."""

    def facts(self, bus: BusT_contra) -> BusFacts:
        """Return what is known of a bus from its config. Pure but for the files of profiles."""
        ...

    async def prepare(self, buses: Sequence[BusT_contra]) -> None:
        """Get ready for the buses of a new config, before any of them is opened or changed."""

    def open_bus(self, bus: BusT_contra, watch: LineWatch) -> Bus[MeterT_contra]:
        """Return the bus without its meters. It is `run` from now on."""
        ...

    def stored(self, readings: Sequence[Reading]) -> None:
        """Take note that these readings, of any driver's meters, are safe on the disk."""

    def close(self) -> None:
        """Keep what must outlive the agent: all buses are stopped and all readings are stored."""
