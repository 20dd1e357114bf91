"""The models that a gateway reads, as sunspec/models defines them.

Integer models have scale factors (101 to 103, 201 to 204, 701), the others are float32. In each
family the offsets are the same, whatever the number of phases.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_edge.meters.sunspec.points import PointType, PointUnit, SunSpecPoint

Kind = Literal["meter", "inverter"]

COMMON = 1
_PHASES = ("_l1", "_l2", "_l3")


class ModelMap(msgspec.Struct, frozen=True):
    """A model's own length, without its two header registers, and its points by name.

    Names are those of other meters' values, such as `energy_import` and `voltage_l1`.
    """

    length: int
    points: dict[str, SunSpecPoint]


def _run(
    names: tuple[str, ...],
    offset: int,
    kind: PointType,
    unit: PointUnit,
    scale: int = 0,
    step: int = 1,
    *,
    negated: bool = False,
) -> dict[str, SunSpecPoint]:
    """Return points that stand `step` registers apart."""
    return {
        name: SunSpecPoint(
            offset=offset + step * place, type=kind, unit=unit, scale=scale, negated=negated
        )
        for place, name in enumerate(names)
    }


def _each(name: str) -> tuple[str, ...]:
    return tuple(name + phase for phase in _PHASES)


def _with_total(name: str, phase_name: str) -> tuple[str, ...]:
    return (name, *_each(phase_name))


# An inverter's W is positive when it feeds in; a reading's power is positive for import.
_INVERTER = ModelMap(
    50,
    {
        "energy_export": SunSpecPoint(offset=24, type="acc32", unit="Wh", scale=26),
        "active_power": SunSpecPoint(offset=14, type="int16", unit="W", scale=15, negated=True),
        **_run(_each("current"), 3, "uint16", "A", 6),
        **_run(_each("voltage"), 10, "uint16", "V", 13),
        "frequency": SunSpecPoint(offset=16, type="uint16", unit="Hz", scale=17),
        "apparent_power": SunSpecPoint(offset=18, type="int16", unit="VA", scale=19),
        "reactive_power": SunSpecPoint(offset=20, type="int16", unit="var", scale=21),
        "power_factor": SunSpecPoint(offset=22, type="int16", unit="Pct", scale=23),
    },
)
_INVERTER_FLOAT = ModelMap(
    60,
    {
        "energy_export": SunSpecPoint(offset=32, type="float32", unit="Wh"),
        "active_power": SunSpecPoint(offset=22, type="float32", unit="W", negated=True),
        **_run(_each("current"), 4, "float32", "A", step=2),
        **_run(_each("voltage"), 16, "float32", "V", step=2),
        "frequency": SunSpecPoint(offset=24, type="float32", unit="Hz"),
        "apparent_power": SunSpecPoint(offset=26, type="float32", unit="VA"),
        "reactive_power": SunSpecPoint(offset=28, type="float32", unit="var"),
        "power_factor": SunSpecPoint(offset=30, type="float32", unit="Pct"),
    },
)
_METER = ModelMap(
    105,
    {
        **_run(_with_total("energy_import", "energy_import"), 46, "acc32", "Wh", 54, 2),
        **_run(_with_total("energy_export", "energy_export"), 38, "acc32", "Wh", 54, 2),
        **_run(_with_total("active_power", "power"), 18, "int16", "W", 22),
        **_run(_each("current"), 3, "int16", "A", 6),
        **_run(_each("voltage"), 8, "int16", "V", 15),
        "frequency": SunSpecPoint(offset=16, type="int16", unit="Hz", scale=17),
        "apparent_power": SunSpecPoint(offset=23, type="int16", unit="VA", scale=27),
        "reactive_power": SunSpecPoint(offset=28, type="int16", unit="var", scale=32),
        "power_factor": SunSpecPoint(offset=33, type="int16", unit="Pct", scale=37),
    },
)
_METER_FLOAT = ModelMap(
    124,
    {
        **_run(_with_total("energy_import", "energy_import"), 68, "float32", "Wh", step=2),
        **_run(_with_total("energy_export", "energy_export"), 60, "float32", "Wh", step=2),
        **_run(_with_total("active_power", "power"), 28, "float32", "W", step=2),
        **_run(_each("current"), 4, "float32", "A", step=2),
        **_run(_each("voltage"), 12, "float32", "V", step=2),
        "frequency": SunSpecPoint(offset=26, type="float32", unit="Hz"),
        "apparent_power": SunSpecPoint(offset=36, type="float32", unit="VA"),
        "reactive_power": SunSpecPoint(offset=44, type="float32", unit="var"),
    },
)
# Model 701: what is injected is the export, what is absorbed the import.
_DER = ModelMap(
    153,
    {
        "energy_import": SunSpecPoint(offset=23, type="uint64", unit="Wh", scale=120),
        "energy_export": SunSpecPoint(offset=19, type="uint64", unit="Wh", scale=120),
        "active_power": SunSpecPoint(offset=10, type="int16", unit="W", scale=116, negated=True),
        **_run(_each("power"), 41, "int16", "W", 116, 23, negated=True),
        **_run(_each("current"), 45, "int16", "A", 113, 23),
        **_run(_each("voltage"), 47, "uint16", "V", 114, 23),
        **_run(_each("energy_import"), 52, "uint64", "Wh", 120, 23),
        **_run(_each("energy_export"), 48, "uint64", "Wh", 120, 23),
        "frequency": SunSpecPoint(offset=17, type="uint32", unit="Hz", scale=115),
        "apparent_power": SunSpecPoint(offset=11, type="int16", unit="VA", scale=118),
        "reactive_power": SunSpecPoint(offset=12, type="int16", unit="var", scale=119),
    },
)

MODELS: dict[int, ModelMap] = {
    **dict.fromkeys((101, 102, 103), _INVERTER),
    **dict.fromkeys((111, 112, 113), _INVERTER_FLOAT),
    **dict.fromkeys((201, 202, 203, 204), _METER),
    **dict.fromkeys((211, 212, 213, 214), _METER_FLOAT),
    701: _DER,
}
# In the order of choice where a device has several. Integers count exactly; 701 comes last, so
# that a firmware that adds it does not change which counter is read.
OF_KIND: dict[Kind, tuple[int, ...]] = {
    "meter": (203, 204, 202, 201, 213, 214, 212, 211),
    "inverter": (103, 102, 101, 113, 112, 111, 701),
}
# Both lengths of the common model are valid: its pad register is optional.
STANDARD_LENGTHS: dict[int, tuple[int, ...]] = {
    COMMON: (65, 66),
    **{model: (of.length,) for model, of in MODELS.items()},
}
READING_POINTS = ("energy_import", "energy_export", "active_power")
