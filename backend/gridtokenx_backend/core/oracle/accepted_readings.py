"""The accepted readings of a frame: what they change of their meters' registers and intervals."""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.model.held_energy import HeldStep, HoldReason, MeterGuard
from gridtokenx_backend.core.model.interval_energy import IntervalEnergy
from gridtokenx_backend.core.model.oracle_limits import OracleLimits
from gridtokenx_backend.core.model.registry import Meter
from gridtokenx_backend.core.oracle import (
    discontinuities,
    energy_window,
    intervals,
    late_readings,
    registers,
)
from gridtokenx_backend.core.oracle.late_readings import ReopenedIntervals


class AcceptedReadings(msgspec.Struct, gc=False, kw_only=True):
    """Takes the accepted readings of one frame into their meters, in the order of the frame.

    `advanced` has the meters whose registers moved on, and `intervals` the intervals of each meter
    that were closed or revised, both by the meter's id. `reopened` has what late readings opened
    again, until it is revised. `rules` is the version of the rules to decide by; energy is bounded
    over every window of time since version 2. `doubtful` has the steps that are to be held, and
    `before` the surplus that their meters had counted before them and that is not minted yet.
    """

    limits: OracleLimits
    at_ms: int
    rules: int
    advanced: dict[str, Meter] = {}
    intervals: dict[str, list[IntervalEnergy]] = {}
    reopened: dict[str, ReopenedIntervals] = {}
    doubtful: dict[str, list[HeldStep]] = {}
    before: dict[str, int] = {}

    def take(self, meter: Meter, time_ms: int, import_uwh: int, export_uwh: int) -> int:
        """Take the next reading, which was judged to be acceptable.

        Returns the energy that was imported since the meter's last reading, in µWh. It is 0 for a
        late reading: its energy was counted when the reading after it came.
        """
        last_ms = meter.last_ms
        if time_ms <= last_ms:
            self._reopen(meter).split(
                self.limits,
                self.at_ms,
                time_ms,
                import_uwh,
                export_uwh,
                is_bounded=self.rules > 1,
            )
            return 0
        if last_ms >= 0 and self.rules > 1:
            possible = energy_window.possible_uwh(meter.rules.max_power_w, time_ms - last_ms)
            if self._is_doubtful(meter, import_uwh, export_uwh, possible):
                self._begin_at(meter, time_ms, import_uwh, export_uwh, "first_reading")
                return 0
        return self.take_calm(meter, time_ms, import_uwh, export_uwh)

    def take_calm(self, meter: Meter, time_ms: int, import_uwh: int, export_uwh: int) -> int:
        """Take a reading that is newer than its meter's last one and calm, as `take` does.

        The meter's energy window has nothing to note of it.
        """
        self.advanced[meter.id] = meter
        if meter.last_ms >= 0 and time_ms < meter.interval_end_ms:  # most readings end no interval
            return registers.advance(meter, self.limits, time_ms, import_uwh, export_uwh)
        self._revise(meter)
        previous = registers.counted_registers(meter)
        imported_uwh = registers.advance(meter, self.limits, time_ms, import_uwh, export_uwh)
        self._close(meter, previous)
        return imported_uwh

    def suspect(self, meter: Meter, time_ms: int, import_uwh: int, export_uwh: int) -> bool:
        """Note a reading that was refused for its registers; return whether it is taken after all.

        It is taken if the meter's registers go on from refused values: they begin anew there, and
        the step up to there is doubtful.
        """
        line = discontinuities.suspect(meter, time_ms, import_uwh, export_uwh)
        if line is None:
            return False
        reason = discontinuities.reason_of(meter, line)
        first = (line.first_ms, line.first_import_uwh, line.first_export_uwh)
        self._begin_at(meter, *first, reason)
        self.take(meter, time_ms, import_uwh, export_uwh)
        return True

    def revise_reopened(self) -> None:
        """Revise the intervals that late readings have opened again; no reading may follow."""
        for reopened in list(self.reopened.values()):
            self._revise(reopened.meter)

    def _is_doubtful(self, meter: Meter, import_uwh: int, export_uwh: int, possible: int) -> bool:
        """Fill the meter's energy window; return whether the stretch is a doubtful first one."""
        rules = meter.rules
        imported_uwh = discontinuities.moved_uwh(meter.last_import_uwh, import_uwh, rules)
        exported_uwh = discontinuities.moved_uwh(meter.last_export_uwh, export_uwh, rules)
        guard = meter.guard
        is_doubtful = False
        if guard is not None:
            guard.suspect = None
            is_zero = not (meter.last_import_uwh or meter.last_export_uwh or rules.starts_at_zero)
            if guard.baseline_ms >= 0 and (imported_uwh or exported_uwh or not is_zero):
                guard.baseline_ms = -1
                most_uwh = 0 if is_zero else rules.first_energy_uwh
                is_doubtful = imported_uwh > most_uwh or exported_uwh > most_uwh
        energy_window.fill(meter, imported_uwh, exported_uwh, possible)
        return is_doubtful

    def _begin_at(
        self, meter: Meter, time_ms: int, import_uwh: int, export_uwh: int, reason: HoldReason
    ) -> None:
        """Begin a meter's registers anew at a reading. The step up to there is doubtful."""
        self._revise(meter)
        counted_uwh = registers.surplus_uwh(meter)
        if counted_uwh > meter.settled_uwh:
            self.before[meter.id] = self.before.get(meter.id, 0) + counted_uwh - meter.settled_uwh
            meter.settled_uwh = counted_uwh
        step = _step(meter, time_ms, import_uwh, export_uwh, reason)
        guard = meter.guard or MeterGuard()
        if reason != "first_reading":  # what the step may have moved is in the excess there
            power_w, elapsed_ms = meter.rules.max_power_w, time_ms - meter.last_ms
            energy_window.drain(guard, power_w, elapsed_ms)
        registers.begin_anew(meter)
        registers.advance(meter, self.limits, time_ms, import_uwh, export_uwh)
        meter.guard = None if guard.is_empty else guard
        self._add(meter, _begin_baseline(meter, self.limits))
        self._doubt(meter, step)
        self.advanced[meter.id] = meter

    def _doubt(self, meter: Meter, step: HeldStep) -> None:
        """Note a doubtful step, and what its meter exported before it in the open interval."""
        open_ms, past = meter.interval_start_ms, meter.past
        assert past is not None  # the registers began anew
        late_readings.drop(past, self.limits, open_ms, meter.interval_end_ms)
        counted_uwh = registers.counted_registers(meter).export_uwh
        noted = msgspec.structs.replace(
            step,
            interval_ms=open_ms,
            free_uwh=max(0, counted_uwh - meter.interval_start_export_uwh),
        )
        self.doubtful.setdefault(meter.id, []).append(noted)

    def _reopen(self, meter: Meter) -> ReopenedIntervals:
        if meter.id not in self.reopened:
            self.reopened[meter.id] = ReopenedIntervals(meter)
        return self.reopened[meter.id]

    def _close(self, meter: Meter, previous: registers.CountedRegisters) -> None:
        """Close the intervals that ended since the previous reading; the first is a baseline."""
        if previous.time_ms >= 0:
            self._add(meter, intervals.close(meter, self.limits, self.at_ms, previous))
            return
        if self.rules > 1 and not meter.interval_end_ms:
            meter.first_ms = meter.last_ms
        self._add(meter, _begin_baseline(meter, self.limits))
        if self.rules > 1:
            _begin_guard(meter)

    def _add(self, meter: Meter, rows: list[IntervalEnergy]) -> None:
        if rows:
            self.intervals.setdefault(meter.id, []).extend(rows)

    def _revise(self, meter: Meter) -> None:
        """Revise what late readings have opened again of one meter's intervals, if anything."""
        reopened = self.reopened.pop(meter.id, None)
        if reopened is None:
            return
        if rows := reopened.revise(self.limits, self.at_ms):
            intervals.replace_closed(meter, rows)
            self._add(meter, rows)


