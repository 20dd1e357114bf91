"""A simulated DLMS meter: the physics behind COSEM objects, its own clock, faults in front."""

from __future__ import annotations

import os
from collections.abc import Callable

from gridtokenx_dlms.acse import (
    AARQ_TAG,
    Aare,
    AssociationResult,
    ContextName,
    Diagnostic,
    Mechanism,
)
from gridtokenx_dlms.aio.server import Conduct
from gridtokenx_dlms.hdlc.station import Conversation
from gridtokenx_dlms.objects.device import ObjectModel
from gridtokenx_dlms.objects.profile_generic import Row
from gridtokenx_dlms.security import Keys, Protection, ReplayGuard
from gridtokenx_dlms.server import ClientTerms, ServerAssociation
from gridtokenx_sim.clock import CommunityClock
from gridtokenx_sim.config import faults
from gridtokenx_sim.config.dlms import ClientConfig, DlmsMeterConfig
from gridtokenx_sim.config.faults import AnyMeterFault, Scheduled
from gridtokenx_sim.config.sim_config import Site
from gridtokenx_sim.dlms.load_profile import LoadProfile
from gridtokenx_sim.dlms.meter_clock import MeterClock
from gridtokenx_sim.dlms.objects import LOGICAL_DEVICE, ClientView, Source, logical_device
from gridtokenx_sim.measurement import Installation, Measurement
from gridtokenx_sim.models.dlms import DLMS_MODELS, logical_device_name, system_title
from gridtokenx_sim.models.snapshot import Snapshot, take_snapshot
from gridtokenx_sim.physics.energy import Registers
from gridtokenx_sim.physics.noise import seed_for
from gridtokenx_sim.physics.site import Sky

_MECHANISMS = {"none": Mechanism.NONE, "low": Mechanism.LOW, "gmac": Mechanism.HIGH_GMAC}


class DlmsMeter:
    """One meter on a bus. `registers()` is the truth; clients see what associations tell."""

    def __init__(
        self, config: DlmsMeterConfig, bus: str, site: Site, sky: Sky, clock: CommunityClock
    ) -> None:
        self.kind = DLMS_MODELS[config.model]
        self.id = self.kind.meter_id(config.serial)
        self.model = config.model
        self.address = config.address
        self.bus = bus
        self.config = config
        self.title = system_title(self.kind, config.serial)
        self._clock = clock
        self._seed = seed_for(site.seed, self.id)
        installation = Installation(
            solar_kwp=config.solar_kwp,
            annual_load_kwh=config.annual_load_kwh,
            import_kwh=config.import_kwh,
            export_kwh=config.export_kwh,
        )
        scheduled: list[Scheduled[AnyMeterFault]] = [
            faults.schedule(fault) for fault in config.fault
        ]
        self._measurement = Measurement(installation, site, sky, clock, self._seed, scheduled)
        self._meter_clock = MeterClock(
            site.start_ms, config.clock_offset_s * 1000, config.drift_ppm, self._jump_ms
        )
        self._profile = LoadProfile(
            self._meter_clock, self._shown_at, site.start_ms, config.profile_days
        )
        self._counter = 0
        self._was_reset = False
        self._put_off = 0
        self._guards = {one.address: ReplayGuard() for one in config.client if has_keys(one)}
        self._models = {one.address: self._device(one) for one in config.client}

    # --- as every meter -------------------------------------------------------------------------

    def registers(self, time_ms: int | None = None) -> Registers:
        """Return the true counters and power, now or at a community time; faults do not
        touch them.
        """
        return self._measurement.registers(time_ms)

    def inject(self, fault: AnyMeterFault) -> None:
        """Switch a fault on. Without `from_s` it begins now."""
        self._capture()
        self._was_reset = False
        self._measurement.inject(fault)

    def clear_faults(self) -> None:
        """End every fault, also those of the config."""
        self._capture()
        self._measurement.clear_faults()

    def active_faults(self) -> list[AnyMeterFault]:
        """Return the faults in effect now."""
        active = self._measurement.active(self._measurement.elapsed_ms())
        return [scheduled.fault for scheduled in active]

    def shown(self) -> Registers:
        """Return the registers as the meter shows them, with the faults that change them."""
        return self._measurement.shown(self._measurement.elapsed_ms())

    def pass_wire(self, reply: bytes) -> bytes:
        """Return a reply of this meter after its way over the wire."""
        return self._measurement.pass_wire(reply)

    # --- as a DLMS meter ------------------------------------------------------------------------

    def clock_ms(self) -> int:
        """Return what the meter's own clock shows, in Unix milliseconds."""
        return self._meter_clock.shown_ms(self._clock.now_ms())

    def take_counter(self) -> int:
        """Return the meter's next invocation counter."""
        resets = [one for one in self.active_faults() if isinstance(one, faults.CounterReset)]
        if resets and not self._was_reset:
            self._counter = 0
            for guard in self._guards.values():
                guard.newest = -1
        self._was_reset = bool(resets)
        self._counter += 1
        return self._counter

    def conduct(self) -> Conduct:
        """Return how it treats the frame that comes now."""
        delay_s, is_silent, busy = 0.0, False, 0
        for fault in self.active_faults():
            match fault:
                case faults.Silence():
                    is_silent = True
                case faults.Slow(delay_ms=delay_ms):
                    delay_s += delay_ms / 1000
                case faults.Busy(times=times):
                    busy = times
        # Behind the frames that are put off it takes two: the client's question and its request.
        self._put_off = (self._put_off + 1) % (busy + 2)
        return Conduct(delay_s=delay_s, is_silent=is_silent, is_busy=0 < self._put_off <= busy)

    def associate(self, client: int, server: int) -> Conversation | None:
        """Return a conversation with one of its clients; None for strangers."""
        if server != LOGICAL_DEVICE or client not in self._models:
            return None
        config = next(one for one in self.config.client if one.address == client)
        association = ServerAssociation(
            client,
            _terms(config, self.config.max_pdu_bytes),
            self._models[client],
            self.title,
            self.take_counter,
            os.urandom,
            self._guards.get(client),
        )
        return _Conversation(association, self.active_faults)

    def objects(self, client: int) -> ObjectModel:
        """Return what a client of this address reads."""
        return self._models[client]

    # --- values ---------------------------------------------------------------------------------

    def _device(self, config: ClientConfig) -> ObjectModel:
        source = Source(
            snapshot=self._snapshot,
            clock_ms=self.clock_ms,
            move_clock_ms=self._move_clock,
            rows=self._rows,
            counters=tuple(map(_newest, self._guards.values())),
            name=logical_device_name(self.kind, self.config.serial),
            serial=self.config.serial,
            zone_min=self.config.zone_min,
            phases=self.kind.phases,
            has_export=self.config.has_export,
            profile_rows=self._profile.capacity,
        )
        view = ClientView(
            address=config.address,
            mechanism=_MECHANISMS[config.mechanism],
            protection=Protection[config.protection.upper()],
            reads_all=config.reads == "all",
            may_write=config.may_write,
            max_pdu_bytes=self.config.max_pdu_bytes,
            title=self.title,
        )
        return logical_device(source, view)

    def _snapshot(self) -> Snapshot:
        return take_snapshot(
            self.shown(),
            serial=self.config.serial,
            phases=self.kind.phases,
            seed=self._seed,
        )

    def _rows(self, first_ms: int, last_ms: int) -> list[Row]:
        self._capture()
        return self._profile.rows(
            first_ms, last_ms, self.config.zone_min, has_export=self.config.has_export
        )

    def _capture(self) -> None:
        self._profile.capture(self._clock.now_ms())

    def _shown_at(self, time_ms: int) -> Registers:
        return self._measurement.shown(self._measurement.elapsed_ms(time_ms))

    def _move_clock(self, by_ms: int) -> None:
        self._capture()
        self._meter_clock.move(by_ms)

    def _jump_ms(self, time_ms: int) -> int:
        active = self._measurement.active(self._measurement.elapsed_ms(time_ms))
        return sum(
            scheduled.fault.seconds * 1000
            for scheduled in active
            if isinstance(scheduled.fault, faults.ClockJump)
        )


