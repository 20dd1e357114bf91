"""The server's half of an association, without I/O: a message in, its reply out.

What the meter holds is behind `LogicalDevice`; this module knows who may ask, how messages are
protected, and how long values are cut into blocks.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Protocol

import msgspec

from gridtokenx_dlms import acse, security
from gridtokenx_dlms.acse import (
    Aare,
    Aarq,
    AssociationResult,
    ContextName,
    Diagnostic,
    Mechanism,
    Release,
)
from gridtokenx_dlms.client import CHALLENGE_BYTES, REPLY_TO_HLS
from gridtokenx_dlms.data import Data, encode, octet_string
from gridtokenx_dlms.errors import DlmsError, MalformedError, SecurityError, UnsupportedError
from gridtokenx_dlms.security import Keys, Protection, ReplayGuard
from gridtokenx_dlms.session import Ciphering
from gridtokenx_dlms.xdlms import action as action_service
from gridtokenx_dlms.xdlms import get as get_service
from gridtokenx_dlms.xdlms import initiate, refusal
from gridtokenx_dlms.xdlms import set as set_service
from gridtokenx_dlms.xdlms.attribute import AccessResult, Attribute, Selection
from gridtokenx_dlms.xdlms.ciphered_message import GENERAL_GLO_TAG, is_ciphered
from gridtokenx_dlms.xdlms.initiate import SPOKEN, Conformance
from gridtokenx_dlms.xdlms.refusal import InitiateError

_SERVICES = {
    get_service.GET_REQUEST_TAG: Conformance.GET,
    set_service.SET_REQUEST_TAG: Conformance.SET,
    action_service.ACTION_REQUEST_TAG: Conformance.ACTION,
}
# A block response's own bytes, and those of its protection.
_BLOCK_OVERHEAD = 48
_SMALLEST_PDU = 64
_OPERATION_NOT_POSSIBLE = refusal.ExceptionResponse(state=1, service=1)
_SERVICE_NOT_SUPPORTED = refusal.ExceptionResponse(state=2, service=2)
_DECIPHERING_ERROR = refusal.ExceptionResponse(state=1, service=5)


class LogicalDevice(Protocol):
    """What a meter holds. A refusal is an AccessResult instead of a value."""

    def get(
        self, client: int, attribute: Attribute, selection: Selection | None
    ) -> Data | AccessResult: ...

    def set(self, client: int, attribute: Attribute, value: Data) -> AccessResult: ...

    def act(
        self, client: int, method: Attribute, parameters: Data | None
    ) -> tuple[AccessResult, Data | None]: ...


class ClientTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a client must show, and how its messages must be protected at least."""

    mechanism: Mechanism = Mechanism.NONE
    secret: bytes = b""
    keys: Keys | None = None
    protection: Protection = Protection.NONE
    max_pdu_bytes: int = 1024
    """What the meter takes, and sends, in one piece."""

    def __repr__(self) -> str:
        return f"ClientTerms({self.mechanism.name}, {self.protection.name})"


