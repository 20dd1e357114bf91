"""What every simulated meter has: counters behind which the physics stands, and faults."""

from __future__ import annotations

import msgspec

from gridtokenx_sim.clock import CommunityClock
from gridtokenx_sim.config import faults
from gridtokenx_sim.config.amounts import Kilowatt, Kwh
from gridtokenx_sim.config.faults import AnyMeterFault, Scheduled
from gridtokenx_sim.config.sim_config import Site
from gridtokenx_sim.physics.energy import MW_MS_PER_UWH, Counted, MeterElement, Registers
from gridtokenx_sim.physics.household import Household
from gridtokenx_sim.physics.site import Sky

_UWH_PER_WH = 10**6


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """What stands behind a meter, and what it had counted before the start."""

    solar_kwp: Kilowatt
    annual_load_kwh: Kwh
    import_kwh: Kwh
    export_kwh: Kwh


class Measurement:
    """The true registers of an installation, and what a meter with these faults shows of them."""

    def __init__(
        self,
        installation: Installation,
        site: Site,
        sky: Sky,
        clock: CommunityClock,
        seed: int,
        scheduled: list[Scheduled[AnyMeterFault]],
    ) -> None:
        self._start_ms = site.start_ms
        self._clock = clock
        self._element = _element(installation, site, sky, seed)
        self._scheduled = scheduled
        self._replies = 0

    def registers(self, time_ms: int | None = None) -> Registers:
        """Return the true counters and power, now or at a community time; faults do not
        touch them.
        """
        return self._element.at(self._clock.now_ms() if time_ms is None else time_ms)

    def inject(self, fault: AnyMeterFault) -> None:
        """Switch a fault on. Without `from_s` it begins now."""
        self._scheduled.append(faults.schedule(fault, default_from_ms=self.elapsed_ms()))

    def clear_faults(self) -> None:
        """End every fault, also those of the config."""
        self._scheduled.clear()

    def elapsed_ms(self, time_ms: int | None = None) -> int:
        """Return the milliseconds since the site's start."""
        return max(0, (self._clock.now_ms() if time_ms is None else time_ms) - self._start_ms)

    def active(self, elapsed_ms: int) -> list[Scheduled[AnyMeterFault]]:
        return [scheduled for scheduled in self._scheduled if scheduled.holds(elapsed_ms)]

    def shown(self, elapsed_ms: int) -> Registers:
        """Return the registers as the meter shows them, with the faults that change them."""
        active = self.active(elapsed_ms)
        registers = self._element.at(self._start_ms + faults.seen_ms(active, elapsed_ms))
        if not (lost_uwh := faults.lost_uwh(active)):
            return registers
        return msgspec.structs.replace(
            registers,
            import_uwh=max(0, registers.import_uwh - lost_uwh),
            export_uwh=max(0, registers.export_uwh - lost_uwh),
        )

    def pass_wire(self, reply: bytes) -> bytes:
        """Return a reply of this meter after its way over the wire."""
        bad = [
            scheduled.fault
            for scheduled in self.active(self.elapsed_ms())
            if isinstance(scheduled.fault, faults.WIRE_FAULTS)
        ]
        self._replies += 1
        for fault in bad:
            if reply and self._replies % fault.every == 0:
                reply = faults.corrupt(reply, fault)
        return reply


def _element(installation: Installation, site: Site, sky: Sky, seed: int) -> MeterElement:
    household = Household(
        installation.annual_load_kwh // _UWH_PER_WH, site.latitude, site.longitude, seed
    )
    opening = Counted(
        imported_mw_ms=_mw_ms(installation.import_kwh),
        exported_mw_ms=_mw_ms(installation.export_kwh),
    )
    return MeterElement(sky, household, installation.solar_kwp, site.start_ms, opening)


def _mw_ms(energy_uwh: Kwh) -> int:
    return energy_uwh * MW_MS_PER_UWH
