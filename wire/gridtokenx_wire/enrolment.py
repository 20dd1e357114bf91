"""How a gateway comes to a community, and how it changes its key.

A token is what an operator hands to an installer: `secret.fingerprint`. The secret is good once;
the backend keeps its SHA-256. The fingerprint is the first half of SHA-256 of the community's CA
certificate (DER), so a gateway knows the backend's CA before it has it (as kubeadm's discovery
hash does).

Statements are compact JWS by device keys. `Enrol` proves that whoever holds the token's secret
holds the device key and means this TLS key. `Succeed` does the same for a key that follows one the
backend knows, and `Consent`, by the key in use, says that it shall.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_wire import jws
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import parse_device, parse_public_key

MAX_STATEMENT_BYTES = 8192
SECRET_BYTES = 16
DEVICE_TEXT_CHARS = 26
_KIND = jws.Kind(typ="gridtokenx-enrolment+jws", max_bytes=MAX_STATEMENT_BYTES)
_TOKEN = re.compile(r"([a-z2-7]{26})\.([0-9a-f]{32})", re.ASCII)


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token's two halves, as text."""

    secret: str
    ca_fingerprint: str

    @property
    def text(self) -> str:
        return f"{self.secret}.{self.ca_fingerprint}"

    @property
    def digest(self) -> str:
        """What the backend keeps: SHA-256 of the secret, in hex."""
        return hashlib.sha256(self.secret.encode()).hexdigest()


def make_token(entropy: bytes, ca_der: bytes) -> Token:
    """Return a token of 16 fresh random bytes, for the community of this CA."""
    secret = base64.b32encode(entropy).decode().rstrip("=").lower()
    return Token(secret=secret, ca_fingerprint=ca_fingerprint(ca_der))


def parse_token(text: str) -> Token:
    """Return the token that a text spells.

    Raises WireError that says what a token looks like, and never what the text was.
    """
    matched = _TOKEN.fullmatch(text.strip())
    if matched is None:
        raise WireError("expected a token: 26 letters and digits, a dot, 32 hex digits")
    return Token(secret=matched[1], ca_fingerprint=matched[2])


def ca_fingerprint(ca_der: bytes) -> str:
    """Return the first 16 bytes of SHA-256 of a certificate, in hex."""
    return hashlib.sha256(ca_der).hexdigest()[:32]


class _Statement(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    gc=False,
):
    v: Literal[1]


class Enrol(_Statement, frozen=True, kw_only=True, tag="enrol", gc=False):
    """A statement by a new key: whoever holds it holds the token as well.

    `token` is the secret's SHA-256 in hex, `csr` PEM for the TLS key.
    """

    token: str
    public_key: str
    csr: str


class Succeed(_Statement, frozen=True, kw_only=True, tag="succeed", gc=False):
    """A statement by a new key: it is to follow the key of `device`."""

    device: str
    public_key: str
    csr: str


class Consent(_Statement, frozen=True, kw_only=True, tag="consent", gc=False):
    """A statement by the key of `device`, which agrees to the `Succeed` whose JWS is
    `statement`.
    """

    device: str
    statement: str


_decoder = msgspec.json.Decoder(Enrol | Succeed | Consent)


class Enrolment(msgspec.Struct, frozen=True, gc=False):
    """A parsed `Enrol`. It is not verified until `signed` was, under `public_key`."""

    statement: Enrol
    public_key: bytes
    signed: jws.Signed


class Rotation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A parsed `Consent` by `device` and the `Succeed` in it by `public_key`.

    Not verified until `consent` was under the key of `device`, and `signed` under `public_key`.
    """

    device: bytes
    statement: Succeed
    public_key: bytes
    signed: jws.Signed
    consent: jws.Signed


def sign_statement(statement: Enrol | Succeed | Consent, key: Ed25519PrivateKey) -> str:
    """Return the compact JWS."""
    return jws.sign(msgspec.json.encode(statement), _KIND, key)


def parse_enrolment(message: bytes) -> Enrolment:
    """Check everything but the signature. Raises WireError."""
    statement, signed = _parse(message)
    if not isinstance(statement, Enrol):
        raise WireError("expected a statement of kind 'enrol'")
    return Enrolment(statement, _public_key(statement.public_key), signed)


def parse_rotation(message: bytes) -> Rotation:
    """Check everything but the two signatures. Raises WireError."""
    consent, consented = _parse(message)
    if not isinstance(consent, Consent):
        raise WireError("expected a statement of kind 'consent'")
    statement, signed = _parse(consent.statement.encode())
    if not isinstance(statement, Succeed) or statement.device != consent.device:
        raise WireError("expected the consent to hold a statement 'succeed' for the same device")
    # A longer text is none, and need not be remembered as such.
    device = parse_device(consent.device) if len(consent.device) == DEVICE_TEXT_CHARS else b""
    if not device:
        raise WireError("device: expected a device id")
    return Rotation(
        device=device,
        statement=statement,
        public_key=_public_key(statement.public_key),
        signed=signed,
        consent=consented,
    )


def _parse(message: bytes) -> tuple[Enrol | Succeed | Consent, jws.Signed]:
    signed = jws.split(message, _KIND)
    try:
        return _decoder.decode(signed.payload), signed
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"payload: {error}") from None


def _public_key(text: str) -> bytes:
    try:
        return parse_public_key(text)
    except ValueError as error:
        raise WireError(f"payload: public_key: {error}") from None


class EnrolmentRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/enrolments`: the token's secret and the JWS of an `Enrol`."""

    secret: str
    statement: str


class EnrolmentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway needs to go to work. `status` is active, or pending until approved.

    `certificate` and `ca` are PEM; `ack_keys` are Base58, the one in use first.
    """

    device: str
    site: str
    status: str
    community: str
    ack_keys: list[str]
    broker_host: str
    broker_port: int
    certificate: str
    ca: str
