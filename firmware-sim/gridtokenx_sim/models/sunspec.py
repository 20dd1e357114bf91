"""A SunSpec meter and a SunSpec inverter, each with integer or float models.

From the SunSpec Device Information Model Specification and the definitions of models 1, 103, 113,
203 and 213. Holding registers (function 3) from a base on: "SunS", then for each model its id, its
length and as many registers, then 0xFFFF and 0. What such a device does not measure reads as not
implemented. The scale factor of power follows its size from one reading to the next. At night the
inverter shows its energy and nothing else. SunSpec leaves the sign of a meter's power open; here
import is positive.
"""

from __future__ import annotations

from collections.abc import Callable

from gridtokenx_sim.models import quantities as of
from gridtokenx_sim.models.layout import Layout, Table
from gridtokenx_sim.models.register import Kind, Register
from gridtokenx_sim.models.snapshot import Snapshot

BASE = 40_000
MAKER = "Sun Sim"  # in ids: SUN-SIM
_WH = 10**6
_TEXT = 16  # registers of a name or serial number
_FINE_MW = 3_000_000  # below it, power is shown in 0.1 W
_INVALID: dict[str, int] = {
    "uint16": 0xFFFF,
    "int16": 0x8000,
    "uint32": 0xFFFF_FFFF,
    "acc32": 0,
    "float32": 0x7FC0_0000,
}


class _Model:
    """A model that grows point by point behind its header."""

    def __init__(self, number: int, address: int) -> None:
        self._number = number
        self._start = address
        self._next = address + 2
        self._points: list[Register] = []

    def text(self, quantity: of.Quantity, length: int = _TEXT) -> None:
        self._points.append(
            Register(address=self._next, kind="ascii", quantity=quantity, length=length)
        )
        self._next += length

    def point(self, kind: str, quantity: of.Quantity | None = None, per_count: int = 1) -> None:
        """Add one value. Without a quantity, or where it has none, it is not implemented."""
        self._points.append(
            Register(
                address=self._next,
                kind=_KINDS.get(kind, kind),  # type: ignore[arg-type]
                quantity=quantity or _nothing,
                per_count=per_count,
                invalid=_INVALID[kind],
                counter=kind == "acc32",
            )
        )
        self._next += self._points[-1].words

    def points(self, count: int, kind: str) -> None:
        for _ in range(count):
            self.point(kind)

    def scale(self, exponent: int) -> None:
        self.point("int16", of.constant(exponent))

    @property
    def end(self) -> int:
        return self._next

    @property
    def registers(self) -> list[Register]:
        length = self._next - self._start - 2
        header = [
            Register(address=self._start, kind="uint16", quantity=of.constant(self._number)),
            Register(address=self._start + 1, kind="uint16", quantity=of.constant(length)),
        ]
        return header + self._points


_KINDS: dict[str, Kind] = {"acc32": "uint32"}


def _nothing(_snapshot: Snapshot) -> None:
    return None


def _net_mw(snapshot: Snapshot) -> int | None:
    return snapshot.power_mw


def _fed_mw(snapshot: Snapshot) -> int | None:
    """Return what an inverter feeds in; none while it sleeps."""
    power_mw = snapshot.power_mw
    return -power_mw if power_mw is not None and power_mw < 0 else None


def _awake(quantity: of.Quantity) -> of.Quantity:
    return lambda snapshot: quantity(snapshot) if _fed_mw(snapshot) else None


def _is_fine(snapshot: Snapshot) -> bool:
    return abs(snapshot.power_mw or 0) < _FINE_MW


