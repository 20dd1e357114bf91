"""A meter's day as one value: 96 intervals in columns, packed to about ten bytes each."""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Iterable

from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, IntervalEnergy, Quality

DAY_MS = 86_400_000
SLOTS = DAY_MS // INTERVAL_MS
_FORMAT = 1
_LEVEL = 1
_ENERGY_BYTES = 8
_REVISION_BYTES = 4
_LENGTH = 1 + SLOTS * (1 + _REVISION_BYTES + 2 * _ENERGY_BYTES)


class MeterDay:
    """The intervals of a meter on a UTC day. An interval whose quality is 0 is missing."""

    __slots__ = ("export_uwh", "import_uwh", "quality", "revision")

    def __init__(self) -> None:
        self.quality = bytearray(SLOTS)
        self.revision = array("I", bytes(_REVISION_BYTES * SLOTS))
        self.import_uwh = array("q", bytes(_ENERGY_BYTES * SLOTS))
        self.export_uwh = array("q", bytes(_ENERGY_BYTES * SLOTS))

    def put(self, rows: Iterable[IntervalEnergy]) -> None:
        """Put rows in; a later row takes the place of an earlier one for the same interval."""
        for row in rows:
            slot = row.interval_ms % DAY_MS // INTERVAL_MS
            self.quality[slot] = row.quality
            self.revision[slot] = row.revision
            self.import_uwh[slot] = row.import_uwh
            self.export_uwh[slot] = row.export_uwh

    def rows(self, day: int) -> list[IntervalEnergy]:
        """Return the known intervals in order; `day` is the day's number since 1970."""
        start_ms = day * DAY_MS
        columns = zip(self.import_uwh, self.export_uwh, self.quality, self.revision, strict=True)
        return [
            IntervalEnergy(
                interval_ms=start_ms + slot * INTERVAL_MS,
                import_uwh=import_uwh,
                export_uwh=export_uwh,
                quality=quality,
                revision=revision,
            )
            for slot, (import_uwh, export_uwh, quality, revision) in enumerate(columns)
            if quality != Quality.MISSING
        ]

    def pack(self) -> bytes:
        """Return the day as bytes: its columns, split by the significance of their bytes, deflated.

        The high bytes of energies are mostly zero. Put together they halve the size.
        """
        planes = [bytes([_FORMAT]), bytes(self.quality)]
        for column, size in (
            (self.revision, _REVISION_BYTES),
            (self.import_uwh, _ENERGY_BYTES),
            (self.export_uwh, _ENERGY_BYTES),
        ):
            raw = _little(column).tobytes()
            planes += [raw[plane::size] for plane in range(size)]
        return zlib.compress(b"".join(planes), _LEVEL)


def unpack(packed: bytes) -> MeterDay:
    """Return the day that `pack` made these bytes of. Raises ValueError for any other bytes."""
    try:
        raw = zlib.decompress(packed)
    except zlib.error as error:
        raise ValueError(f"expected a packed day: {error}") from None
    if len(raw) != _LENGTH or raw[0] != _FORMAT:
        raise ValueError(f"expected a packed day of format {_FORMAT}")
    day = MeterDay()
    day.quality[:] = raw[1 : 1 + SLOTS]
    offset = 1 + SLOTS
    for name, size in (
        ("revision", _REVISION_BYTES),
        ("import_uwh", _ENERGY_BYTES),
        ("export_uwh", _ENERGY_BYTES),
    ):
        column = bytearray(size * SLOTS)
        for plane in range(size):
            column[plane::size] = raw[offset : offset + SLOTS]
            offset += SLOTS
        values = array(getattr(day, name).typecode, bytes(column))
        setattr(day, name, _little(values))
    return day


def _little(column: array[int]) -> array[int]:
    """Return a column with little-endian values, or such a column with the machine's values."""
    if sys.byteorder == "little":
        return column
    swapped = array(column.typecode, column)
    swapped.byteswap()
    return swapped
