"""The refusals of whole requests by a server (Green Book 9.3.2 and 9.4.4.4.3)."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from gridtokenx_dlms.axdr import Reader
from gridtokenx_dlms.errors import MalformedError

EXCEPTION_RESPONSE_TAG, CONFIRMED_SERVICE_ERROR_TAG = 0xD8, 0x0E
_STATE_ERRORS = {1: "service not allowed", 2: "service unknown"}
_SERVICE_ERRORS = {
    1: "operation not possible",
    2: "service not supported",
    3: "other reason",
    4: "PDU too long",
    5: "deciphering error",
    6: "invocation counter error",
}
INVOCATION_COUNTER_ERROR = 6
INITIATE_SERVICE, INITIATE_CLASS = 1, 6
_SERVICES = {INITIATE_SERVICE: "initiate", 5: "read", 6: "write"}
_INITIATE_ERRORS = {
    1: "DLMS version too low",
    2: "incompatible conformance",
    3: "PDU size too short",
    4: "refused by the VDE handler",
}
_ERROR_CLASSES = {
    0: "application reference",
    1: "hardware resource",
    2: "VDE state",
    3: "service",
    4: "definition",
    5: "access",
    6: "initiate",
    7: "load data set",
    9: "task",
    10: "other",
}


class InitiateError(IntEnum):
    """Codes of the error class "initiate"."""

    OTHER = 0
    VERSION_TOO_LOW = 1
    INCOMPATIBLE_CONFORMANCE = 2
    PDU_SIZE_TOO_SHORT = 3


class ExceptionResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal of a request.

    `counter` is the lowest invocation counter that the server would take, where it says so.
    """

    state: int
    service: int
    counter: int | None = None

    def to_bytes(self) -> bytes:
        head = bytes((EXCEPTION_RESPONSE_TAG, self.state, self.service))
        return head + (b"" if self.counter is None else self.counter.to_bytes(4, "big"))

    def __str__(self) -> str:
        state = _STATE_ERRORS.get(self.state, f"state error {self.state}")
        return f"{state}, {_SERVICE_ERRORS.get(self.service, f'service error {self.service}')}"


class ConfirmedServiceError(msgspec.Struct, frozen=True, kw_only=True):
    """An error of a service, by class and code."""

    service: int
    error_class: int
    code: int

    def to_bytes(self) -> bytes:
        return bytes((CONFIRMED_SERVICE_ERROR_TAG, self.service, self.error_class, self.code))

    def __str__(self) -> str:
        service = _SERVICES.get(self.service, f"service {self.service}")
        if self.error_class == INITIATE_CLASS and self.code in _INITIATE_ERRORS:
            return f"{service} failed: {_INITIATE_ERRORS[self.code]}"
        kind = _ERROR_CLASSES.get(self.error_class, f"class {self.error_class}")
        return f"{service} failed: {kind} error {self.code}"


def parse_exception_response(message: bytes) -> ExceptionResponse:
    """Return the response in a message. Raises MalformedError."""
    reader = Reader(message)
    tag, state, service = reader.take(3)
    if tag != EXCEPTION_RESPONSE_TAG:
        raise MalformedError("expected the tag of an exception response")
    counter = None
    if service == INVOCATION_COUNTER_ERROR and reader.left:
        counter = int.from_bytes(reader.take(4), "big")
    reader.end()
    return ExceptionResponse(state=state, service=service, counter=counter)


def parse_confirmed_service_error(message: bytes) -> ConfirmedServiceError:
    """Return the error in a message. Raises MalformedError."""
    reader = Reader(message)
    tag, service, error_class, code = reader.take(4)
    reader.end()
    if tag != CONFIRMED_SERVICE_ERROR_TAG:
        raise MalformedError("expected the tag of a confirmed service error")
    return ConfirmedServiceError(service=service, error_class=error_class, code=code)
