"""What `gridtokenx-backend init` makes: keys, the CA, and certificates for the server."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gridtokenx_backend.config.data_folder import prepare_data_folder
from gridtokenx_backend.config.settings import Settings
from gridtokenx_backend.enrolment.authority import (
    Authority,
    create_authority,
    create_tls_key,
    load_certificate,
    write_public_file,
)
from gridtokenx_backend.enrolment.tls_certificates import hosts_of
from gridtokenx_backend.folders import make_folder

BACKEND_NAME = "backend"
"""The CN of the backend's certificate, by which the broker's ACL knows the backend."""
_RENEW = timedelta(days=60)
_NOTES = (
    "signs acks; gateways pin it",
    "the operator's token",
    "with it, monitoring may read the metrics",
)
_LOCAL = ("localhost", "127.0.0.1", "::1")


class PreparedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was made, kept or renewed; `note` says what it is for."""

    file: str
    state: Literal["made", "kept", "renewed"]
    note: str


def initialise(settings: Settings, community: str, hosts: list[str]) -> list[PreparedFile]:
    """Make what is missing, renew what ends within 60 days or lacks a host, and keep the rest.

    Raises CannotStart, KeyFileError.
    """
    kept = {path: path.exists() for path in (settings.ack_key, *settings.tokens)}
    prepare_data_folder(settings)
    done = [
        PreparedFile(file=str(path), state="kept" if existed else "made", note=note)
        for (path, existed), note in zip(kept.items(), _NOTES, strict=True)
    ]
    authority, is_new = create_authority(settings.ca, community)
    until = authority.certificate.not_valid_after_utc.date().isoformat()
    note = f"the community's CA, until {until}; keep ca.key safe"
    done.append(
        PreparedFile(
            file=str(settings.ca / "ca.pem"), state="made" if is_new else "kept", note=note
        )
    )
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
    configured = settings.backend.enrolment.broker_host
    return [configured or socket.gethostname()]


def _leaf(
    authority: Authority, path: Path, common_name: str, hosts: list[str], days: int
) -> PreparedFile:
    key = create_tls_key(path.with_suffix(".key"))
    file = path.with_suffix(".pem")
    known = load_certificate(file) if file.exists() else None
    if known is not None and hosts:
        hosts = sorted({*hosts, *hosts_of(known)})
    if known is not None and _is_good(known, authority, key, hosts):
        return PreparedFile(file=str(file), state="kept", note=_note(known))
    fresh = authority.issue(key.public_key(), common_name, hosts, days)
    write_public_file(file, fresh.public_bytes(Encoding.PEM))
    return PreparedFile(file=str(file), state="renewed" if known else "made", note=_note(fresh))


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
    """Return whether the CA has signed a certificate.

    The issuer's name does not say so: a CA that was made anew has the same name.
    """
    try:
        known.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _note(certificate: x509.Certificate) -> str:
    until = certificate.not_valid_after_utc.date().isoformat()
    hosts = ", ".join(sorted(hosts_of(certificate)))
    return f"for {hosts}, until {until}" if hosts else f"until {until}"