def _counts(quantity: of.Quantity) -> of.Quantity:
    """Return power in counts of what `_power_scale` says: 0.1 W, or 1 W."""

    def counts(snapshot: Snapshot) -> int | None:
        value = quantity(snapshot)
        if not isinstance(value, int):
            return None
        per_count = 100 if _is_fine(snapshot) else 1000
        return (value + per_count // 2) // per_count

    return counts


def _power_scale(snapshot: Snapshot) -> int:
    return -1 if _is_fine(snapshot) else 0


def _common(address: int, name: str) -> _Model:
    model = _Model(1, address)
    model.text(of.constant(MAKER))
    model.text(of.constant(name))
    model.text(of.constant(""), 8)
    model.text(of.constant("1.0"), 8)
    model.text(of.serial_text)
    model.point("uint16", of.constant(1))
    model.point("int16")  # the pad that makes the length even
    return model


def _inverter(address: int) -> _Model:
    model = _Model(103, address)
    model.point("uint16")
    for phase in range(3):
        model.point("uint16", _awake(of.current_ma(phase)), 10)
    model.scale(-2)
    model.points(3, "uint16")
    for phase in range(3):
        model.point("uint16", _awake(of.voltage_mv(phase)), 100)
    model.scale(-1)
    model.point("int16", _counts(_fed_mw))
    model.point("int16", _power_scale)
    model.point("uint16", _awake(of.frequency_mhz), 10)
    model.scale(-2)
    model.points(6, "int16")  # VA, var, power factor and their scales
    model.point("acc32", of.export_uwh, 10 * _WH)
    model.scale(1)
    model.points(13, "int16")  # direct current, temperatures, states
    model.points(6, "uint32")  # events
    return model


def _inverter_float(address: int) -> _Model:
    model = _Model(113, address)
    model.point("float32")
    for phase in range(3):
        model.point("float32", _awake(of.current_ma(phase)), 1000)
    model.points(3, "float32")
    for phase in range(3):
        model.point("float32", _awake(of.voltage_mv(phase)), 1000)
    model.point("float32", _fed_mw, 1000)
    model.point("float32", _awake(of.frequency_mhz), 1000)
    model.points(3, "float32")
    model.point("float32", of.export_uwh, _WH)
    model.points(7, "float32")
    model.points(2, "uint16")
    model.points(6, "uint32")
    return model


def _meter(address: int) -> _Model:
    model = _Model(203, address)
    model.point("int16")
    for phase in range(3):
        model.point("int16", of.current_ma(phase), 10)
    model.scale(-2)
    model.point("int16")
    for phase in range(3):
        model.point("int16", of.voltage_mv(phase), 100)
    model.points(4, "int16")
    model.scale(-1)
    model.point("int16", of.frequency_mhz, 10)
    model.scale(-2)
    model.point("int16", _counts(_net_mw))
    for phase in range(3):
        model.point("int16", _counts(of.phase_mw(phase)))
    model.point("int16", _power_scale)
    model.points(15, "int16")  # VA, var, power factor and their scales
    model.point("acc32", of.export_uwh, _WH)
    model.points(3, "acc32")
    model.point("acc32", of.import_uwh, _WH)
    model.points(3, "acc32")
    model.scale(0)
    model.points(8, "acc32")  # VAh, and its scale
    model.point("int16")
    model.points(16, "acc32")  # varh, and its scale
    model.point("int16")
    model.point("uint32", of.constant(0))
    return model


def _meter_float(address: int) -> _Model:
    model = _Model(213, address)
    model.point("float32")
    for phase in range(3):
        model.point("float32", of.current_ma(phase), 1000)
    model.point("float32")
    for phase in range(3):
        model.point("float32", of.voltage_mv(phase), 1000)
    model.points(4, "float32")
    model.point("float32", of.frequency_mhz, 1000)
    model.point("float32", _net_mw, 1000)
    for phase in range(3):
        model.point("float32", of.phase_mw(phase), 1000)
    model.points(12, "float32")
    model.point("float32", of.export_uwh, _WH)
    model.points(3, "float32")
    model.point("float32", of.import_uwh, _WH)
    model.points(27, "float32")
    model.point("uint32", of.constant(0))
    return model


def _layout(model: str, name: str, build: Callable[[int], _Model]) -> Layout:
    marker = Register(address=BASE, kind="ascii", quantity=of.constant("SunS"), length=2)
    common = _common(BASE + marker.words, name)
    measures = build(common.end)
    end = [
        Register(address=measures.end, kind="uint16", quantity=of.constant(0xFFFF)),
        Register(address=measures.end + 1, kind="uint16", quantity=of.constant(0)),
    ]
    return Layout(
        model=model,
        name=name,
        maker="SUN-SIM",
        phases=3,
        serial="ascii",
        tables={3: Table([marker, *common.registers, *measures.registers, *end])},
        base=BASE,
    )


SUNSPEC_METER = _layout("sunspec_meter", "SunSpec meter", _meter)
SUNSPEC_METER_FLOAT = _layout("sunspec_meter_float", "SunSpec meter (float)", _meter_float)
SUNSPEC_INVERTER = _layout("sunspec_inverter", "SunSpec inverter", _inverter)
SUNSPEC_INVERTER_FLOAT = _layout(
    "sunspec_inverter_float", "SunSpec inverter (float)", _inverter_float
)
