"""The client's half of an association, without I/O.

Each service is a generator: it yields a message for the meter and is sent the meter's reply, as
often as the service needs, and returns what was asked for.

    exchange = association.get(Attribute(3, Obis.parse("1-0:1.8.0"), 2))
    reply = exchange.send(None)         # bytes for the meter
    ...

`run_service` in `gridtokenx_dlms.aio.client_transport` drives them over a line.
"""

from __future__ import annotations

import hmac
from collections.abc import Generator, Mapping, Sequence
from typing import TypeVar

import msgspec

from gridtokenx_dlms import axdr, data, security
from gridtokenx_dlms.acse import (
    AARE_TAG,
    RLRE_TAG,
    RLRQ_TAG,
    Aarq,
    AssociationResult,
    ContextName,
    Diagnostic,
    Mechanism,
    Release,
    parse_aare,
    parse_release,
)
from gridtokenx_dlms.data import Data
from gridtokenx_dlms.errors import (
    AccessRefusedError,
    AssociationRefusedError,
    MalformedError,
    SecurityError,
    SequenceError,
    ServiceRefusedError,
    UnsupportedError,
)
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.session import Ciphering, is_refusal_in_the_open
from gridtokenx_dlms.xdlms import get as get_service
from gridtokenx_dlms.xdlms import refusal
from gridtokenx_dlms.xdlms.action import (
    ActionRequest,
    parse_action_response,
)
from gridtokenx_dlms.xdlms.attribute import Attribute, Selection, result_text
from gridtokenx_dlms.xdlms.ciphered_message import is_ciphered
from gridtokenx_dlms.xdlms.initiate import (
    LOGICAL_NAMES_VAA,
    SPOKEN,
    Conformance,
    InitiateRequest,
    InitiateResponse,
    parse_initiate_response,
)
from gridtokenx_dlms.xdlms.set import SetRequest, parse_set_response

T = TypeVar("T")
Exchange = Generator[bytes, bytes, T]

CURRENT_ASSOCIATION = Obis(0, 0, 40, 0, 0)
REPLY_TO_HLS = Attribute(15, CURRENT_ASSOCIATION, 1)
PUBLIC_CLIENT = 16
CHALLENGE_BYTES = (8, 64)
# Confirmed service, high priority; the low bits number the requests.
_INVOKE = 0xC0
MAX_VALUE_BYTES = 16 << 20
# The shortest message that may be agreed on has 64 bytes (Green Book 9.4.4), so whole blocks are
# longer than this. One byte at a time would take a line for minutes.
LEAST_BLOCK_BYTES = 16
_FEWEST_JUDGED_BLOCKS = 4


class Authentication(msgspec.Struct, frozen=True, kw_only=True):
    """The proof of who the client is. `secret` is the password of low level security.

    `challenge` (8 to 64 random bytes) is ours for high level security.
    """

    mechanism: Mechanism = Mechanism.NONE
    secret: bytes = b""
    challenge: bytes = b""

    def __post_init__(self) -> None:
        if self.mechanism not in {Mechanism.NONE, Mechanism.LOW, Mechanism.HIGH_GMAC}:
            raise ValueError("expected no, low level or GMAC authentication")
        shortest, longest = CHALLENGE_BYTES
        is_right = shortest <= len(self.challenge) <= longest
        if self.mechanism is Mechanism.HIGH_GMAC and not is_right:
            raise ValueError(f"expected a challenge of {shortest} to {longest} bytes")

    def __repr__(self) -> str:
        return f"Authentication({self.mechanism.name})"


