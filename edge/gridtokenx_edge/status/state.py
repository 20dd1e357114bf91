"""What the gateway knows about itself, as one value: `/status.json`."""

from __future__ import annotations

import time
from typing import Protocol

import msgspec

from gridtokenx_edge.config.edge_config import EdgeConfig
from gridtokenx_edge.memory import resident_bytes
from gridtokenx_edge.polling.stats import BusStats, MeterStats
from gridtokenx_edge.status.kernel_clock import read_kernel_clock
from gridtokenx_edge.store.clock_status import ClockSource, kernel_synchronised
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.store.sealer import Sealer
from gridtokenx_edge.uplink.troubles import Trouble
from gridtokenx_edge.uplink.uplink import Uplink
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.keys import device_text
from gridtokenx_wire.reading import ReadingFlag


class ObservedGateway(Protocol):
    """The parts of the gateway that the status shows."""

    @property
    def config(self) -> EdgeConfig: ...
    @property
    def version(self) -> str: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def outbox_bytes(self) -> int: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def sealer(self) -> Sealer: ...
    @property
    def bus_stats(self) -> dict[str, BusStats]: ...
    @property
    def uplink(self) -> Uplink: ...


class MeterState(msgspec.Struct, frozen=True, kw_only=True):
    """A meter and its last values. They are None before its first reading and if it has none.

    `is_late` is true if three polls brought nothing new. `age_s` is real time since the value was
    read. `clock_ahead_ms` is how far the meter's own clock is ahead of the gateway's, if it has
    one.
    """

    id: str
    profile: str
    address: int
    poll_every_s: float
    readings: int
    polls_missed: int
    errors: dict[str, int]
    error: str
    round_trip_ms: int
    answers: int
    answers_s: float
    time_ms: int | None = None
    age_s: float | None = None
    is_late: bool = True
    import_uwh: int | None = None
    export_uwh: int | None = None
    power_w: int | None = None
    clock_ahead_ms: int | None = None


class BusState(msgspec.Struct, frozen=True, kw_only=True):
    """A bus. `utilisation` is the share of time, 0 to 1, over the last minute or two."""

    name: str
    where: str
    is_up: bool
    utilisation: float
    requests: int
    busy_s: float
    meters: list[MeterState]


class OutboxState(msgspec.Struct, frozen=True, kw_only=True):
    """Frames on the disk, and readings that are in no frame yet."""

    is_open: bool
    frames: int
    bytes: int
    readings_held: int
    readings_sealed: int
    readings_dropped: int


class UplinkState(msgspec.Struct, frozen=True, kw_only=True):
    """The connection to the backend.

    `last_ack_age_s` is None before the first ack since the start, `trouble` is what keeps readings
    from being acked, if that is known.
    """

    broker: str
    is_connected: bool
    frames_unacked: int
    frames_sent: int
    frames_resent: int
    frames_acked: int
    verdicts: dict[str, int]
    last_ack_age_s: float | None
    trouble: Trouble | None = None


class ClockState(msgspec.Struct, frozen=True, kw_only=True):
    """`max_error_ms` bounds the clock's error, `drift_ppm` is how far its crystal is off: both
    are the kernel's, and None where it may not be asked or the clock is scaled."""

    is_synchronised: bool
    source: ClockSource
    time_ms: int
    max_error_ms: float | None = None
    drift_ppm: float | None = None


class GatewayState(msgspec.Struct, frozen=True, kw_only=True):
    """The whole status. Times are Unix milliseconds of community time."""

    version: str
    device: str
    community: str
    site: str
    up_s: float
    cpu_s: float
    memory_bytes: int
    clock: ClockState
    buses: list[BusState]
    outbox: OutboxState
    uplink: UplinkState