class ServerAssociation:
    """One client's association with one logical device.

    `counters` gives this server's next invocation counter, and `entropy` random bytes. `guard`
    knows the newest counter of the client's keys; whoever serves several associations under the
    same keys hands the same one to all of them.
    """

    def __init__(
        self,
        client: int,
        terms: ClientTerms,
        device: LogicalDevice,
        title: bytes,
        counters: Callable[[], int],
        entropy: Callable[[int], bytes],
        guard: ReplayGuard | None = None,
    ) -> None:
        self._client = client
        self._terms = terms
        self._device = device
        self._title = title
        self._counters = counters
        self._entropy = entropy
        self._guard = guard or ReplayGuard()
        self.close()

    def close(self) -> None:
        """Forget the association, as when the link below it ends."""
        self.is_open = False
        self._ciphering: Ciphering | None = None
        self._is_ciphered = False
        self._challenges: tuple[bytes, bytes] | None = None
        self._rest: memoryview | None = None
        self._block = 0
        self._max_pdu = _SMALLEST_PDU
        self._conformance = Conformance(0)

    @property
    def is_sending_blocks(self) -> bool:
        """Whether the rest of a long value waits to be asked for."""
        return self._rest is not None

    def abort_long_get(self) -> None:
        """Drop the rest of a long value, as a meter does that needs its memory."""
        self._rest = None

    def handle(self, message: bytes) -> bytes:
        """Return the reply to a message; an exception response to what cannot be answered."""
        try:
            if message[:1] == bytes((acse.AARQ_TAG,)):
                return self._open(message)
            if message[:1] == bytes((acse.RLRQ_TAG,)):
                return self._release(message)
            return self._serve(message)
        except SecurityError:
            return _DECIPHERING_ERROR.to_bytes()
        except UnsupportedError:
            return _SERVICE_NOT_SUPPORTED.to_bytes()
        except DlmsError:
            return _OPERATION_NOT_POSSIBLE.to_bytes()

    # --- opening --------------------------------------------------------------------------------

    def _open(self, message: bytes) -> bytes:
        self.close()
        try:
            aarq = acse.parse_aarq(message)
        except UnsupportedError:
            return self._refuse(ContextName.LOGICAL_NAMES, Diagnostic.CONTEXT_NOT_SUPPORTED)
        if refused := self._judge(aarq):
            return self._refuse(aarq.context, refused)
        if aarq.calling_title and self._terms.keys:
            self._ciphering = Ciphering(
                keys=self._terms.keys,
                title=self._title,
                protection=self._terms.protection,
                counter=0,
                peer_title=aarq.calling_title,
            )
            self._ciphering.guard = self._guard
        self._is_ciphered = aarq.context is ContextName.LOGICAL_NAMES_CIPHERED
        try:
            request = self._initiate(aarq.user_information)
        except SecurityError:
            self.close()
            return self._refuse(aarq.context, Diagnostic.AUTHENTICATION_FAILURE)
        if error := _judge_request(request):
            self.close()
            return self._refuse(aarq.context, Diagnostic.NO_REASON, error)
        return self._accept(aarq, request)

    def _judge(self, aarq: Aarq) -> Diagnostic | None:
        terms = self._terms
        if aarq.context in {ContextName.SHORT_NAMES, ContextName.SHORT_NAMES_CIPHERED}:
            return Diagnostic.CONTEXT_NOT_SUPPORTED
        is_ciphered = aarq.context is ContextName.LOGICAL_NAMES_CIPHERED
        if is_ciphered != (terms.protection is not Protection.NONE):
            return Diagnostic.CONTEXT_NOT_SUPPORTED
        if aarq.mechanism is not terms.mechanism:
            asked_none = aarq.mechanism is Mechanism.NONE
            return (
                Diagnostic.AUTHENTICATION_REQUIRED
                if asked_none
                else Diagnostic.MECHANISM_NOT_RECOGNISED
            )
        shown = aarq.authentication or b""
        if terms.mechanism is Mechanism.LOW and not hmac.compare_digest(shown, terms.secret):
            return Diagnostic.AUTHENTICATION_FAILURE
        if terms.mechanism is Mechanism.HIGH_GMAC:
            shortest, longest = CHALLENGE_BYTES
            if not shortest <= len(shown) <= longest:
                return Diagnostic.AUTHENTICATION_FAILURE
        needs_title = is_ciphered or terms.mechanism is Mechanism.HIGH_GMAC
        title = aarq.calling_title
        # With our own title, both ends would use the same nonces.
        if needs_title and (len(title) != security.SYSTEM_TITLE_BYTES or title == self._title):
            return Diagnostic.CALLING_TITLE_NOT_RECOGNISED
        return None

    def _initiate(self, information: bytes) -> initiate.InitiateRequest:
        if self._is_ciphered:
            information = self._decipher(information)
        return initiate.parse_initiate_request(information)

    def _accept(self, aarq: Aarq, request: initiate.InitiateRequest) -> bytes:
        taken = request.max_pdu_bytes or 0xFFFF
        self._max_pdu = max(_SMALLEST_PDU, min(taken, self._terms.max_pdu_bytes))
        self._conformance = request.conformance & SPOKEN
        response = initiate.InitiateResponse(
            conformance=self._conformance, max_pdu_bytes=self._terms.max_pdu_bytes
        ).to_bytes()
        if self._is_ciphered:
            response = self._cipher(response, is_global=True)
        if self._ciphering and request.dedicated_key:
            if len(request.dedicated_key) != security.KEY_BYTES:
                raise MalformedError(f"expected a dedicated key of {security.KEY_BYTES} bytes")
            self._ciphering.dedicated_key = request.dedicated_key
        challenge = None
        diagnostic = Diagnostic.NULL
        if self._terms.mechanism is Mechanism.HIGH_GMAC:
            challenge = self._entropy(16)
            self._challenges = (aarq.authentication or b"", challenge)
            diagnostic = Diagnostic.AUTHENTICATION_REQUIRED
        self.is_open = self._challenges is None
        return Aare(
            context=aarq.context,
            result=AssociationResult.ACCEPTED,
            diagnostic=diagnostic,
            user_information=response,
            mechanism=aarq.mechanism,
            authentication=challenge,
            responding_title=self._title if self._ciphering else b"",
        ).to_bytes()

    @staticmethod
    def _refuse(
        context: ContextName, diagnostic: Diagnostic, code: InitiateError = InitiateError.OTHER
    ) -> bytes:
        service, kind = refusal.INITIATE_SERVICE, refusal.INITIATE_CLASS
        error = refusal.ConfirmedServiceError(
            service=service, error_class=kind, code=code
        ).to_bytes()
        return Aare(
            context=context,
            result=AssociationResult.REJECTED_PERMANENT,
            diagnostic=diagnostic,
            user_information=error,
        ).to_bytes()

    def _release(self, message: bytes) -> bytes:
        acse.parse_release(message, acse.RLRQ_TAG)
        self.close()
        return Release(0).to_bytes(acse.RLRE_TAG)

    # --- serving --------------------------------------------------------------------------------

    def _serve(self, message: bytes) -> bytes:
        if not self.is_open and self._challenges is None:
            return _OPERATION_NOT_POSSIBLE.to_bytes()
        is_general = False
        if self._is_ciphered:
            is_general = message[:1] == bytes((GENERAL_GLO_TAG,))
            message = self._decipher(message)
        elif is_ciphered(message):
            raise SecurityError("expected messages in the open")
        reply = self._reply(message)
        if not self._is_ciphered:
            return reply
        assert self._ciphering
        self._ciphering.is_general = is_general  # as it was asked
        return self._cipher(reply)

    def _reply(self, message: bytes) -> bytes:
        if not message:
            raise MalformedError("expected a message, got nothing")
        tag = message[0]
        if self._challenges:
            return self._prove(message)
        if tag not in _SERVICES or not self._conformance & _SERVICES[tag]:
            raise UnsupportedError(f"expected an agreed service, got 0x{tag:02X}")
        if tag == get_service.GET_REQUEST_TAG:
            return self._get(get_service.parse_get_request(message))
        self._rest = None
        if tag == set_service.SET_REQUEST_TAG:
            write = set_service.parse_set_request(message)
            result = self._device.set(self._client, write.attribute, write.value)
            return set_service.SetResponse(invoke=write.invoke, result=result).to_bytes()
        call = action_service.parse_action_request(message)
        result, returned = self._device.act(self._client, call.method, call.parameters)
        return action_service.ActionResponse(
            invoke=call.invoke, result=result, returned=returned
        ).to_bytes()

    def _prove(self, message: bytes) -> bytes:
        """Return the client's answer to our challenge, and ours to its."""
        assert self._challenges
        assert self._ciphering
        call = action_service.parse_action_request(message)
        theirs, ours = self._challenges
        if call.method != REPLY_TO_HLS or call.parameters is None:
            raise MalformedError("expected the answer to the challenge first")
        ciphering = self._ciphering
        try:
            counter = security.verify_gmac(
                call.parameters.octets(), ours, ciphering.keys, ciphering.peer_title
            )
            if not self._is_ciphered:
                ciphering.guard.check(counter)
        except DlmsError:
            self._challenges = None  # and no association; the refusal is still ciphered
            denied = action_service.ActionResponse(
                invoke=call.invoke, result=AccessResult.READ_WRITE_DENIED
            )
            return denied.to_bytes()
        self._challenges = None
        self.is_open = True
        answer = security.gmac(theirs, ciphering.keys, self._title, self._counters())
        return action_service.ActionResponse(
            invoke=call.invoke, result=0, returned=octet_string(answer)
        ).to_bytes()

    def _get(self, request: get_service.AnyGetRequest) -> bytes:
        match request:
            case get_service.GetRequest():
                value = self._device.get(self._client, request.attribute, request.selection)
                reply = get_service.GetResponse(request.invoke, value).to_bytes()
                content = b"" if isinstance(value, int) else encode(value)
            case get_service.GetListRequest():
                if not self._conformance & Conformance.MULTIPLE_REFERENCES:
                    raise UnsupportedError("expected an agreed service, got a list")
                values = tuple(
                    self._device.get(self._client, attribute, selection)
                    for attribute, selection in request.attributes
                )
                reply = get_service.GetListResponse(request.invoke, values).to_bytes()
                content = get_service.encode_values(values)
            case get_service.GetNextRequest():
                return self._next_block(request)
        self._rest = None
        if len(reply) + _BLOCK_OVERHEAD <= self._max_pdu or not content:
            return reply
        if not self._conformance & Conformance.BLOCK_TRANSFER_GET:
            too_long = get_service.GetResponse(request.invoke, AccessResult.DATA_BLOCK_UNAVAILABLE)
            return too_long.to_bytes()
        self._rest, self._block = memoryview(content), 0
        return self._cut(request.invoke)

    def _next_block(self, request: get_service.GetNextRequest) -> bytes:
        if self._rest is None:
            code = AccessResult.NO_LONG_GET_IN_PROGRESS
            return get_service.GetBlockResponse(
                invoke=request.invoke, is_last=True, block=0, content=code
            ).to_bytes()
        if request.block != self._block:
            self._rest = None
            code = AccessResult.DATA_BLOCK_NUMBER_INVALID
            return get_service.GetBlockResponse(
                invoke=request.invoke, is_last=True, block=0, content=code
            ).to_bytes()
        return self._cut(request.invoke)

    def _cut(self, invoke: int) -> bytes:
        assert self._rest is not None
        size = self._max_pdu - _BLOCK_OVERHEAD
        part, rest = bytes(self._rest[:size]), self._rest[size:]
        self._block += 1
        self._rest = rest or None
        return get_service.GetBlockResponse(
            invoke=invoke, is_last=not rest, block=self._block, content=part
        ).to_bytes()

    # --- protection -----------------------------------------------------------------------------

    def _cipher(self, plain: bytes, *, is_global: bool = False) -> bytes:
        ciphering = self._ciphering
        assert ciphering
        ciphering.counter = self._counters()
        return ciphering.cipher(plain, is_global=is_global)

    def _decipher(self, message: bytes) -> bytes:
        if self._ciphering is None:
            raise SecurityError("expected keys and a system title")
        return self._ciphering.decipher(message)


def _judge_request(request: initiate.InitiateRequest) -> InitiateError | None:
    """Return what keeps this client and this server from talking, if anything does."""
    if request.version != initiate.DLMS_VERSION:
        return InitiateError.VERSION_TOO_LOW
    if not request.conformance & SPOKEN:
        return InitiateError.INCOMPATIBLE_CONFORMANCE
    if 0 < request.max_pdu_bytes < _SMALLEST_PDU:  # 0 sets no limit
        return InitiateError.PDU_SIZE_TOO_SHORT
    return None
