"""Data (class 1), register (3) and extended register (4): one value, told when it is asked for."""

from __future__ import annotations

from collections.abc import Callable

from gridtokenx_dlms import data
from gridtokenx_dlms.data import Data
from gridtokenx_dlms.date_time import CosemDateTime
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.objects.cosem_object import UNDEFINED, ReadOnly
from gridtokenx_dlms.xdlms.attribute import AccessResult, Selection

# Blue Book, table of units.
UNIT_W, UNIT_VA, UNIT_VAR, UNIT_WH, UNIT_A, UNIT_V, UNIT_HZ, UNIT_NONE = (
    27,
    28,
    29,
    30,
    33,
    35,
    44,
    255,
)


def scaler_unit(scaler: int, unit: int) -> Data:
    """Return a scaler and a unit: a value is its integer × 10^scaler, in this unit."""
    return data.structure(data.integer(scaler), data.enum(unit))


class DataObject(ReadOnly):
    """Class 1: a value without a unit."""

    class_id, version, attributes = 1, 0, 2

    def __init__(self, obis: Obis, value: Callable[[], Data]) -> None:
        self.obis = obis
        self._value = value

    def get(self, number: int, selection: Selection | None) -> Data | AccessResult:
        del selection
        return self._value() if number == 2 else UNDEFINED


class Register(ReadOnly):
    """Class 3: a value with its unit."""

    class_id, version, attributes = 3, 0, 3

    def __init__(self, obis: Obis, value: Callable[[], Data], scaler: int, unit: int) -> None:
        self.obis = obis
        self._value = value
        self._scaler_unit = scaler_unit(scaler, unit)

    def get(self, number: int, selection: Selection | None) -> Data | AccessResult:
        del selection
        match number:
            case 2:
                return self._value()
            case 3:
                return self._scaler_unit
        return UNDEFINED


class ExtendedRegister(ReadOnly):
    """Class 4: a register that says how good its value is and when it was captured."""

    class_id, version, attributes = 4, 0, 5

    def __init__(
        self,
        obis: Obis,
        value: Callable[[], Data],
        scaler: int,
        unit: int,
        captured: Callable[[], CosemDateTime],
        status: Callable[[], Data] = lambda: data.unsigned(0),
    ) -> None:
        self.obis = obis
        self._register = Register(obis, value, scaler, unit)
        self._captured = captured
        self._status = status

    def get(self, number: int, selection: Selection | None) -> Data | AccessResult:
        match number:
            case 4:
                return self._status()
            case 5:
                return data.octet_string(self._captured().to_bytes())
        return self._register.get(number, selection)
