"""The gateway's TLS key (ECDSA P-256, apart from its device key), and its certificate request."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gridtokenx_wire.errors import KeyFileError
from gridtokenx_wire.keys import read_secret, write_secret


def ensure_tls_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key in `path` (mode 0600), which is made if there is none.

    Raises KeyFileError.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        write_secret(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except FileExistsError:
        return _load(path)
    return key


def _load(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(read_secret(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path}: expected an unencrypted PKCS #8 PEM private key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyFileError(f"{path}: expected an ECDSA key")
    return key


def request_for(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a PKCS #10 request in PEM. It names nobody, as the backend knows whose it is."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()
