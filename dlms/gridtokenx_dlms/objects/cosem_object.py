"""The face that every COSEM object has for the logical device that holds it."""

from __future__ import annotations

from typing import Protocol

from gridtokenx_dlms.data import Data
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.xdlms.attribute import AccessResult, Selection

Returned = tuple[AccessResult, Data | None]
DENIED = AccessResult.READ_WRITE_DENIED
UNDEFINED = AccessResult.OBJECT_UNDEFINED


class CosemObject(Protocol):
    """An object: attribute 1 is its logical name, which the device answers itself.

    `attributes` and `methods` are the highest numbers that its class has; `writable` and
    `callable` those that a client with the rights may use.
    """

    @property
    def class_id(self) -> int: ...
    @property
    def version(self) -> int: ...
    @property
    def obis(self) -> Obis: ...
    @property
    def attributes(self) -> int: ...
    @property
    def methods(self) -> int: ...
    @property
    def writable(self) -> frozenset[int]: ...
    @property
    def callable(self) -> frozenset[int]: ...

    def get(self, number: int, selection: Selection | None) -> Data | AccessResult: ...

    def set(self, number: int, value: Data) -> AccessResult: ...

    def act(self, number: int, parameters: Data | None) -> Returned: ...


class ReadOnly:
    """The base of an object that nobody may change or call."""

    methods = 0
    writable: frozenset[int] = frozenset()
    callable: frozenset[int] = frozenset()

    def set(self, number: int, value: Data) -> AccessResult:
        del number, value
        return DENIED

    def act(self, number: int, parameters: Data | None) -> Returned:
        del number, parameters
        return DENIED, None
