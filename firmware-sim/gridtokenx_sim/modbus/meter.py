"""A simulated Modbus meter: physics behind a register layout, with faults in front."""

from __future__ import annotations

import msgspec

from gridtokenx_sim.clock import CommunityClock
from gridtokenx_sim.config import faults
from gridtokenx_sim.config.checks import meter_id
from gridtokenx_sim.config.faults import AnyMeterFault, Scheduled
from gridtokenx_sim.config.sim_config import MeterConfig, Site
from gridtokenx_sim.measurement import Installation, Measurement
from gridtokenx_sim.models import MODELS
from gridtokenx_sim.models.snapshot import Snapshot, take_snapshot
from gridtokenx_sim.physics.energy import Registers
from gridtokenx_sim.physics.noise import seed_for
from gridtokenx_sim.physics.site import Sky


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A reply: the registers, or (where they are None) an exception code. It is `delay_ms` late."""

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

    def registers(self, time_ms: int | None = None) -> Registers:
        """Return the true counters and power, now or at a community time; faults do not
        touch them.
        """
        return self._measurement.registers(time_ms)

    def inject(self, fault: AnyMeterFault) -> None:
        """Switch a fault on. Without `from_s` it begins now."""
        self._measurement.inject(fault)

    def clear_faults(self) -> None:
        """End every fault, also those of the config."""
        self._measurement.clear_faults()

    def active_faults(self) -> list[AnyMeterFault]:
        """Return the faults in effect now."""
        active = self._measurement.active(self._measurement.elapsed_ms())
        return [scheduled.fault for scheduled in active]

    def shown(self) -> Registers:
        """Return the registers as the meter shows them, with the faults that change them."""
        return self._measurement.shown(self._measurement.elapsed_ms())

    def answer(self, function: int, address: int, count: int) -> Answer | None:
        """Return the reply to a read request at this moment; None is silence."""
        elapsed_ms = self._measurement.elapsed_ms()
        delay_ms = exception = 0
        is_undefined = False
        for scheduled in self._measurement.active(elapsed_ms):
            match scheduled.fault:
                case faults.Silence():
                    return None
                case faults.Slow(delay_ms=delay):
                    delay_ms += delay
                case faults.ExceptionReply(code=code):
                    exception = code
                case faults.Undefined():
                    is_undefined = True
        if exception:
            return Answer(registers=None, exception=exception, delay_ms=delay_ms)
        snapshot = self._snapshot(elapsed_ms, is_undefined=is_undefined)
        result = self._layout.read(snapshot, function, address, count)
        if isinstance(result, int):
            return Answer(registers=None, exception=result, delay_ms=delay_ms)
        return Answer(registers=result, exception=0, delay_ms=delay_ms)

    def pass_wire(self, reply: bytes) -> bytes:
        """Return a reply of this meter after its way over the wire."""
        return self._measurement.pass_wire(reply)

    def _snapshot(self, elapsed_ms: int, *, is_undefined: bool) -> Snapshot:
        shown = self._measurement.shown(elapsed_ms)
        if self._config.inverted:
            shown = Registers(
                time_ms=shown.time_ms,
                import_uwh=shown.export_uwh,
                export_uwh=shown.import_uwh,
                power_mw=-shown.power_mw,
            )
        snapshot = take_snapshot(
            shown, serial=self._config.serial, phases=self._layout.phases, seed=self._seed
        )
        if is_undefined:
            return msgspec.structs.replace(
                snapshot, import_uwh=None, export_uwh=None, power_mw=None
            )
        if not self._config.has_export:
            return msgspec.structs.replace(snapshot, export_uwh=None)
        return snapshot
