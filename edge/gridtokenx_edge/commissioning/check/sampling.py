"""Polls the meters of a bus as fast as it allows, and keeps what a check judges."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec

from gridtokenx_edge.commissioning.check.evidence import Evidence, ReadingEvidence, RegisterEvidence
from gridtokenx_edge.commissioning.check.line_exchanges import (
    GATEWAY_EXCEPTIONS,
    ExchangeOutcome,
    LineExchange,
    ListeningLine,
)
from gridtokenx_edge.commissioning.check.register_series import Sample
from gridtokenx_edge.commissioning.check.tcp_framing import why_silent
from gridtokenx_edge.commissioning.check.visit import site_view, values_beside
from gridtokenx_edge.commissioning.check.wiring import RequestStatistics
from gridtokenx_edge.config.edge_config import BusConfig, MeterConfig
from gridtokenx_edge.meters.dlms import DlmsProfile
from gridtokenx_edge.meters.identity import decode_serial, meter_id
from gridtokenx_edge.meters.plan import Block, register_block
from gridtokenx_edge.meters.profile import Profile, load_profile, profile_names
from gridtokenx_edge.meters.sunspec.profile import SunSpecProfile
from gridtokenx_edge.modbus.faults import MeterRefused
from gridtokenx_edge.modbus.readers import Readers, load_any
from gridtokenx_edge.polling.driver import Reader
from gridtokenx_edge.polling.faults import BusFault, LineDown, MeterStrange, ValueMissing
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.reading import Reading, ReadingFlag

# A silent meter costs its time-out. After so many polls it is only asked in every tenth round.
_SILENT_POLLS = 3
_SILENT_ROUNDS = 10
# A slow line gets more time, up to a bound, as few rounds would tell nothing.
_FEWEST_ROUNDS = 10
_MOST_TIMES_LONGER = 3
_MOST_RECONNECTS = 3
_MOST_SAMPLES = 20_000
_MOST_REASONS = 8


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How long is polled, and how long a round takes at least (both real)."""

    duration_s: float
    shortest_round_s: float


class PollOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one poll: a reading, or the fault that there is instead.

    The first reading of a meter has the values beside it; a fault may keep them away.
    """

    exchanges: Sequence[LineExchange]
    reading: Reading | None = None
    values: dict[str, int | None] | None = None
    exchanges_beside: Sequence[LineExchange] = ()
    fault: BusFault | None = None


class MeterSamples(msgspec.Struct, kw_only=True):
    """What a meter said during a check.

    `values` were read between two polls, whose smaller power is `values_power_w`. `refusal` is why
    it was no longer polled: it is another meter, or it answers by another profile.
    """

    bus: str
    meter: MeterConfig
    profile: Profile | SunSpecProfile | DlmsProfile
    statistics: RequestStatistics = msgspec.field(default_factory=RequestStatistics)
    samples: list[Sample] = []
    readings: list[Reading] = []
    reading: Reading | None = None
    polls: int = 0
    polls_us: int = 0
    silent_polls: int = 0
    values: dict[str, int | None] = {}
    values_power_w: int | None = None
    heard: set[str] = set()
    """Why requests of it failed, each reason once."""
    says: str = ""
    refusal: str = ""
    fits: tuple[str, ...] = ()

    @property
    def has_identity(self) -> bool:
        """Whether the meter itself told who it is."""
        return self.reading is not None and not self.reading.flags & ReadingFlag.CONFIGURED_ID

    @property
    def evidence(self) -> Evidence | None:
        """What the meter's counters can be judged by."""
        if isinstance(self.profile, Profile):
            return RegisterEvidence(self.profile, self.samples, invert=self.meter.invert)
        return ReadingEvidence(self.readings) if self.readings else None

    def keep(self, reading: Reading, took_us: int) -> None:
        """Keep a poll of a device whose raw registers nobody sees."""
        self.reading = reading
        self.polls += 1
        self.polls_us += took_us
        if len(self.readings) < _MOST_SAMPLES:
            self.readings.append(reading)

    def keep_outcome(self, outcome: PollOutcome) -> None:
        """Keep what came of a poll. That the line is down says nothing of the meter."""
        if reading := outcome.reading:
            if self.polls == 1 and self.values_power_w is not None:
                self.values_power_w = min(self.values_power_w, reading.power_w, key=abs)
            self.reading = reading
            self.silent_polls = 0
            self.says = self.meter.id if self.has_identity else ""
            if outcome.values is not None:
                self.values, self.values_power_w = outcome.values, reading.power_w
            if outcome.fault is None and len(self.readings) < _MOST_SAMPLES:
                self.readings.append(reading)
        self.keep_exchanges(outcome.exchanges)
        self.keep_exchanges(outcome.exchanges_beside)
        self._keep_fault(outcome.fault)

    def _keep_fault(self, fault: BusFault | None) -> None:
        match fault:
            case None | LineDown():
                pass
            case MeterStrange():
                self.refusal, self.says = str(fault), fault.says
            case MeterRefused():
                if self.reading is None and fault.code not in GATEWAY_EXCEPTIONS:
                    self.refusal = str(fault)
            case ValueMissing():
                self.silent_polls = 0
            case _:
                self.silent_polls += 1

    def keep_exchanges(self, exchanges: Sequence[LineExchange]) -> None:
        """Count the requests of a poll, and keep its registers if it was whole."""
        passed = [each for each in exchanges if each.outcome is not ExchangeOutcome.LINE_DOWN]
        for exchange in passed:
            self.statistics.add(exchange)
            if exchange.error and len(self.heard) < _MOST_REASONS:
                self.heard.add(exchange.error)
        if isinstance(self.profile, Profile):
            asked = [exchange for exchange in passed if exchange.block.points]
            sample = _sample_of(self.profile, asked)
            if sample is None:
                return
            if len(self.samples) < _MOST_SAMPLES:
                self.samples.append(sample)
        elif self.reading is None or not passed:
            return
        else:
            asked = passed
        self.polls += 1
        self.polls_us += sum(exchange.took_us for exchange in asked)


class BusSamples(msgspec.Struct, kw_only=True):
    """A bus after its check. `down` is why the line could not be used, `hint` is what to do where
    nobody answers, if that is known.
    """

    bus: BusConfig
    meters: list[MeterSamples]
    down: str = ""
    hint: str = ""


async def sample_bus(
    bus: BusConfig,
    meters: Sequence[MeterConfig],
    clock: Clock,
    pace: Pace,
    on_round: Callable[[], None],
) -> BusSamples:
    """Poll for the pace's duration. It never raises BusFault: what fails is a sample, too."""
    found = [
        MeterSamples(bus=bus.name, meter=meter, profile=load_any(meter.profile)) for meter in meters
    ]
    line = ListeningLine(bus, clock)
    try:
        await line.connect()
        await _sample(line, found, clock, pace, on_round)
        for each in found:
            if each.refusal and not each.says:
                each.fits = await _fitting_profiles(line, each)
    except LineDown as fault:
        return BusSamples(bus=bus, meters=found, down=str(fault))
    finally:
        line.close()
    hint = ""
    if not any(each.statistics.heard for each in found):
        hint = await why_silent(bus, meters, [text for each in found for text in each.heard])
    return BusSamples(bus=bus, meters=found, hint=hint)