def gateway_state(gateway: ObservedGateway, started_s: float) -> GatewayState:
    """Look at every part and return the status. `started_s` is monotonic."""
    config = gateway.config
    now_ms = gateway.clock.now_ms()
    return GatewayState(
        version=gateway.version,
        device=device_text(gateway.outbox.device),
        community=config.site.community,
        site=config.site.name,
        up_s=round(time.monotonic() - started_s, 1),
        cpu_s=time.process_time(),
        memory_bytes=resident_bytes(),
        clock=_clock(gateway, now_ms),
        buses=[_bus(bus, gateway.clock) for bus in gateway.bus_stats.values()],
        outbox=_outbox(gateway),
        uplink=_uplink(gateway),
    )


def _clock(gateway: ObservedGateway, now_ms: int) -> ClockState:
    if gateway.config.clock.source == "scaled":
        return ClockState(is_synchronised=True, source="scaled", time_ms=now_ms)
    is_synchronised, kernel = kernel_synchronised(), read_kernel_clock()
    source: ClockSource = "ntp" if is_synchronised else "none"
    if kernel is None:
        return ClockState(is_synchronised=is_synchronised, source=source, time_ms=now_ms)
    return ClockState(
        is_synchronised=is_synchronised,
        source=source,
        time_ms=now_ms,
        max_error_ms=kernel.max_error_ms,
        drift_ppm=kernel.drift_ppm,
    )


def _bus(bus: BusStats, clock: Clock) -> BusState:
    return BusState(
        name=bus.name,
        where=bus.where,
        is_up=bus.is_up(),
        utilisation=round(bus.utilisation, 4),
        requests=bus.requests,
        busy_s=round(bus.busy_s, 3),
        meters=[_meter(meter, clock) for meter in bus.meters.values()],
    )


def _meter(meter: MeterStats, clock: Clock) -> MeterState:
    config, last = meter.config, meter.last
    state = MeterState(
        id=config.id,
        profile=config.profile,
        address=meter.model.address,
        poll_every_s=config.poll_every_s,
        readings=meter.readings,
        polls_missed=meter.missed,
        errors=dict(meter.errors),
        error=meter.error,
        round_trip_ms=round(meter.round_trip_s * 1000),
        answers=meter.answers,
        answers_s=round(meter.answers_s, 3),
    )
    if last is None:
        return state
    age_ms = max(0, clock.now_ms() - last.time_ms)
    flags = ReadingFlag(last.flags)
    return msgspec.structs.replace(
        state,
        time_ms=last.time_ms,
        age_s=round(clock.real_seconds(age_ms), 1),
        is_late=age_ms > 3 * config.every_ms,
        import_uwh=None if ReadingFlag.NO_IMPORT in flags else last.import_uwh,
        export_uwh=None if ReadingFlag.NO_EXPORT in flags else last.export_uwh,
        power_w=None if ReadingFlag.NO_POWER in flags else last.power_w,
        clock_ahead_ms=meter.clock_drift_ms(),
    )


def _outbox(gateway: ObservedGateway) -> OutboxState:
    outbox, sealer = gateway.outbox, gateway.sealer
    return OutboxState(
        is_open=outbox.opened.is_set(),
        frames=outbox.next_seq - outbox.oldest_seq,
        bytes=gateway.outbox_bytes,
        readings_held=sealer.held,
        readings_sealed=sealer.sealed,
        readings_dropped=sealer.dropped,
    )


def _uplink(gateway: ObservedGateway) -> UplinkState:
    uplink, broker = gateway.uplink, gateway.config.broker
    counts, acked_at_s = uplink.counts, uplink.acked_at_s
    return UplinkState(
        broker=f"{broker.host}:{broker.port}",
        is_connected=uplink.is_connected,
        frames_unacked=uplink.unacked,
        frames_sent=counts.sent,
        frames_resent=counts.resent,
        frames_acked=counts.acked,
        verdicts=dict(counts.verdicts),
        last_ack_age_s=None if acked_at_s is None else round(time.monotonic() - acked_at_s, 1),
        trouble=uplink.trouble,
    )
