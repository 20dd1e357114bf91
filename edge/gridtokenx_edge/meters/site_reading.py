"""What a meter said, turned into a reading as the site sees it. Pure.

This is the one place that exchanges the registers of an inverted meter and that flags what a
meter does not have, for every protocol.
"""

from __future__ import annotations

import msgspec

from gridtokenx_wire.reading import Reading, ReadingFlag


class Quantities(msgspec.Struct, frozen=True, kw_only=True):
    """What a meter said, in µWh and W, as it counts itself; None where it has no value."""

    import_uwh: int | None
    export_uwh: int | None = None
    power_w: int | None = None


def site_reading(
    meter: str,
    said: Quantities,
    *,
    time_ms: int,
    invert: bool,
    flags: ReadingFlag = ReadingFlag(0),  # noqa: B008 (a constant)
) -> Reading:
    """Return the reading of `meter` at `time_ms`, with `flags` and those of its missing values.

    `invert` exchanges import and export and turns the power's sign: the meter is wired the other
    way round, or counts the way that a generator does.
    """
    import_uwh, export_uwh, power_w = said.import_uwh, said.export_uwh, said.power_w
    if invert:
        import_uwh, export_uwh = export_uwh, import_uwh
        power_w = None if power_w is None else -power_w
    if import_uwh is None:
        flags |= ReadingFlag.NO_IMPORT
    if export_uwh is None:
        flags |= ReadingFlag.NO_EXPORT
    if power_w is None:
        flags |= ReadingFlag.NO_POWER
    return Reading(
        meter=meter,
        time_ms=time_ms,
        import_uwh=import_uwh or 0,
        export_uwh=export_uwh or 0,
        power_w=power_w or 0,
        flags=int(flags),
    )
