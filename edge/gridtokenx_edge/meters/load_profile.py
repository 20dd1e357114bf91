"""Rows of a load profile as cumulative registers at their times. Pure.

Blue Book, profile generic: a null in a row stands for the value of the row before it, and in the
clock's column for the time one capture period later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from gridtokenx_dlms.data import Data, DataType
from gridtokenx_dlms.date_time import CosemDateTime
from gridtokenx_dlms.errors import MalformedError
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.objects.selection import CaptureObject
from gridtokenx_edge.meters.dlms import DlmsProfile
from gridtokenx_edge.meters.dlms_time import MeterZone
from gridtokenx_edge.meters.dlms_values import ScalerUnit, energy_uwh

CLOCK_CLASS, PROFILE_CLASS = 8, 7
_VALUE = 2


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """One row: the registers in µWh at a time of the meter's clock; None where there is no such
    column.
    """

    time_ms: int
    import_uwh: int
    export_uwh: int | None


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """Where the wanted objects stand among the captured ones of a load profile."""

    captured: tuple[CaptureObject, ...]
    clock: int
    energy_import: int
    energy_export: int | None
    status: int | None
    period_ms: int

    @property
    def clock_object(self) -> CaptureObject:
        return self.captured[self.clock]


def find_columns(
    profile: DlmsProfile, captured: Sequence[CaptureObject], period_s: int
) -> Columns | None:
    """Return the wanted columns, or None where this meter does not capture what is needed."""
    assert profile.load_profile
    if period_s <= 0:
        return None  # captured by hand or by a script: not in intervals

    def place(code: str) -> int | None:
        wanted = Obis.parse(code) if code else None
        at = [
            number
            for number, capture in enumerate(captured)
            if capture.obis == wanted and capture.attribute == _VALUE
        ]
        return at[0] if at else None

    clock, imported = place(profile.clock), place(profile.energy_import)
    exported, status = place(profile.energy_export), place(profile.load_profile.status)
    if clock is None or imported is None:
        return None
    if profile.energy_export and exported is None and not profile.export_optional:
        return None
    return Columns(
        captured=tuple(captured),
        clock=clock,
        energy_import=imported,
        energy_export=exported,
        status=status,
        period_ms=period_s * 1000,
    )


class RowReader:
    """Reads rows one after the other, because a row may leave out what is in the row before it.

    A local time of the hour that comes twice is told by the clock's flag for summer time, if this
    meter sets it: `keeps_flag`, where that is known, and other rows say so. Without the flag, a
    time that is there twice is told by its order. A row that could be of either hour is left out:
    here, the meter's own clock alone says what the time was.
    """

    def __init__(
        self,
        profile: DlmsProfile,
        columns: Columns,
        scales: Mapping[str, ScalerUnit],
        zone: MeterZone,
        *,
        keeps_flag: bool | None = None,
    ) -> None:
        assert profile.load_profile
        self._keeps_flag = keeps_flag
        self._doubled: Counter[tuple[int, int]] = Counter()
        self._passed: Counter[tuple[int, int]] = Counter()
        self._profile = profile
        self._columns = columns
        self._scales = scales
        self._zone = zone
        self._bad_bits = profile.load_profile.invalid_status_bits
        self._before: tuple[Data, ...] | None = None
        self._time_ms: int | None = None

    def read(self, buffer: Data) -> Iterator[Capture]:
        """Yield the rows whose values can be used, in their order. Raises MalformedError."""
        self._look_at_clocks(buffer)
        for row in buffer.items():
            capture = self._row(row.items())
            if capture:
                yield capture

    def _row(self, values: tuple[Data, ...]) -> Capture | None:
        columns = self._columns
        if len(values) != len(columns.captured):
            raise MalformedError(
                f"expected {len(columns.captured)} columns in a load profile, got {len(values)}"
            )
        self._time_ms = self._time(values[columns.clock])
        if self._before:
            values = tuple(
                old if new.type is DataType.NULL else new
                for new, old in zip(values, self._before, strict=True)
            )
        self._before = values
        if self._time_ms is None or self._is_invalid(values):
            return None
        imported = self._energy(values, columns.energy_import, self._profile.energy_import)
        if imported is None:
            return None
        exported = None
        if columns.energy_export is not None:
            exported = self._energy(values, columns.energy_export, self._profile.energy_export)
            if exported is None:
                return None
        return Capture(time_ms=self._time_ms, import_uwh=imported, export_uwh=exported)

    def _time(self, value: Data) -> int | None:
        if value.type is DataType.NULL:
            return None if self._time_ms is None else self._time_ms + self._columns.period_ms
        moment = value.moment()
        moments = self._zone.both(moment)
        if moments and moments[0] < moments[1]:
            return self._doubled_time(moment, moments)
        read = self._zone.read(moment)
        return read.time_ms if read else None

    def _look_at_clocks(self, buffer: Data) -> None:
        """Find out whether the rows tell summer time by the flag, and which times come twice."""
        for row in buffer.items():
            values = row.items()
            if len(values) != len(self._columns.captured):
                return  # `_row` refuses it
            if values[self._columns.clock].type is DataType.NULL:
                continue
            moment = values[self._columns.clock].moment()
            moments = self._zone.both(moment)
            if moments and moments[0] < moments[1]:
                self._doubled[moments] += 1
            elif (keeps := self._zone.keeps_flag(moment)) is not None:
                self._keeps_flag = keeps

    def _doubled_time(self, moment: CosemDateTime, moments: tuple[int, int]) -> int | None:
        """Return which of two moments is meant, or None where nothing tells."""
        passed = self._passed[moments]
        self._passed[moments] += 1
        is_summer = self._zone.is_flagged(moment)
        if self._keeps_flag and is_summer is not None:
            return moments[0] if is_summer else moments[1]
        if self._doubled[moments] == len(moments):
            return moments[passed]
        return moments[0] if is_summer and self._keeps_flag is None else None

    def _is_invalid(self, values: tuple[Data, ...]) -> bool:
        if self._columns.status is None or not self._bad_bits:
            return False
        status = values[self._columns.status]
        return status.type is not DataType.NULL and bool(status.integer() & self._bad_bits)

    def _energy(self, values: tuple[Data, ...], place: int, code: str) -> int | None:
        return energy_uwh(values[place], self._scales[code])
