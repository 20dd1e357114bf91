"""The accepted readings of a frame: what they change of their meters' registers and intervals."""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.model.interval_energy import IntervalEnergy
from gridtokenx_backend.core.model.oracle_limits import OracleLimits
from gridtokenx_backend.core.model.registry import Meter
from gridtokenx_backend.core.oracle import intervals, registers
from gridtokenx_backend.core.oracle.late_readings import ReopenedIntervals


class AcceptedReadings(msgspec.Struct, gc=False, kw_only=True):
    """Takes the accepted readings of one frame into their meters, in the order of the frame.

    `advanced` has the meters whose registers moved on, and `intervals` the intervals of each meter
    that were closed or revised, both by the meter's id. `reopened` has what late readings opened
    again, until it is revised. `rules` is the version of the rules to decide by.
    """

    limits: OracleLimits
    at_ms: int
    rules: int
    advanced: dict[str, Meter] = {}
    intervals: dict[str, list[IntervalEnergy]] = {}
    reopened: dict[str, ReopenedIntervals] = {}

    def take(self, meter: Meter, time_ms: int, import_uwh: int, export_uwh: int) -> int:
        """Take the next reading, which was judged to be acceptable.

        Returns the energy that was imported since the meter's last reading, in µWh. It is 0 for a
        late reading: its energy was counted when the reading after it came.
        """
        last_ms = meter.last_ms
        if 0 <= last_ms < time_ms < meter.interval_end_ms:  # most readings end no interval
            imported_uwh = registers.advance(meter, self.limits, time_ms, import_uwh, export_uwh)
        elif time_ms <= last_ms:
            self._reopen(meter).split(self.limits, self.at_ms, time_ms, import_uwh, export_uwh)
            return 0
        else:
            self._revise(meter)
            previous = registers.counted_registers(meter)
            imported_uwh = registers.advance(meter, self.limits, time_ms, import_uwh, export_uwh)
            self._close(meter, previous)
        self.advanced[meter.id] = meter
        return imported_uwh

    def revise_reopened(self) -> None:
        """Revise the intervals that late readings have opened again; no reading may follow."""
        for reopened in list(self.reopened.values()):
            self._revise(reopened.meter)

    def _reopen(self, meter: Meter) -> ReopenedIntervals:
        if meter.id not in self.reopened:
            self.reopened[meter.id] = ReopenedIntervals(meter)
        return self.reopened[meter.id]

    def _close(self, meter: Meter, previous: registers.CountedRegisters) -> None:
        """Close the intervals that ended since the previous reading; the first is a baseline."""
        if previous.time_ms < 0:
            if self.rules >= 2 and not meter.interval_end_ms:
                meter.first_ms = meter.last_ms
            rows = intervals.begin(meter, self.limits)
            meter.settled_uwh = registers.surplus_uwh(meter)  # a baseline mints nothing
        else:
            rows = intervals.close(meter, self.limits, self.at_ms, previous)
        if rows:
            self.intervals.setdefault(meter.id, []).extend(rows)

    def _revise(self, meter: Meter) -> None:
        """Revise what late readings have opened again of one meter's intervals, if anything."""
        reopened = self.reopened.pop(meter.id, None)
        if reopened is None:
            return
        if rows := reopened.revise(self.limits, self.at_ms):
            intervals.replace_closed(meter, rows)
            self.intervals.setdefault(meter.id, []).extend(rows)
