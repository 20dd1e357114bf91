"""Clock (class 8): the meter's own time, read, set and shifted."""

from __future__ import annotations

from collections.abc import Callable

from gridtokenx_dlms import data
from gridtokenx_dlms.data import Data
from gridtokenx_dlms.date_time import UNSPECIFIED_DEVIATION, CosemDateTime
from gridtokenx_dlms.errors import MalformedError
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.objects.cosem_object import DENIED, UNDEFINED, Returned
from gridtokenx_dlms.xdlms.attribute import AccessResult, Selection

CLOCK = Obis(0, 0, 1, 0, 0)
SHIFT_TIME = 6
_MOST_SHIFT_S = 900
_TIME, _TIME_ZONE, _STATUS = 2, 3, 4
_INTERNAL_CRYSTAL = 1
# The years 2000 to 2199: what a meter's calendar holds.
_EARLIEST_MS, _LATEST_MS = 946_684_800_000, 7_258_118_400_000


class ClockObject:
    """The clock of a meter (class 8). `now_ms` is the meter's time in Unix milliseconds, `move_ms`
    sets it forward or back.

    `zone_min` is the standard deviation of local time, as in a date-time: -60 in Vienna.
    """

    class_id, version, attributes, methods = 8, 0, 9, 6
    writable = frozenset({_TIME})
    callable = frozenset({SHIFT_TIME})

    def __init__(
        self,
        now_ms: Callable[[], int],
        move_ms: Callable[[int], None],
        zone_min: int = 0,
        obis: Obis = CLOCK,
    ) -> None:
        self.obis = obis
        self._now_ms = now_ms
        self._move_ms = move_ms
        self._zone_min = zone_min

    def date_time(self) -> CosemDateTime:
        """Return the time that the meter shows now."""
        return CosemDateTime.from_unix_ms(self._now_ms(), self._zone_min)

    def get(self, number: int, selection: Selection | None) -> Data | AccessResult:
        del selection
        never = data.octet_string(CosemDateTime().to_bytes())
        values = {
            _TIME: lambda: data.octet_string(self.date_time().to_bytes()),
            _TIME_ZONE: lambda: data.long(self._zone_min),
            _STATUS: lambda: data.unsigned(self.date_time().status),
            5: lambda: never,
            6: lambda: never,
            7: lambda: data.integer(0),
            8: lambda: data.boolean(False),
            9: lambda: data.enum(_INTERNAL_CRYSTAL),
        }
        return values[number]() if number in values else UNDEFINED

    def set(self, number: int, value: Data) -> AccessResult:
        if number != _TIME:
            return DENIED
        try:
            moment = value.moment()
        except MalformedError:
            return AccessResult.TYPE_UNMATCHED
        known = self._zone_min if moment.deviation_min == UNSPECIFIED_DEVIATION else None
        time_ms = moment.unix_ms(known)
        if time_ms is None:
            return AccessResult.TYPE_UNMATCHED
        if not _EARLIEST_MS <= time_ms < _LATEST_MS:
            return AccessResult.SCOPE_OF_ACCESS_VIOLATED
        self._move_ms(time_ms - self._now_ms())
        return AccessResult.SUCCESS

    def act(self, number: int, parameters: Data | None) -> Returned:
        if number != SHIFT_TIME:
            return DENIED, None
        try:
            shift_s = (parameters or data.NULL).integer()
        except MalformedError:
            return AccessResult.TYPE_UNMATCHED, None
        if abs(shift_s) > _MOST_SHIFT_S:
            return AccessResult.SCOPE_OF_ACCESS_VIOLATED, None
        self._move_ms(shift_s * 1000)
        return AccessResult.SUCCESS, None
