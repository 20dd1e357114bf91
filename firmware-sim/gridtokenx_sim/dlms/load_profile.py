"""A load profile that fills as time passes: rows are captured when somebody asks for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from gridtokenx_dlms import data
from gridtokenx_dlms.objects.profile_generic import Row, clock_value
from gridtokenx_sim.dlms.meter_clock import MeterClock
from gridtokenx_sim.physics.energy import Registers

PERIOD_S = 900
_PERIOD_MS = PERIOD_S * 1000
ROWS_A_DAY = 86_400 // PERIOD_S
# The status byte as in the companion profile of IDIS: bit 5, the clock was adjusted.
_CLOCK_ADJUSTED = 0x20
_UWH_PER_WH = 10**6


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the load profile, as integers."""

    shown_ms: int
    status: int
    import_wh: int
    export_wh: int


class LoadProfile:
    """A meter's load profile. `registers` returns what it shows at a time, with its faults."""

    def __init__(
        self,
        clock: MeterClock,
        registers: Callable[[int], Registers],
        start_ms: int,
        days: int,
    ) -> None:
        self.capacity = days * ROWS_A_DAY
        self._clock = clock
        self._registers = registers
        self._until_ms = start_ms
        self._rows: deque[Capture] = deque(maxlen=self.capacity)

    def capture(self, now_ms: int) -> None:
        """Capture the periods that the meter's clock has passed since the last call."""
        first_ms = max(self._until_ms, now_ms - (self.capacity + 1) * _PERIOD_MS)
        for tick in self._clock.marks(first_ms, now_ms, _PERIOD_MS):
            shown = self._registers(tick.time_ms)
            self._rows.append(
                Capture(
                    shown_ms=tick.shown_ms,
                    status=_CLOCK_ADJUSTED if tick.is_adjusted else 0,
                    import_wh=shown.import_uwh // _UWH_PER_WH,
                    export_wh=shown.export_uwh // _UWH_PER_WH,
                )
            )
        self._until_ms = max(self._until_ms, now_ms)

    def rows(self, first_ms: int, last_ms: int, zone_min: int, *, has_export: bool) -> list[Row]:
        """Return the rows between two times of the meter's clock, both included, oldest first."""
        rows = []
        for row in self._rows:
            if first_ms <= row.shown_ms <= last_ms:
                values = [
                    clock_value(row.shown_ms, zone_min),
                    data.unsigned(row.status),
                    data.double_long_unsigned(row.import_wh),
                ]
                if has_export:
                    values.append(data.double_long_unsigned(row.export_wh))
                rows.append(Row(row.shown_ms, tuple(values)))
        return rows
