"""Gateways on their way in: tokens, statements, and the inputs that they become."""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from tests.backend.village import HOUR_MS, Gateway, Village

from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.inputs import DeviceCommand, TokenCommand
from gridtokenx_backend.core.messages.outcomes import EnrolmentRefused, Result
from gridtokenx_backend.core.messages.refusals import EnrolmentRefusal
from gridtokenx_wire.enrolment import (
    Consent,
    Enrol,
    Succeed,
    Token,
    make_token,
    parse_enrolment,
    parse_rotation,
    sign_statement,
)

DAY_MS = 24 * HOUR_MS
SITE = "Lane 1"


def token_of(name: str, ca_der: bytes = b"a CA") -> Token:
    """The one token of this name."""
    return make_token(hashlib.sha256(name.encode()).digest()[:16], ca_der)


def csr(key: ec.EllipticCurvePrivateKey | None = None) -> str:
    """A request for a certificate, by a fresh TLS key unless one is given."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def enrolment(gateway: Gateway, token: Token, request: str = "csr") -> str:
    """The JWS by which a gateway asks to be let in."""
    return sign_statement(
        Enrol(v=1, token=token.digest, public_key=gateway.public_key, csr=request), gateway.key
    )


def rotation(former: Gateway, next_one: Gateway, request: str = "csr") -> str:
    """The JWS by which a gateway asks for its next key to be let in."""
    statement = Succeed(v=1, device=former.name, public_key=next_one.public_key, csr=request)
    signed = sign_statement(statement, next_one.key)
    return sign_statement(Consent(v=1, device=former.name, statement=signed), former.key)


class Gate:
    """Lets gateways into a village, as far as its core does."""

    def __init__(self, village: Village) -> None:
        self.village = village

    def issue(self, name: str, site: str = SITE, hours: int = 24) -> Result:
        expires_ms = self.village.at_ms + hours * HOUR_MS
        command = TokenCommand(
            action="issue", token=token_of(name).digest, site=site, expires_ms=expires_ms
        )
        return self.village.apply(inputs.token_input(command))

    def withdraw(self, name: str) -> Result:
        command = TokenCommand(action="withdraw", token=token_of(name).digest)
        return self.village.apply(inputs.token_input(command))

    def enrol(self, gateway: Gateway, token: str) -> Result:
        message = enrolment(gateway, token_of(token)).encode()
        return self.village.apply(inputs.EnrolmentInput(message, parse_enrolment(message)))

    def admit(self, gateway: Gateway, site: str = SITE) -> Result:
        """With a token of its own."""
        self.issue(gateway.name, site)
        return self.enrol(gateway, gateway.name)

    def rotate(self, former: Gateway, next_one: Gateway) -> Result:
        message = rotation(former, next_one).encode()
        return self.village.apply(inputs.RotationInput(message, parse_rotation(message)))

    def approve(self, gateway: Gateway, *, beside: bool = False) -> Result:
        command = DeviceCommand(action="approve", device=gateway.name, beside=beside)
        return self.village.apply(inputs.device_input(command))

    def revoke(self, gateway: Gateway, reason: str = "stolen") -> Result:
        command = DeviceCommand(action="revoke", device=gateway.name, reason=reason)
        return self.village.apply(inputs.device_input(command))

    def status(self, gateway: Gateway) -> str:
        return self.village.community.devices[gateway.device].status


def refusal(result: Result) -> EnrolmentRefusal:
    assert isinstance(result, EnrolmentRefused), result
    return result.reason
