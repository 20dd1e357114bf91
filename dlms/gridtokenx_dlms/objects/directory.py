"""What a device says of itself: SAP assignment (17), association (15), security setup (64)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gridtokenx_dlms import data
from gridtokenx_dlms.data import Data, DataType
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.objects.cosem_object import UNDEFINED, CosemObject, ReadOnly
from gridtokenx_dlms.security import Protection
from gridtokenx_dlms.xdlms.attribute import AccessResult, Selection
from gridtokenx_dlms.xdlms.initiate import DLMS_VERSION, SPOKEN

ASSOCIATION = Obis(0, 0, 40, 0, 0)
SAP_ASSIGNMENT = Obis(0, 0, 41, 0, 0)
SECURITY_SETUP = Obis(0, 0, 43, 0, 0)
LOGICAL_DEVICE_NAME = Obis(0, 0, 42, 0, 0)
_READ, _READ_WRITE = 1, 3
_ASSOCIATED = 2


class SapAssignment(ReadOnly):
    """Class 17: the logical devices of a meter, by their addresses."""

    class_id, version, attributes = 17, 0, 2
    obis = SAP_ASSIGNMENT

    def __init__(self, names: Mapping[int, bytes]) -> None:
        self._names = dict(names)

    def get(self, number: int, selection: Selection | None) -> Data | AccessResult:
        del selection
        if number != 2:
            return UNDEFINED
        return data.array(
            data.structure(data.long_unsigned(sap), data.octet_string(name))
            for sap, name in sorted(self._names.items())
        )


class AssociationLn(ReadOnly):
    """Class 15, version 1: the object list with access rights, and how one is associated."""

    class_id, version, attributes = 15, 1, 9
    obis = ASSOCIATION

    def __init__(
        self,
        objects: Callable[[], Sequence[CosemObject]],
        client_sap: int,
        server_sap: int,
        mechanism: int,
        context: int,
        max_pdu_bytes: int,
        *,
        may_write: bool,
    ) -> None:
        self._objects = objects
        self._may_write = may_write
        self._partners = data.structure(data.integer(client_sap), data.long_unsigned(server_sap))
        self._context = data.octet_string(bytes.fromhex("608574050801") + bytes((context,)))
        self._mechanism = data.octet_string(bytes.fromhex("608574050802") + bytes((mechanism,)))
        size = data.long_unsigned(max_pdu_bytes)
        self._info = data.structure(
            Data(DataType.BIT_STRING, f"{SPOKEN:024b}"),
            size,
            size,
            data.unsigned(DLMS_VERSION),
            data.integer(0),
            data.octet_string(b""),
        )

    def get(self, number: int, selection: Selection | None) -> Data | AccessResult:
        del selection
        match number:
            case 2:
                return data.array(self._entry(item) for item in self._objects())
            case 3:
                return self._partners
            case 4:
                return self._context
            case 5:
                return self._info
            case 6:
                return self._mechanism
            case 7:
                return AccessResult.READ_WRITE_DENIED  # the secret
            case 8:
                return data.enum(_ASSOCIATED)
            case 9:
                return data.octet_string(SECURITY_SETUP.to_bytes())
        return UNDEFINED

    def _entry(self, item: CosemObject) -> Data:
        attributes = data.array(
            data.structure(data.integer(number), data.enum(self._mode(item, number)), data.NULL)
            for number in range(1, item.attributes + 1)
        )
        methods = data.array(
            data.structure(
                data.integer(number),
                data.enum(1 if self._may_write and number in item.callable else 0),
            )
            for number in range(1, item.methods + 1)
        )
        return data.structure(
            data.long_unsigned(item.class_id),
            data.unsigned(item.version),
            data.octet_string(item.obis.to_bytes()),
            data.structure(attributes, methods),
        )

    def _mode(self, item: CosemObject, number: int) -> int:
        return _READ_WRITE if self._may_write and number in item.writable else _READ


class SecuritySetup(ReadOnly):
    """Class 64: the suite, the policy and the two system titles. Keys are not transferred here."""

    class_id, version, attributes = 64, 0, 5
    obis = SECURITY_SETUP

    def __init__(self, protection: Protection, client_title: bytes, server_title: bytes) -> None:
        policy = {
            Protection.NONE: 0,
            Protection.AUTHENTICATED: 1,
            Protection.ENCRYPTED: 2,
            Protection.AUTHENTICATED_ENCRYPTED: 3,
        }[protection]
        self._values = {
            2: data.enum(policy),
            3: data.enum(0),
            4: data.octet_string(client_title),
            5: data.octet_string(server_title),
        }

    def get(self, number: int, selection: Selection | None) -> Data | AccessResult:
        del selection
        return self._values.get(number, UNDEFINED)