def _begin_baseline(meter: Meter, limits: OracleLimits) -> list[IntervalEnergy]:
    """Begin intervals at a meter's baseline, which mints nothing; return those that end there."""
    rows = intervals.begin(meter, limits)
    meter.settled_uwh = registers.surplus_uwh(meter)
    return rows


def _begin_guard(meter: Meter) -> None:
    """Note a baseline. What the registers before it were over the meter's power runs out."""
    guard = meter.guard = meter.guard or MeterGuard()
    guard.baseline_ms = meter.last_ms
    if meter.past is not None and meter.past.changed_ms >= 0:
        elapsed_ms = meter.last_ms - meter.past.changed_ms
        energy_window.drain(guard, meter.rules.max_power_w, elapsed_ms)


def _step(
    meter: Meter, time_ms: int, import_uwh: int, export_uwh: int, reason: HoldReason
) -> HeldStep:
    """Return the step from a meter's last reading, and the surplus that it would mint.

    Where a register fell, nobody knows what it counted, and the step brings nothing.
    """
    exported_uwh = export_uwh - meter.last_export_uwh
    imported_uwh = import_uwh - meter.last_import_uwh
    if exported_uwh < 0 or imported_uwh < 0:
        exported_uwh = imported_uwh = surplus_uwh = 0
    elif meter.rules.policy == "net":
        unsettled_uwh = registers.surplus_uwh(meter) - meter.settled_uwh
        surplus_uwh = max(0, exported_uwh - imported_uwh + unsettled_uwh)
    else:
        surplus_uwh = exported_uwh
    return HeldStep(
        reason=reason,
        from_ms=meter.last_ms,
        to_ms=time_ms,
        owner=meter.owner,
        surplus_uwh=surplus_uwh,
        import_uwh=imported_uwh,
        export_uwh=exported_uwh,
    )
