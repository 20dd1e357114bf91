"""From what a meter said to the reading of the site: inverted meters and missing values."""

from __future__ import annotations

import pytest

from gridtokenx_edge.meters.site_reading import Quantities, site_reading
from gridtokenx_wire.reading import Reading, ReadingFlag

NO_IMPORT, NO_EXPORT = ReadingFlag.NO_IMPORT, ReadingFlag.NO_EXPORT
NO_POWER = ReadingFlag.NO_POWER


@pytest.mark.parametrize(
    ("said", "invert", "import_uwh", "export_uwh", "power_w", "flags"),
    [
        ((5, 3, -40), False, 5, 3, -40, 0),
        ((5, 3, -40), True, 3, 5, 40, 0),
        ((5, None, 40), False, 5, 0, 40, NO_EXPORT),
        ((5, None, 40), True, 0, 5, -40, NO_IMPORT),
        ((None, 3, 40), False, 0, 3, 40, NO_IMPORT),
        ((5, 3, None), False, 5, 3, 0, NO_POWER),
        ((5, 3, None), True, 3, 5, 0, NO_POWER),
        ((0, 0, 0), True, 0, 0, 0, 0),
        ((5, None, None), True, 0, 5, 0, NO_IMPORT | NO_POWER),
    ],
)
def test_an_inverted_meter_imports_what_it_calls_export_and_what_is_missing_is_flagged(
    said: tuple[int | None, int | None, int | None],
    *,
    invert: bool,
    import_uwh: int,
    export_uwh: int,
    power_w: int,
    flags: int,
) -> None:
    quantities = Quantities(import_uwh=said[0], export_uwh=said[1], power_w=said[2])
    reading = site_reading("ABB-1", quantities, time_ms=7, invert=invert)
    assert reading == Reading(
        meter="ABB-1",
        time_ms=7,
        import_uwh=import_uwh,
        export_uwh=export_uwh,
        power_w=power_w,
        flags=int(flags),
    )


def test_the_flags_of_the_driver_are_kept_beside_those_of_missing_values() -> None:
    reading = site_reading(
        "ABB-1",
        Quantities(import_uwh=1),
        time_ms=7,
        invert=False,
        flags=ReadingFlag.BACKFILLED,
    )
    assert reading.flags == ReadingFlag.BACKFILLED | NO_EXPORT | NO_POWER