async def _sample(
    line: ListeningLine,
    found: Sequence[MeterSamples],
    clock: Clock,
    pace: Pace,
    on_round: Callable[[], None],
) -> None:
    of_line = Readers(line, clock)
    readers = [of_line.make(each.meter) for each in found]
    until_s = time.monotonic() + pace.duration_s
    latest_s = until_s + (_MOST_TIMES_LONGER - 1) * pace.duration_s
    rounds = reconnects = 0
    while not all(each.refusal for each in found):
        if time.monotonic() >= (latest_s if rounds < _FEWEST_ROUNDS else until_s):
            return
        began_s = time.monotonic()
        for each, reader in zip(found, readers, strict=True):
            is_silent = each.silent_polls >= _SILENT_POLLS
            if each.refusal or (is_silent and rounds % _SILENT_ROUNDS):
                continue
            outcome = await _poll(line, each.meter, reader, is_first=each.reading is None)
            each.keep_outcome(outcome)
            if isinstance(outcome.fault, LineDown):
                # After many silent requests the line does this by itself, too.
                reconnects += not each.silent_polls
                if reconnects > _MOST_RECONNECTS:
                    raise outcome.fault
                await line.connect()
        rounds += 1
        on_round()
        await asyncio.sleep(max(0.0, began_s + pace.shortest_round_s - time.monotonic()))


async def _poll(
    line: ListeningLine, meter: MeterConfig, reader: Reader, *, is_first: bool
) -> PollOutcome:
    """Return what came of one poll. Behind the first one, the values beside it are read, too."""
    try:
        reading = await reader.poll()
    except BusFault as fault:
        return PollOutcome(exchanges=line.take(), fault=fault)
    exchanges = line.take()
    if not is_first:
        return PollOutcome(exchanges=exchanges, reading=reading)
    values: dict[str, int | None] | None = None
    missed: BusFault | None = None
    try:
        values = site_view(await values_beside(reader), invert=meter.invert)
    except BusFault as fault:
        missed = fault
    return PollOutcome(
        exchanges=exchanges,
        reading=reading,
        values=values,
        exchanges_beside=line.take(),
        fault=missed,
    )


def _sample_of(profile: Profile, exchanges: Sequence[LineExchange]) -> Sample | None:
    """Return the registers of one poll, or None if it was not whole."""
    words: dict[str, tuple[int, ...]] = {}
    times_ms: list[int] = []
    points = profile.points()
    for exchange in exchanges:
        told = [name for name in exchange.block.points if name in points]
        if exchange.outcome is not ExchangeOutcome.ANSWERED or not told:
            continue
        times_ms.append(exchange.time_ms)
        for name in told:
            start = points[name].address - exchange.block.address
            words[name] = exchange.words[start : start + points[name].count]
    if not {"energy_import", "active_power"} <= set(words):
        return None
    return Sample(times_ms[0], words)


class _IdentityRegisters:
    """The registers with which one meter says who it is. Each block is asked for once."""

    def __init__(self, line: ListeningLine, address: int) -> None:
        self._line = line
        self._address = address
        self._answers: dict[tuple[int, int, int], Sequence[int]] = {}

    async def read(self, block: Block) -> Sequence[int]:
        """Return the words of a block, or none if the meter refuses or is silent.

        Raises LineDown.
        """
        place = (block.fc, block.address, block.count)
        if place not in self._answers:
            try:
                async with self._line.hold():
                    self._answers[place] = await self._line.read(self._address, block)
            except LineDown:
                raise
            except BusFault:
                self._answers[place] = ()
        return self._answers[place]


async def _fitting_profiles(line: ListeningLine, found: MeterSamples) -> tuple[str, ...]:
    """Return other profiles whose identity registers this meter answers, the surest ones first."""
    fits: dict[bool, list[str]] = {True: [], False: []}
    registers = _IdentityRegisters(line, found.meter.address)
    for name in profile_names():
        profile = load_profile(name)
        if name == found.meter.profile or not profile.identity:
            continue
        words = await registers.read(register_block(profile.identity))
        serial = decode_serial(profile.identity, words) if words else ""
        model = profile.identity.model
        if not serial:
            continue
        if model:
            code = await registers.read(register_block(model))
            if not code or _number(code) not in model.values:
                continue
        fits[model is not None].append(f"{name} ({meter_id(profile.maker, serial)})")
    return tuple((fits[True] or fits[False])[:3])


def _number(words: Sequence[int]) -> int:
    return int.from_bytes(b"".join(word.to_bytes(2, "big") for word in words), "big")
