"""A reading: a meter's cumulative registers at a time."""

from __future__ import annotations

from enum import IntFlag

import msgspec


class ReadingFlag(IntFlag):
    """What is special about a reading; one byte on the wire."""

    NO_EXPORT = 1
    """The meter has no export register; `export_uwh` is 0."""
    NO_POWER = 2
    """The meter gave no power; `power_w` is 0."""
    CONFIGURED_ID = 4
    """The meter has no readable identity; its id is the config's."""
    RETIMED = 8
    """Read before the gateway's clock was set; its time was worked out after the step."""
    METER_TIME = 16
    """Timed by the meter's own clock, as the gateway's was not set."""
    NO_IMPORT = 32
    """The meter has no import register, such as an inverter; `import_uwh` is 0."""
    BACKFILLED = 64
    """Read afterwards from the meter's load profile; its time is the meter's own."""


class Reading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One meter's registers, read together.

    `import_uwh` is OBIS 1.8.0 (A+) and `export_uwh` OBIS 2.8.0 (A−), both cumulative.
    `power_w` is positive for import. `time_ms` is when the registers were read, never later.
    """

    meter: str
    time_ms: int
    import_uwh: int
    export_uwh: int
    power_w: int = 0
    flags: int = 0
