"""What `gridtokenx-backend init` makes: the CA, and certificates for this server's own programs."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gridtokenx_backend.config.data_folder import prepare
from gridtokenx_backend.config.settings import Settings
from gridtokenx_backend.enrolment.authority import (
    Authority,
    create_authority,
    create_tls_key,
    load_certificate,
    write,
)
from gridtokenx_backend.enrolment.key_files import make_folder
from gridtokenx_backend.enrolment.tls_certificates import hosts_of

BACKEND_NAME = "backend"
"""The CN of the backend's certificate; the broker's ACL goes by it."""
_RENEW = timedelta(days=60)
_LOCAL = ("localhost", "127.0.0.1", "::1")


class Prepared(msgspec.Struct, frozen=True):
    """`state` is made, kept or renewed; `note` says what it is."""

    file: str
    state: str
    note: str


def initialise(settings: Settings, community: str, hosts: list[str]) -> list[Prepared]:
    """Makes what is missing, renews what ends within 60 days or lacks a host, keeps the rest.

    Raises CannotStart, KeyFileError.
    """
    kept = {path: path.exists() for path in (settings.ack_key, settings.operator_token)}
    prepare(settings)
    done = [
        Prepared(str(path), "kept" if existed else "made", note)
        for (path, existed), note in zip(
            kept.items(), ("signs acks; gateways pin it", "the operator's token"), strict=True
        )
    ]
    authority, is_new = create_authority(settings.ca, community)
    until = authority.certificate.not_valid_after_utc.date().isoformat()
    note = f"the community's CA, until {until}; keep ca.key safe"
    done.append(Prepared(str(settings.ca / "ca.pem"), "made" if is_new else "kept", note))
    make_folder(settings.tls, 0o700)
    named = {*hosts, *_LOCAL}
    days = settings.backend.enrolment.certificate_days
    for name, common_name, of in (
        ("broker", "broker", named),
        ("api", "api", named),
        ("backend", BACKEND_NAME, set[str]()),
    ):
        is_first = not (settings.tls / f"{name}.pem").exists()
        usual = _default_hosts(settings) if of and is_first and not hosts else []
        done.append(_leaf(authority, settings.tls / name, common_name, sorted({*of, *usual}), days))
    return done


def _default_hosts(settings: Settings) -> list[str]:
    told = settings.backend.enrolment.broker_host
    return [told] if told else [socket.gethostname()]


def _leaf(
    authority: Authority, path: Path, common_name: str, hosts: list[str], days: int
) -> Prepared:
    key = create_tls_key(path.with_suffix(".key"))
    file = path.with_suffix(".pem")
    known = load_certificate(file) if file.exists() else None
    if known is not None and hosts:
        hosts = sorted({*hosts, *hosts_of(known)})
    if known is not None and _is_good(known, authority, key, hosts):
        return Prepared(str(file), "kept", _note(known))
    fresh = authority.issue(key.public_key(), common_name, hosts, days)
    write(file, fresh.public_bytes(Encoding.PEM))
    return Prepared(str(file), "renewed" if known else "made", _note(fresh))


def _is_good(
    known: x509.Certificate, authority: Authority, key: ec.EllipticCurvePrivateKey, hosts: list[str]
) -> bool:
    return (
        known.public_key() == key.public_key()
        and _is_by(authority, known)
        and known.not_valid_after_utc - datetime.now(UTC) > _RENEW
        and hosts_of(known) >= set(hosts)
    )


def _is_by(authority: Authority, known: x509.Certificate) -> bool:
    """The name of the issuer does not tell: a CA made anew has the same."""
    try:
        known.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _note(certificate: x509.Certificate) -> str:
    until = certificate.not_valid_after_utc.date().isoformat()
    hosts = ", ".join(sorted(hosts_of(certificate)))
    return f"for {hosts}, until {until}" if hosts else f"until {until}"
