"""The grid operator's figures of the community's meters: the content of the input `grid_data`."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, Quality

Quantity = Literal[
    "consumption",
    "consumption_part",
    "share",
    "received",
    "generation",
    "generation_part",
    "surplus",
    "surplus_part",
]
"""What a figure counts. A quantity that ends in `_part` has the participation factor in it.

`share` is what the key sets aside for a consumer, and `received` what the consumer used of it.
`surplus` is the energy of a producer that nobody of the community used.
"""
QUANTITIES: tuple[str, ...] = get_args(Quantity)


class GridSeries(msgspec.Struct, kw_only=True, frozen=True, array_like=True, gc=False):
    """The energies of consecutive intervals from `start_ms` on. None means missing.

    `qualities` has one digit for each, the number of a Quality. `meter` is what the file calls it:
    a metering point of the market, or a meter's id.
    """

    meter: str
    quantity: Quantity
    start_ms: int
    energies_uwh: list[int | None]
    qualities: str

    def rows(self) -> list[tuple[int, int | None, Quality]]:
        """Return (interval_ms, energy, quality) of each interval."""
        return [
            (self.start_ms + index * INTERVAL_MS, energy_uwh, Quality(int(quality)))
            for index, (energy_uwh, quality) in enumerate(
                zip(self.energies_uwh, self.qualities, strict=True)
            )
        ]


class GridData(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The content of one file. `source` is its SHA-256 in hex, `name` is what it was called."""

    source: str
    name: str
    format: str
    series: list[GridSeries]