class _Conversation:
    """An association whose messages pass the meter's faults first."""

    def __init__(
        self, association: ServerAssociation, active: Callable[[], list[AnyMeterFault]]
    ) -> None:
        self._association = association
        self._active = active

    def handle(self, message: bytes) -> bytes:
        active = self._active()
        if message[:1] == bytes((AARQ_TAG,)) and _has(active, faults.Refused):
            return Aare(
                context=ContextName.LOGICAL_NAMES,
                result=AssociationResult.REJECTED_TRANSIENT,
                diagnostic=Diagnostic.NO_REASON,
            ).to_bytes()
        if self._association.is_sending_blocks and _has(active, faults.BlocksInterrupted):
            self._association.abort_long_get()
        return self._association.handle(message)

    def close(self) -> None:
        self._association.close()


def _has(active: list[AnyMeterFault], kind: type[AnyMeterFault]) -> bool:
    return any(isinstance(fault, kind) for fault in active)


def has_keys(client: ClientConfig) -> bool:
    return client.encryption_key is not None and client.authentication_key is not None


def client_keys(client: ClientConfig) -> Keys | None:
    if client.encryption_key is None or client.authentication_key is None:
        return None
    return Keys(
        encryption=bytes.fromhex(client.encryption_key),
        authentication=bytes.fromhex(client.authentication_key),
    )


def _terms(client: ClientConfig, max_pdu_bytes: int) -> ClientTerms:
    return ClientTerms(
        mechanism=_MECHANISMS[client.mechanism],
        secret=client.password.encode(),
        keys=client_keys(client),
        protection=Protection[client.protection.upper()],
        max_pdu_bytes=max_pdu_bytes,
    )


def _newest(guard: ReplayGuard) -> Callable[[], int]:
    """Return the newest counter as the meter tells it: zero where there has been none."""
    return lambda: max(0, guard.newest)
