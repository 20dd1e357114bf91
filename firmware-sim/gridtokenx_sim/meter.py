"""A simulated meter: physics behind a register layout, with faults in front."""

from __future__ import annotations

import msgspec

from gridtokenx_sim import faults
from gridtokenx_sim.amounts import Kwh
from gridtokenx_sim.clock import CommunityClock
from gridtokenx_sim.config import MeterConfig, Site
from gridtokenx_sim.config_checks import meter_id
from gridtokenx_sim.faults import MeterFault, Scheduled
from gridtokenx_sim.models import MODELS
from gridtokenx_sim.models.snapshot import Snapshot, take_snapshot
from gridtokenx_sim.physics.energy import MW_MS_PER_UWH, Counted, MeterElement, Registers
from gridtokenx_sim.physics.household import Household
from gridtokenx_sim.physics.noise import seed_for
from gridtokenx_sim.physics.site import Sky

_UWH_PER_WH = 10**6


class Answer(msgspec.Struct, frozen=True):
    """A reply: the registers, or (where they are None) an exception code; `delay_ms` late."""

    registers: list[int] | None
    exception: int = 0
    delay_ms: int = 0


class SimMeter:
    """One meter on a bus. `registers()` is the truth, `answer()` is what it says."""

    def __init__(
        self, config: MeterConfig, bus: str, site: Site, sky: Sky, clock: CommunityClock
    ) -> None:
        self.id = meter_id(config)
        self.model = config.model
        self.address = config.address
        self.bus = bus
        self._config = config
        self._layout = MODELS[config.model].at(config.sunspec_base)
        self._seed = seed_for(site.seed, self.id)
        self._start_ms = site.start_ms
        self._clock = clock
        self._element = _element(config, site, sky, self._seed)
        self._scheduled = [faults.schedule(fault) for fault in config.fault]
        self._replies = 0

    def registers(self, time_ms: int | None = None) -> Registers:
        """The true counters and power, now or at a community time; faults do not touch them."""
        return self._element.at(self._clock.now_ms() if time_ms is None else time_ms)

    def inject(self, fault: MeterFault) -> None:
        """Switches a fault on. Without `from_s` it begins now."""
        self._scheduled.append(faults.schedule(fault, default_from_ms=self._elapsed_ms()))

    def clear_faults(self) -> None:
        """Ends every fault, also those of the config."""
        self._scheduled.clear()

    def active_faults(self) -> list[MeterFault]:
        """The faults in effect now."""
        return [scheduled.fault for scheduled in self._active(self._elapsed_ms())]

    def shown(self) -> Registers:
        """The registers as the meter shows them, with the faults that change them."""
        elapsed_ms = self._elapsed_ms()
        return self._shown(self._active(elapsed_ms), elapsed_ms)

    def answer(self, function: int, address: int, count: int) -> Answer | None:
        """The reply to a read request at this moment; None is silence."""
        elapsed_ms = self._elapsed_ms()
        active = self._active(elapsed_ms)
        delay_ms = exception = 0
        for scheduled in active:
            match scheduled.fault:
                case faults.Silence():
                    return None
                case faults.Slow(delay_ms=delay):
                    delay_ms += delay
                case faults.ExceptionReply(code=code):
                    exception = code
        if exception:
            return Answer(None, exception, delay_ms)
        result = self._layout.read(self._snapshot(active, elapsed_ms), function, address, count)
        if isinstance(result, int):
            return Answer(None, result, delay_ms)
        return Answer(result, 0, delay_ms)

    def pass_wire(self, reply: bytes) -> bytes:
        """A reply of this meter after its way over the wire."""
        bad = [
            scheduled.fault
            for scheduled in self._active(self._elapsed_ms())
            if isinstance(scheduled.fault, faults.WIRE_FAULTS)
        ]
        self._replies += 1
        for fault in bad:
            if reply and self._replies % fault.every == 0:
                reply = faults.corrupt(reply, fault)
        return reply

    def _elapsed_ms(self) -> int:
        return max(0, self._clock.now_ms() - self._start_ms)

    def _active(self, elapsed_ms: int) -> list[Scheduled[MeterFault]]:
        return [scheduled for scheduled in self._scheduled if scheduled.holds(elapsed_ms)]

    def _shown(self, active: list[Scheduled[MeterFault]], elapsed_ms: int) -> Registers:
        registers = self._element.at(self._start_ms + faults.seen_ms(active, elapsed_ms))
        if not (lost_uwh := faults.lost_uwh(active)):
            return registers
        return msgspec.structs.replace(
            registers,
            import_uwh=max(0, registers.import_uwh - lost_uwh),
            export_uwh=max(0, registers.export_uwh - lost_uwh),
        )

    def _snapshot(self, active: list[Scheduled[MeterFault]], elapsed_ms: int) -> Snapshot:
        shown = self._shown(active, elapsed_ms)
        if self._config.inverted:
            shown = Registers(shown.time_ms, shown.export_uwh, shown.import_uwh, -shown.power_mw)
        snapshot = take_snapshot(
            shown, serial=self._config.serial, phases=self._layout.phases, seed=self._seed
        )
        if any(isinstance(scheduled.fault, faults.Undefined) for scheduled in active):
            return msgspec.structs.replace(
                snapshot, import_uwh=None, export_uwh=None, power_mw=None
            )
        if not self._config.has_export:
            return msgspec.structs.replace(snapshot, export_uwh=None)
        return snapshot


def _element(config: MeterConfig, site: Site, sky: Sky, seed: int) -> MeterElement:
    household = Household(
        config.annual_load_kwh // _UWH_PER_WH, site.latitude, site.longitude, seed
    )
    opening = Counted(_mw_ms(config.import_kwh), _mw_ms(config.export_kwh))
    return MeterElement(sky, household, config.solar_kwp, site.start_ms, opening)


def _mw_ms(energy_uwh: Kwh) -> int:
    return energy_uwh * MW_MS_PER_UWH
