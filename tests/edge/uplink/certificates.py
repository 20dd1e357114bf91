"""A private authority, and certificates of its, for tests over TLS."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

# Python 3.13 refuses authorities that do not say what their key is for (RFC 5280, 4.2.1.3).
SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def make_certificates(folder: Path, name: str) -> None:
    """A private authority, a certificate for 127.0.0.1 and one for a device."""
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    authority_key = generate_private_key(SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} authority")])
    for file, key in (
        ("ca", authority_key),
        ("server", generate_private_key(SECP256R1())),
        ("device", generate_private_key(SECP256R1())),
    ):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, file)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(authority if file == "ca" else subject)
            .issuer_name(authority)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=file == "ca", path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
                critical=False,
            )
        )
        if file == "ca":
            builder = builder.add_extension(SIGNS_CERTIFICATES, critical=True)
            identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
            builder = builder.add_extension(identifier, critical=False)
        if file == "server":
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        certificate = builder.sign(authority_key, hashes.SHA256())
        (folder / f"{name}-{file}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}-{file}.key").write_bytes(pem)
