"""The certificate authority (CA): its key, and a file for every certificate of a gateway.

    <data>/ca/ca.key                      mode 0600
    <data>/ca/ca.pem
    <data>/ca/issued/<device>-<serial>.pem
    <data>/ca/issued/reader-<name>-<serial>.pem
    <data>/ca/issued/reader-<name>.revoked

A certificate is on disk before anyone gets it, so every certificate in use can be revoked.
"""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gridtokenx_backend.enrolment import tls_certificates
from gridtokenx_backend.errors import CannotStart
from gridtokenx_backend.folders import make_folder
from gridtokenx_wire.atomic_file import PUBLIC, replace_file
from gridtokenx_wire.enrolment import ca_fingerprint
from gridtokenx_wire.keys import read_secret, write_secret

_SERIAL = re.compile(r"(reader-)?[a-z0-9]+-[0-9a-f]{1,40}").fullmatch
_READER_NAME = re.compile(r"[a-z0-9]{1,20}", re.ASCII).fullmatch
_READER = "reader-"
READER_RULE = "expected 1 to 20 lower-case letters or digits"


def is_reader_name(name: str) -> bool:
    """Return whether an integrator's read-only certificate may have this name."""
    return _READER_NAME(name) is not None


class Authority:
    """Issues and revokes certificates.

    Its methods read and write files, and may be called from any thread.
    """

    def __init__(
        self, folder: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> None:
        self.certificate = certificate
        self._folder = folder
        self._key = key
        self._busy = threading.Lock()

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def fingerprint(self) -> str:
        return ca_fingerprint(self.der)

    def issue(
        self, key: ec.EllipticCurvePublicKey, name: str, hosts: list[str], days: int
    ) -> x509.Certificate:
        """Return a new certificate that is stored nowhere.

        It is a server's if `hosts` names any, else a client's.
        """
        serial = x509.random_serial_number()
        now = datetime.now(UTC)
        return tls_certificates.issue(
            self.certificate,
            self._key,
            public_key=key,
            common_name=name,
            hosts=hosts,
            days=days,
            serial=serial,
            now=now,
        )

    def certify_device(self, device: str, key: ec.EllipticCurvePublicKey, days: int) -> str:
        """Return a gateway's certificate for this TLS key as PEM: the one it has, or a new one.

        A certificate that has less than half of its days left is replaced.
        """
        with self._busy:
            now = datetime.now(UTC)
            for known in self._issued(device):
                left = known.not_valid_after_utc - now
                if known.public_key() == key and 2 * left.days >= days:
                    return known.public_bytes(Encoding.PEM).decode()
            fresh = self.issue(key, device, [], days)
            pem = fresh.public_bytes(Encoding.PEM)
            make_folder(self._folder / "issued", 0o700)
            name = f"{device}-{fresh.serial_number:x}.pem"
            replace_file(self._folder / "issued" / name, pem, PUBLIC)
            return pem.decode()

    def revocation_list(self, devices: list[str]) -> bytes:
        """Return the revocation list, as PEM, of every certificate that these devices ever had.

        It has those of the revoked readers too.
        """
        with self._busy:
            revoked = [*devices, *self._revoked_readers()]
            names = [file.stem for name in revoked for file in self._files(name)]
            # The names are enough: a damaged file must not keep a device from being revoked.
            serials = [int(name.rpartition("-")[2], 16) for name in names if _SERIAL(name)]
        now = datetime.now(UTC)
        number = int(now.timestamp() * 1000)
        return tls_certificates.revocation_list(
            self.certificate, self._key, serials=serials, number=number, now=now
        )

    def readers(self) -> list[str]:
        """Return the common names of the readers that are not revoked, in order."""
        with self._busy:
            names = {file.stem.rpartition("-")[0] for file in self._files("reader-*")}
            return sorted(names - set(self._revoked_readers()))

    def certify_reader(self, name: str, key: ec.EllipticCurvePublicKey, days: int) -> str:
        """Return a certificate as PEM with which one may read at the broker, and write nothing.

        Raises CannotStart for a name that was revoked, or that no reader may have.
        """
        if not is_reader_name(name):
            raise CannotStart(f"{name!r}: {READER_RULE}")
        if self._mark(name).exists():
            raise CannotStart(f"{name}: this reader was revoked; expected another name")
        return self.certify_device(_READER + name, key, days)

    def revoke_reader(self, name: str) -> None:
        """Let the revocation list have all certificates of a reader. Raises CannotStart."""
        if not is_reader_name(name) or not self._files(_READER + name):
            raise CannotStart(f"{name!r}: expected the name of a reader; see: reader list")
        write_public_file(self._mark(name), b"")

    def _mark(self, name: str) -> Path:
        return self._folder / "issued" / f"{_READER}{name}.revoked"

    def _revoked_readers(self) -> list[str]:
        return sorted(file.stem for file in (self._folder / "issued").glob("reader-*.revoked"))

    def _issued(self, device: str) -> list[x509.Certificate]:
        found = []
        for file in self._files(device):
            with suppress(ValueError):  # a damaged file; another certificate is issued
                found.append(x509.load_pem_x509_certificate(file.read_bytes()))
        return found

    def _files(self, device: str) -> list[Path]:
        return sorted((self._folder / "issued").glob(f"{device}-*.pem"))


def open_authority(folder: Path) -> Authority | None:
    """Return the CA in `folder`, or None if none was made. Raises CannotStart, KeyFileError."""
    if not (folder / "ca.pem").exists():
        return None
    key = load_tls_key(folder / "ca.key")
    certificate = load_certificate(folder / "ca.pem")
    if certificate.public_key() != key.public_key():
        raise CannotStart(f"{folder}: expected ca.pem to be the certificate of ca.key")
    return Authority(folder, certificate, key)


def create_authority(folder: Path, community: str) -> tuple[Authority, bool]:
    """Return the CA in `folder`, and whether it was made now because there was none.

    Raises CannotStart, KeyFileError.
    """
    if known := open_authority(folder):
        return known, False
    make_folder(folder, 0o700)
    key = create_tls_key(folder / "ca.key")
    serial, now = x509.random_serial_number(), datetime.now(UTC)
    certificate = tls_certificates.make_ca(key, community, serial, now)
    write_public_file(folder / "ca.pem", certificate.public_bytes(Encoding.PEM))
    return Authority(folder, certificate, key), True


def create_tls_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key in `path`; make it (mode 0600) if there is none. Raises KeyFileError."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        write_secret(path, pem)
    except FileExistsError:
        return load_tls_key(path)
    return key


def load_tls_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the ECDSA key in `path`.

    Raises KeyFileError if it is missing or others may read it, CannotStart if it is no ECDSA key.
    """
    try:
        key = load_pem_private_key(read_secret(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CannotStart(f"{path}: expected an unencrypted PKCS #8 PEM private key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CannotStart(f"{path}: expected an ECDSA key")
    return key


def load_certificate(path: Path) -> x509.Certificate:
    """Return the certificate in `path`. Raises CannotStart."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise CannotStart(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise CannotStart(f"{path}: expected a certificate in PEM") from None


def write_public_file(path: Path, content: bytes) -> None:
    """Write a file that everyone may read. Raises CannotStart."""
    try:
        replace_file(path, content, PUBLIC)
    except OSError as error:
        raise CannotStart(f"{path}: cannot be written: {error.strerror}") from None
