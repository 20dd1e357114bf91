"""A logical device: its objects by name, for one client's rights."""

from __future__ import annotations

from collections.abc import Iterable

from gridtokenx_dlms import data
from gridtokenx_dlms.data import Data
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.objects.cosem_object import DENIED, UNDEFINED, CosemObject, Returned
from gridtokenx_dlms.xdlms.attribute import AccessResult, Attribute, Selection


class ObjectModel:
    """The objects of a logical device, which implement `server.LogicalDevice`.

    A client that `may_write` may use what objects allow.
    """

    def __init__(self, objects: Iterable[CosemObject], *, may_write: bool = False) -> None:
        self._objects: dict[tuple[int, Obis], CosemObject] = {}
        self._may_write = may_write
        for item in objects:
            self.add(item)

    def add(self, item: CosemObject) -> None:
        self._objects[item.class_id, item.obis] = item

    def objects(self) -> list[CosemObject]:
        """Return all of them, by logical name."""
        return sorted(self._objects.values(), key=lambda item: item.obis)

    def get(
        self, client: int, attribute: Attribute, selection: Selection | None
    ) -> Data | AccessResult:
        del client
        item = self._find(attribute)
        if isinstance(item, AccessResult):
            return item
        if attribute.number == 1:
            return data.octet_string(item.obis.to_bytes())
        return item.get(attribute.number, selection)

    def set(self, client: int, attribute: Attribute, value: Data) -> AccessResult:
        del client
        item = self._find(attribute)
        if isinstance(item, AccessResult):
            return item
        if not self._may_write or attribute.number not in item.writable:
            return DENIED
        return item.set(attribute.number, value)

    def act(self, client: int, method: Attribute, parameters: Data | None) -> Returned:
        del client
        item = self._find(method)
        if isinstance(item, AccessResult):
            return item, None
        if not self._may_write or method.number not in item.callable:
            return DENIED, None
        return item.act(method.number, parameters)

    def _find(self, attribute: Attribute) -> CosemObject | AccessResult:
        found = self._objects.get((attribute.class_id, attribute.obis))
        if found is not None:
            return found
        is_other_class = any(obis == attribute.obis for _, obis in self._objects)
        return AccessResult.OBJECT_CLASS_INCONSISTENT if is_other_class else UNDEFINED
