"""How a gateway enrols and changes its key. Every step may be repeated after an interruption.

Keys are made and stored first. Then the backend is asked, and its answer is stored. Last, and in
one step, the config says so. The backend gives the same keys the same answer as before.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import SplitResult

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from gridtokenx_edge.enrolment import backend_call
from gridtokenx_edge.enrolment.tls_key import ensure_tls_key, request_for
from gridtokenx_edge.errors import CannotEnrol
from gridtokenx_wire.enrolment import (
    Consent,
    Enrol,
    EnrolmentAnswer,
    EnrolmentRequest,
    Succeed,
    Token,
    ca_fingerprint,
    sign_statement,
)
from gridtokenx_wire.keys import (
    create_private_key,
    device_id,
    device_text,
    load_private_key,
    public_key_text,
)

_CREATED = 201
_ADVICE = {
    "device_revoked": (
        "; the key that is here was revoked: move edge.key, edge-tls.key and outbox.db away, and"
        " enrol with a new token"
    ),
}
"""What to do, by the reasons of the backend's problems."""
_answer_decoder = msgspec.json.Decoder(EnrolmentAnswer)


def ensure_device_key(path: Path) -> Ed25519PrivateKey:
    """Return the device's key in `path`, which is made if there is none.

    Raises KeyFileError.
    """
    try:
        return create_private_key(path)
    except FileExistsError:
        return load_private_key(path)


def enrol(url: SplitResult, token: Token, key: Path, tls_key: Path) -> EnrolmentAnswer:
    """Make the keys that are missing, and have the backend let them in.

    Raises CannotEnrol, KeyFileError.
    """
    device = ensure_device_key(key)
    tls = ensure_tls_key(tls_key)
    ca = fetch_ca(url, token)
    statement = Enrol(
        v=1,
        token=token.digest,
        public_key=public_key_text(device.public_key()),
        csr=request_for(tls),
    )
    body = EnrolmentRequest(secret=token.secret, statement=sign_statement(statement, device))
    context = backend_call.trusting(ca)
    answer = _post(url, "/v1/enrolments", msgspec.json.encode(body), context)
    return _checked(answer, device, tls, ca)


def rotate(url: SplitResult, ca: str, present: Path, key: Path, tls_key: Path) -> EnrolmentAnswer:
    """Make the next keys, and have the present key let them in. Raises as `enrol`."""
    former, device = load_private_key(present), ensure_device_key(key)
    tls = ensure_tls_key(tls_key)
    name = device_text(device_id(former.public_key()))
    statement = Succeed(
        v=1, device=name, public_key=public_key_text(device.public_key()), csr=request_for(tls)
    )
    consent = Consent(v=1, device=name, statement=sign_statement(statement, device))
    body = sign_statement(consent, former).encode()
    context = backend_call.trusting(ca)
    answer = _post(url, "/v1/enrolments/rotation", body, context)
    return _checked(answer, device, tls, ca)


def fetch_ca(url: SplitResult, token: Token) -> str:
    """Return the community's CA in PEM, whoever hands it out: the token says which one it is."""
    context = backend_call.untrusting()
    answer = backend_call.ask(url, "GET", "/v1/ca", None, context)
    if answer.status != 200:
        raise CannotEnrol(f"{url.netloc}: {backend_call.problem(answer)}")
    try:
        der = _first_certificate(answer.body)
    except ValueError:
        raise CannotEnrol(f"{url.netloc}: expected a CA certificate in PEM") from None
    found = ca_fingerprint(der)
    if found != token.ca_fingerprint:
        raise CannotEnrol(
            f"{url.netloc}: expected the CA with the fingerprint {token.ca_fingerprint}, "
            f"got one with {found}: this is not the backend that the token is from"
        )
    # This is not the text itself: behind the CA there may be more, which OpenSSL would trust as
    # well.
    return ssl.DER_cert_to_PEM_cert(der)


def _post(url: SplitResult, path: str, body: bytes, context: ssl.SSLContext) -> EnrolmentAnswer:
    answer = backend_call.ask(url, "POST", path, body, context)
    if answer.status != _CREATED:
        advice = _ADVICE.get(backend_call.problem_code(answer), "")
        raise CannotEnrol(f"{url.netloc}: {backend_call.problem(answer)}{advice}")
    try:
        return _answer_decoder.decode(answer.body)
    except msgspec.DecodeError as error:
        raise CannotEnrol(f"{url.netloc}: expected the answer to an enrolment: {error}") from None


def _checked(
    answer: EnrolmentAnswer, device: Ed25519PrivateKey, tls: EllipticCurvePrivateKey, ca: str
) -> EnrolmentAnswer:
    """Return the answer with no other CA than `ca`.

    Raises CannotEnrol unless the answer is for these keys.
    """
    name = device_text(device_id(device.public_key()))
    if answer.device != name:
        raise CannotEnrol("expected an answer for this device's key")
    if not answer.ack_keys:
        raise CannotEnrol("expected the public key that acks are signed by")
    try:
        der = _first_certificate(answer.ca.encode())
        certificate = x509.load_pem_x509_certificate(answer.certificate.encode())
    except ValueError:
        raise CannotEnrol("expected certificates in PEM in the answer") from None
    if der != _first_certificate(ca.encode()):
        raise CannotEnrol("expected an answer by the CA that is trusted")
    if certificate.public_key() != tls.public_key():
        raise CannotEnrol("expected a certificate for this gateway's TLS key")
    return msgspec.structs.replace(answer, ca=ca)


def _first_certificate(pem: bytes) -> bytes:
    """Return the first certificate of a PEM text in DER; what follows it is left out.

    The standard library reads such a text differently from one version to the next. Raises
    ValueError.
    """
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
