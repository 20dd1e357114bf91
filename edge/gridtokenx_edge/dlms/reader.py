"""Reads one DLMS meter on a line: who it is, one reading of it, and rows of its load profile."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

from gridtokenx_dlms.data import Data
from gridtokenx_dlms.errors import MalformedError
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.objects.selection import CaptureObject, by_time
from gridtokenx_dlms.xdlms.attribute import Attribute, result_text
from gridtokenx_edge.dlms.association import MeterAssociation
from gridtokenx_edge.dlms.line import DlmsLine
from gridtokenx_edge.dlms.meter_access import MeterAccess
from gridtokenx_edge.meters.dlms_values import ScalerUnit, energy_uwh, name_text, power_w
from gridtokenx_edge.meters.identity import meter_id
from gridtokenx_edge.meters.load_profile import (
    CLOCK_CLASS,
    PROFILE_CLASS,
    Capture,
    Columns,
    RowReader,
    find_columns,
)
from gridtokenx_edge.meters.meter_clock import MeterClock
from gridtokenx_edge.meters.site_reading import Quantities, site_reading
from gridtokenx_edge.polling.faults import (
    MeterDenied,
    MeterGarbled,
    MeterSilent,
    MeterStrange,
    ValueMissing,
)
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.reading import Reading, ReadingFlag

T = TypeVar("T")
_DATA_CLASS, _REGISTER_CLASS = 1, 3
_VALUE, _SCALER_UNIT, _TIME, _BUFFER, _CAPTURED, _PERIOD = 2, 3, 2, 2, 3, 4
# A day of rows is some ten kilobytes, which take a minute at 2,400 baud.
_ROWS_WITHIN_S = 120.0
Answers = dict[str, Data | None]
"""Values by their OBIS codes; None where the meter does not have the object."""


class Told(NamedTuple):
    """An attribute's value as the meter wrote it; a register's has its scaler and unit
    beside it.
    """

    obis: str
    value: Data
    scale: ScalerUnit | None


class DlmsReader:
    """Reads one meter. Every value of a reading was read by the poll that reports it; nothing is
    kept.
    """

    def __init__(
        self,
        line: DlmsLine,
        access: MeterAccess,
        clock: Clock,
        is_synchronised: Callable[[], bool] = lambda: True,
        number: int = 0,
    ) -> None:
        """`number` is what the line's budget for silent meters knows this meter by."""
        self.association = MeterAssociation(line, access)
        self._number = number
        self.retries = 0  # the link repeats by itself
        self._line = line
        self._access = access
        self._profile = access.profile
        self._clock = clock
        self._is_synchronised = is_synchronised
        self._identified = 0
        self._scales: dict[str, ScalerUnit] = {}
        self._missing: set[str] = set()
        self._meter_clock: MeterClock | None = None
        self._ahead_ms: int | None = None
        """How far the meter's clock was ahead when the gateway's was last synchronised."""
        self._keeps_flag: bool | None = None
        """Whether the meter's clock sets its flag in summer; None: it was not seen in summer."""
        self._deviation_min: int | None = None
        self._columns: Columns | None = None
        self._told: Answers = {}

    @property
    def told(self) -> list[Told]:
        """What the last poll asked for, as the meter wrote it."""
        return [
            Told(code, value, self._scales.get(code)) for code, value in self._told.items() if value
        ]

    @property
    def clock_drift_ms(self) -> int | None:
        """How far the meter's clock was ahead of the gateway's; None where it is not known."""
        return self._meter_clock.drift_ms if self._meter_clock else None

    @property
    def has_load_profile(self) -> bool:
        """Whether the model has a load profile. A meter of it may still be without one."""
        return self._profile.load_profile is not None

    def forget_identity(self) -> None:
        """The meter was away: look again who it is, and what it can do, before the next reading."""
        self._identified = 0

    async def contact(self) -> None:
        """Make sure that the meter is there and is the configured one. Raises BusFault."""
        await self._holding_line(self._identify)

    async def poll(self) -> Reading:
        """Return a reading with the time at which it was asked for. Raises BusFault."""
        return await self._holding_line(self._poll)

    async def close(self) -> None:
        """Release the association."""
        async with self._line.hold(self._number):
            await self.association.close()

    async def connected(self) -> MeterAssociation:
        """Return the association, open, with the configured meter. Raises BusFault."""
        await self.contact()
        return self.association

    async def columns(self) -> Columns | None:
        """Return the load profile's columns, or None if this meter's are of no use. Raises
        BusFault.
        """
        return await self._holding_line(self._read_columns)

    async def captures(self, columns: Columns, first_ms: int, last_ms: int) -> list[Capture]:
        """Return the load profile's rows between two times, both included. Raises BusFault."""
        return await self._holding_line(lambda: self._read_rows(columns, first_ms, last_ms))

    async def _holding_line(self, contact: Callable[[], Awaitable[T]]) -> T:
        """Hold the line for a contact. An association that has ended unnoticed is opened again,
        once.
        """
        async with self._line.hold(self._number):
            was_open = self.association.is_open
            try:
                return await self._once(contact)
            except (MeterSilent, MeterDenied):
                if not was_open or self.association.is_open:
                    raise
            return await self._once(contact)

    async def _once(self, contact: Callable[[], Awaitable[T]]) -> T:
        await self.association.open()
        try:
            if self._identified != self.association.openings:
                await self._identify()
            return await contact()
        except MalformedError as error:
            raise MeterGarbled(str(error)) from None

    # --- identity -------------------------------------------------------------------------------

    async def _identify(self) -> None:
        if self._identified == self.association.openings:
            return
        name = await self._get(Attribute(_DATA_CLASS, Obis.parse(self._profile.identity.obis), 2))
        found = meter_id(self._profile.maker, name_text(name))
        if found != self._access.meter.id:
            raise MeterStrange.of_id(self._access.meter.id, found)
        self._missing.clear()
        self._scales = await self._read_scales()
        self._columns = None
        self._identified = self.association.openings

    async def _read_scales(self) -> dict[str, ScalerUnit]:
        """Return units and scalers, read once an association. The profile's fixed scalers replace
        the meter's.
        """
        codes = self._registers()
        answers = await self._ask(codes, _SCALER_UNIT)
        scales = {}
        for code, answer in answers.items():
            if answer is None:
                self._missing.add(code)
                continue
            scale = ScalerUnit.from_data(answer)
            fixed = self._profile.quirks.scalers.get(code)
            scales[code] = scale if fixed is None else ScalerUnit(scaler=fixed, unit=scale.unit)
        return scales

    def _registers(self) -> list[str]:
        profile = self._profile
        codes = (profile.energy_import, profile.energy_export, *profile.power)
        return [code for code in codes if code and code not in self._missing]

    # --- a reading ------------------------------------------------------------------------------

    async def _poll(self) -> Reading:
        asked_ms, asked_s = self._clock.now_ms(), time.monotonic()
        answers = await self._ask([*self._registers(), self._profile.clock], _VALUE)
        self._told = dict(answers)
        self._look_at_clock(answers, asked_ms, asked_s)
        time_ms, flags = asked_ms, ReadingFlag(0)
        if not self._is_synchronised() and self._meter_clock:
            time_ms = self._meter_clock.time_ms(asked_s) - (self._ahead_ms or 0)
            flags = ReadingFlag.METER_TIME
        return self._reading(time_ms, answers, flags)

    def _look_at_clock(self, answers: Answers, asked_ms: int, asked_s: float) -> None:
        told = answers.pop(self._profile.clock, None)
        near_ms = asked_ms + (self._ahead_ms or 0) if self._is_synchronised() else None
        seen = self._access.zone.read(told.moment(), near_ms) if told else None
        self._meter_clock = (
            MeterClock(meter_ms=seen.time_ms, at_s=asked_s, gateway_ms=asked_ms) if seen else None
        )
        self._deviation_min = seen.deviation_min if seen else None
        if seen and self._is_synchronised():
            self._ahead_ms = seen.time_ms - asked_ms
        if told and (keeps := self._access.zone.keeps_flag(told.moment())) is not None:
            self._keeps_flag = keeps

    def _reading(self, time_ms: int, answers: Answers, flags: ReadingFlag) -> Reading:
        profile = self._profile
        imported = self._energy(answers, profile.energy_import)
        if imported is None:
            raise ValueMissing("the import register holds no value")
        exported = self._energy(answers, profile.energy_export)
        if exported is None and profile.energy_export not in ("", *self._missing):
            raise ValueMissing("the export register holds no value")
        said = Quantities(import_uwh=imported, export_uwh=exported, power_w=self._power(answers))
        meter = self._access.meter
        return site_reading(meter.id, said, time_ms=time_ms, invert=meter.invert, flags=flags)

    def _energy(self, answers: Answers, code: str) -> int | None:
        value = answers.get(code)
        return energy_uwh(value, self._scales[code]) if value else None

    def _power(self, answers: Answers) -> int | None:
        """Return the power, positive for import. Of two registers, the one that counts export is
        subtracted.
        """
        values = []
        for code in self._profile.power:
            value = answers.get(code)
            values.append(power_w(value, self._scales[code]) if value else None)
        if not values or values[0] is None:
            return None
        if len(values) == 1:
            return values[0]
        return values[0] - (values[1] or 0)

    # --- the load profile -----------------------------------------------------------------------

    async def _read_columns(self) -> Columns | None:
        if not self._profile.load_profile:
            return None
        if self._columns is None:
            obis = Obis.parse(self._profile.load_profile.obis)
            captured = await self._get(Attribute(PROFILE_CLASS, obis, _CAPTURED))
            period = await self._get(Attribute(PROFILE_CLASS, obis, _PERIOD))
            columns = [CaptureObject.from_data(item) for item in captured.items()]
            self._columns = find_columns(self._profile, columns, period.integer())
        return self._columns

    async def _read_rows(self, columns: Columns, first_ms: int, last_ms: int) -> list[Capture]:
        assert self._profile.load_profile
        zone = self._access.zone
        first, last = (zone.write(at_ms, self._deviation_min) for at_ms in (first_ms, last_ms))
        obis = Obis.parse(self._profile.load_profile.obis)
        selection = by_time(columns.clock_object, first, last)
        exchange = self.association.association.get(
            Attribute(PROFILE_CLASS, obis, _BUFFER), selection
        )
        buffer = await self.association.ask(exchange, _ROWS_WITHIN_S)
        reader = RowReader(self._profile, columns, self._scales, zone, keeps_flag=self._keeps_flag)
        rows = reader.read(buffer)
        return [row for row in rows if first_ms <= row.time_ms <= last_ms]

    # --- asking ---------------------------------------------------------------------------------

    async def _get(self, attribute: Attribute) -> Data:
        return await self.association.ask(self.association.association.get(attribute))

    async def _ask(self, codes: Sequence[str], number: int) -> Answers:
        """Return one attribute of several objects. The meter may refuse those that are not
        needed.
        """
        attributes = [self._attribute(code, number) for code in codes]
        if self.association.has_lists and len(codes) > 1:
            exchange = self.association.association.get_list(attributes)
            values = await self.association.ask(exchange)
            return {
                code: self._accepted(code, value) for code, value in zip(codes, values, strict=True)
            }
        answers: Answers = {}
        for code, attribute in zip(codes, attributes, strict=True):
            try:
                answers[code] = await self._get(attribute)
            except MeterDenied:
                if self._profile.is_needed(code) or not self.association.is_open:
                    raise
                answers[code] = None
        return answers

    def _accepted(self, code: str, value: Data | int) -> Data | None:
        if isinstance(value, Data):
            return value
        if self._profile.is_needed(code):
            raise MeterDenied(f"{code}: {result_text(value)}")
        return None

    def _attribute(self, code: str, number: int) -> Attribute:
        is_clock = code == self._profile.clock
        return Attribute(CLOCK_CLASS if is_clock else _REGISTER_CLASS, Obis.parse(code), number)