class ClientAssociation:
    """One association with a meter's logical device, by logical names.

    `ciphering` protects every message; its `protection` NONE leaves them in the open and only
    serves GMAC authentication.
    """

    def __init__(
        self,
        authentication: Authentication | None = None,
        ciphering: Ciphering | None = None,
        *,
        max_pdu_bytes: int = 0xFFFF,
        conformance: Conformance = SPOKEN,
    ) -> None:
        self._authentication = authentication or Authentication()
        if self._authentication.mechanism is Mechanism.HIGH_GMAC and ciphering is None:
            raise ValueError("expected keys for GMAC")
        self._ciphering = ciphering
        self._is_ciphered = (
            ciphering is not None and ciphering.protection is not security.Protection.NONE
        )
        self._max_pdu_bytes = max_pdu_bytes
        self._conformance = conformance
        self._requests = 0
        self.is_open = False
        self.negotiated: InitiateResponse | None = None
        """What the meter agreed to."""

    def open(self) -> Exchange[None]:
        """Open the association. Raises AssociationRefusedError and other DlmsErrors."""
        self.is_open = False
        aare_message = yield self._aarq()
        if aare_message[:1] != bytes((AARE_TAG,)):
            self._raise_refusal(aare_message)
            raise MalformedError("expected the answer to a request for an association")
        aare = parse_aare(aare_message)
        if aare.result is not AssociationResult.ACCEPTED:
            raise AssociationRefusedError(_why_refused(aare.diagnostic))
        if self._ciphering and aare.responding_title:
            self._check_title(aare.responding_title)
        self.negotiated = self._initiate_response(aare.user_information)
        if self.negotiated.vaa != LOGICAL_NAMES_VAA:
            raise UnsupportedError("the meter uses short names, which are not spoken here")
        self.is_open = True
        if self._authentication.mechanism is Mechanism.HIGH_GMAC:
            try:
                yield from self._prove(aare.authentication or b"")
            except BaseException:
                self.is_open = False
                raise

    def get(self, attribute: Attribute, selection: Selection | None = None) -> Exchange[Data]:
        """Return an attribute's value. Raises AccessRefusedError and other DlmsErrors."""
        invoke = self._next_invoke()
        reply = yield from self._ask(
            get_service.GetRequest(invoke, attribute, selection).to_bytes()
        )
        response = get_service.parse_get_response(reply)
        if isinstance(response, get_service.GetBlockResponse):
            return axdr.decode((yield from self._blocks(invoke, response, str(attribute))))
        if not isinstance(response, get_service.GetResponse):
            raise SequenceError("expected the reply to this request")
        self._check_invoke(response.invoke, invoke)
        return _value(response.value, str(attribute))

    def get_list(
        self,
        attributes: Sequence[Attribute],
        selections: Mapping[Attribute, Selection] | None = None,
    ) -> Exchange[tuple[Data | int, ...]]:
        """Return several values; the code of a data access result where one was refused."""
        invoke = self._next_invoke()
        chosen = selections or {}
        request = get_service.GetListRequest(
            invoke, tuple((attribute, chosen.get(attribute)) for attribute in attributes)
        )
        reply = yield from self._ask(request.to_bytes())
        response = get_service.parse_get_response(reply)
        if isinstance(response, get_service.GetBlockResponse):
            values = get_service.parse_values(
                (yield from self._blocks(invoke, response, "the list"))
            )
        elif isinstance(response, get_service.GetListResponse):
            self._check_invoke(response.invoke, invoke)
            values = response.values
        else:
            raise SequenceError("expected the reply to this request")
        if len(values) != len(attributes):
            raise MalformedError(f"expected {len(attributes)} values, got {len(values)}")
        return values

    def set(self, attribute: Attribute, value: Data) -> Exchange[None]:
        """Write an attribute. Raises AccessRefusedError and other DlmsErrors."""
        invoke = self._next_invoke()
        reply = yield from self._ask(
            SetRequest(invoke=invoke, attribute=attribute, value=value).to_bytes()
        )
        response = parse_set_response(reply)
        self._check_invoke(response.invoke, invoke)
        if response.result:
            raise _refused(response.result, str(attribute))

    def action(self, method: Attribute, parameters: Data | None = None) -> Exchange[Data | None]:
        """Call a method. Raises AccessRefusedError and other DlmsErrors."""
        invoke = self._next_invoke()
        reply = yield from self._ask(ActionRequest(invoke, method, parameters).to_bytes())
        response = parse_action_response(reply)
        self._check_invoke(response.invoke, invoke)
        if response.result:
            raise _refused(response.result, f"{method.obis} method {method.number}")
        if response.returned is None:
            return None
        return _value(response.returned, f"{method.obis} method {method.number}")

    def release(self) -> Exchange[None]:
        """Close the association in good order."""
        self.is_open = False
        information = self._initiate_request() if self._is_ciphered else b""
        reply = yield Release(0, information).to_bytes(RLRQ_TAG)
        parse_release(reply, RLRE_TAG)

    def _aarq(self) -> bytes:
        context = ContextName.LOGICAL_NAMES
        if self._is_ciphered:
            context = ContextName.LOGICAL_NAMES_CIPHERED
        authentication = {
            Mechanism.NONE: None,
            Mechanism.LOW: self._authentication.secret,
            Mechanism.HIGH_GMAC: self._authentication.challenge,
        }[self._authentication.mechanism]
        title = self._ciphering.title if self._ciphering else b""
        mechanism = self._authentication.mechanism
        return Aarq(
            context=context,
            user_information=self._initiate_request(),
            mechanism=mechanism,
            authentication=authentication,
            calling_title=title,
        ).to_bytes()

    def _initiate_request(self) -> bytes:
        key = self._ciphering.dedicated_key if self._ciphering else b""
        plain = InitiateRequest(
            conformance=self._conformance, max_pdu_bytes=self._max_pdu_bytes, dedicated_key=key
        ).to_bytes()
        if self._ciphering and self._is_ciphered:
            return self._ciphering.cipher(plain, is_global=True)
        return plain

    def _initiate_response(self, information: bytes) -> InitiateResponse:
        if self._ciphering and self._is_ciphered:
            information = self._ciphering.decipher(information)
        if information[:1] == bytes((refusal.CONFIRMED_SERVICE_ERROR_TAG,)):
            raise AssociationRefusedError(str(refusal.parse_confirmed_service_error(information)))
        return parse_initiate_response(information)

    def _check_title(self, title: bytes) -> None:
        """Learn the meter's system title, or holds it against the one that was expected."""
        assert self._ciphering
        expected = self._ciphering.peer_title
        if expected and not hmac.compare_digest(expected, title):
            raise SecurityError("expected another system title: this is not the configured meter")
        if len(title) != security.SYSTEM_TITLE_BYTES:
            raise MalformedError("expected a system title of 8 bytes")
        if title == self._ciphering.title:  # both ends would use the same nonces
            raise SecurityError("the meter has our own system title")
        self._ciphering.peer_title = title

    def _prove(self, challenge: bytes) -> Exchange[None]:
        """Return the two last passes of high level security: each end answers the other's
        challenge.
        """
        ciphering = self._ciphering
        assert ciphering
        shortest, longest = CHALLENGE_BYTES
        if not shortest <= len(challenge) <= longest or not ciphering.peer_title:
            raise MalformedError("expected the meter's challenge and system title")
        if hmac.compare_digest(challenge, self._authentication.challenge):
            raise SecurityError("the meter sent our own challenge back")
        answer = security.gmac(challenge, ciphering.keys, ciphering.title, ciphering.take_counter())
        try:
            returned = yield from self.action(REPLY_TO_HLS, data.octet_string(answer))
        except AccessRefusedError as error:
            raise AssociationRefusedError(f"the meter does not accept our keys: {error}") from None
        if returned is None:
            raise SecurityError("the meter did not prove that it knows the keys")
        own = self._authentication.challenge
        counter = security.verify_gmac(returned.octets(), own, ciphering.keys, ciphering.peer_title)
        if not self._is_ciphered:  # else the message that brought it had a later one
            ciphering.guard.check(counter)

    def _blocks(
        self, invoke: int, response: get_service.GetBlockResponse, what: str
    ) -> Exchange[bytes]:
        """Return all blocks of a long value, put together."""
        content = bytearray()
        expected = 1
        while True:
            self._check_invoke(response.invoke, invoke)
            if isinstance(response.content, int):
                raise _refused(response.content, what)
            if response.block != expected:
                raise SequenceError(f"expected block {expected}, got {response.block}")
            content += response.content
            if len(content) > MAX_VALUE_BYTES:
                raise MalformedError(f"expected a value of at most {MAX_VALUE_BYTES} bytes")
            if response.is_last:
                return bytes(content)
            if not response.content:  # such blocks could go on for ever
                raise MalformedError("expected a block with a part of the value")
            if expected >= _FEWEST_JUDGED_BLOCKS and len(content) < LEAST_BLOCK_BYTES * expected:
                raise MalformedError(
                    f"expected blocks of {LEAST_BLOCK_BYTES} bytes or more, got"
                    f" {len(content)} bytes in {expected}"
                )
            request = get_service.GetNextRequest(invoke=invoke, block=expected).to_bytes()
            reply = get_service.parse_get_response((yield from self._ask(request)))
            if isinstance(reply, get_service.GetResponse) and isinstance(reply.value, int):
                raise _refused(reply.value, what)
            if not isinstance(reply, get_service.GetBlockResponse):
                raise SequenceError(f"expected block {expected + 1}")
            response = reply
            expected += 1

    def _ask(self, request: bytes) -> Exchange[bytes]:
        if not self.is_open:
            raise SequenceError("expected an open association")
        ciphering = self._ciphering if self._is_ciphered else None
        reply = yield ciphering.cipher(request) if ciphering else request
        if ciphering and not is_refusal_in_the_open(reply):
            reply = ciphering.decipher(reply)
        elif is_ciphered(reply):
            raise SecurityError("expected a reply in the open, got a ciphered one")
        self._raise_refusal(reply)
        return reply

    @staticmethod
    def _raise_refusal(reply: bytes) -> None:
        if reply[:1] == bytes((refusal.EXCEPTION_RESPONSE_TAG,)):
            raise ServiceRefusedError(
                f"the meter refused the request: {refusal.parse_exception_response(reply)}"
            )
        if reply[:1] == bytes((refusal.CONFIRMED_SERVICE_ERROR_TAG,)):
            raise ServiceRefusedError(str(refusal.parse_confirmed_service_error(reply)))

    def _next_invoke(self) -> int:
        self._requests = (self._requests + 1) % 16
        return _INVOKE | self._requests

    @staticmethod
    def _check_invoke(found: int, expected: int) -> None:
        # Some meters leave out the bits for service class and priority.
        if found & 0x0F != expected & 0x0F:
            raise SequenceError("expected the reply to this request, got one to another")


def _value(value: Data | int, what: str) -> Data:
    if isinstance(value, int):
        raise _refused(value, what)
    return value


def _refused(result: int, what: str) -> AccessRefusedError:
    return AccessRefusedError(f"{what}: {result_text(result)}", result)


def _why_refused(diagnostic: Diagnostic) -> str:
    reason = diagnostic.name.lower().replace("_", " ")
    return f"the meter refused the association: {reason}"
