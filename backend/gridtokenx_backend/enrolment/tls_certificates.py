"""X.509 (RFC 5280): the community's CA, what it signs, and its revocation list.

All keys are ECDSA P-256, which every TLS library knows. The CA has no name constraints: only this
community's own programs trust it, and its server may get another name later. Times and serial
numbers are arguments.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_DAYS = 7300
MAX_CSR_CHARS = 4096
_BEFORE = timedelta(days=1)
"""How far a gateway's clock may be behind that of the server which issues its certificate."""


class CsrError(Exception):
    """A certificate request cannot be granted. Its text says what was expected."""


def make_ca(
    key: ec.EllipticCurvePrivateKey, community: str, serial: int, now: datetime
) -> x509.Certificate:
    """Return the self-signed CA of a community; it may sign leaves and revocation lists only."""
    name = _name(f"GridTokenX {community}")
    skid = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        _builder(name, name, key.public_key(), serial)
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_ca=True), critical=True)
        .add_extension(skid, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(skid), critical=False
        )
        .sign(key, SHA256())
    )


def issue(
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    *,
    public_key: ec.EllipticCurvePublicKey,
    common_name: str,
    hosts: Sequence[str],
    days: int,
    serial: int,
    now: datetime,
) -> x509.Certificate:
    """Return a leaf: a server's if it has `hosts` (names and addresses), else a client's."""
    usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    until = min(now + timedelta(days=days), ca.not_valid_after_utc)
    builder = (
        _builder(ca.subject, _name(common_name), public_key, serial)
        .not_valid_before(now - _BEFORE)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_authority(ca), critical=False)
    )
    if hosts:
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(ca_key, SHA256())


def revocation_list(
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    *,
    serials: Iterable[int],
    number: int,
    now: datetime,
) -> bytes:
    """Return the revocation list (CRL) as PEM. `number` rises from list to list (RFC 5280 §5.2.3).

    A list that is out of date, or not valid yet, keeps all clients out. Therefore it is valid as
    long as the CA, and from a day before `now`, in case a clock is set back.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.subject)
        .last_update(now - _BEFORE)
        .next_update(ca.not_valid_after_utc)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_authority(ca), critical=False)
    )
    for serial in sorted(serials):
        revoked = x509.RevokedCertificateBuilder(serial, now).build()
        builder = builder.add_revoked_certificate(revoked)
    return builder.sign(ca_key, SHA256()).public_bytes(Encoding.PEM)


def requested_key(csr_pem: str) -> ec.EllipticCurvePublicKey:
    """Return the key that a certificate request is for; its names are ignored. Raises CsrError."""
    if len(csr_pem) > MAX_CSR_CHARS:
        raise CsrError(f"csr: expected at most {MAX_CSR_CHARS} characters")
    try:
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        key = csr.public_key()
        is_valid = csr.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CsrError("csr: expected a certificate request in PEM") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CsrError("csr: expected an ECDSA key on P-256")
    if not is_valid:
        raise CsrError("csr: expected a request signed by its own key")
    return key


def hosts_of(certificate: x509.Certificate) -> set[str]:
    """Return the names and addresses that a server's certificate is valid for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    dns = names.get_values_for_type(x509.DNSName)
    return {*dns, *(str(each) for each in names.get_values_for_type(x509.IPAddress))}


def _builder(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey, serial: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(serial)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _authority(ca: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    skid = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(skid)


def _usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
