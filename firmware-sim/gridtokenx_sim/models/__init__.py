"""The register layouts of the simulated models, by model id.

Written from the makers' protocol documents and the project's collected facts, independently of
the gateway's profiles: two readings of the same source check each other.
"""

from __future__ import annotations

from gridtokenx_sim.models.abb import ABB_B23
from gridtokenx_sim.models.carlo_gavazzi import EM24_E1, EM24_RS485, EM340
from gridtokenx_sim.models.eastron import SDM72D_M, SDM120, SDM230, SDM630
from gridtokenx_sim.models.layout import Layout
from gridtokenx_sim.models.schneider import IEM3155
from gridtokenx_sim.models.sunspec import (
    SUNSPEC_INVERTER,
    SUNSPEC_INVERTER_FLOAT,
    SUNSPEC_METER,
    SUNSPEC_METER_FLOAT,
)

MODELS: dict[str, Layout] = {
    layout.model: layout
    for layout in (
        SDM120,
        SDM230,
        SDM630,
        SDM72D_M,
        ABB_B23,
        EM24_RS485,
        EM24_E1,
        EM340,
        IEM3155,
        SUNSPEC_METER,
        SUNSPEC_METER_FLOAT,
        SUNSPEC_INVERTER,
        SUNSPEC_INVERTER_FLOAT,
    )
}
