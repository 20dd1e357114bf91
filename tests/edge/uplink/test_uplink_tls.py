"""TLS to the broker as the agent has it: what is refused, and how the log says so."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

EXTENSIONS = """
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
authorityKeyIdentifier = keyid
subjectAltName = IP:127.0.0.1
[stranger]
authorityKeyIdentifier = keyid
subjectAltName = IP:192.0.2.1
[device]
authorityKeyIdentifier = keyid
extendedKeyUsage = clientAuth
"""


def openssl(folder: Path, *arguments: str) -> None:
    command = [shutil.which("openssl") or "/usr/bin/openssl", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=30)


def certificate(folder: Path, name: str, section: str, ca: str) -> None:
    """`name`.pem and `name`.key, signed by `ca`, or by itself."""
    (folder / "ext").write_text(EXTENSIONS)
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")
    openssl(folder, "req", "-new", *new, "-keyout", f"{name}.key", "-subj", f"/CN={name}",
            "-out", f"{name}.csr")  # fmt: skip
    signer = ("-signkey", f"{name}.key") if ca == name else (
        "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial"
    )  # fmt: skip
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signer, "-extfile", "ext",
            "-extensions", section, "-days", "30", "-out", f"{name}.pem")  # fmt: skip


def expire(folder: Path, name: str, ca: str) -> None:
    """Make a certificate anew that has expired. OpenSSL 3.5 signs none, so this library does."""
    issued = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
    key = load_pem_private_key((folder / f"{ca}.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    builder = x509.CertificateBuilder(
        issuer_name=issued.issuer,
        subject_name=issued.subject,
        public_key=issued.public_key(),
        serial_number=issued.serial_number,
        not_valid_before=issued.not_valid_before_utc - timedelta(days=2),
        not_valid_after=issued.not_valid_before_utc - timedelta(days=1),
        extensions=list(issued.extensions),
    )
    signed = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    (folder / f"{name}.pem").write_bytes(signed)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    certificate(folder, "ca", "ca", "ca")
    certificate(folder, "other", "ca", "other")
    certificate(folder, "good", "server", "ca")
    certificate(folder, "expired", "server", "ca")
    expire(folder, "expired", "ca")
    certificate(folder, "stranger", "stranger", "ca")
    certificate(folder, "device", "device", "ca")
    return folder


@pytest.mark.parametrize(
    ("server", "ca", "reason"),
    [
        ("good", "ca", ""),
        ("good", "other", "TLS: the broker's certificate is not signed by ca"),
        ("expired", "ca", "TLS: the broker's certificate has expired"),
        ("stranger", "ca", "TLS: the broker's certificate is for another name"),
    ],
)
async def test_only_a_broker_with_a_certificate_of_our_authority_gets_a_frame(
    meters: Any,
    site: Any,
    broker: Any,
    backend: Any,
    ack_key: str,
    wait_until: Any,
    authority: Path,
    server: str,
    ca: str,
    reason: str,
) -> None:
    secure = type(broker)(site.folder).port
    broker.stop()
    broker.start(
        "per_listener_settings true",
        f"listener {broker.port} 127.0.0.1",
        "allow_anonymous true",
        f"listener {secure} 127.0.0.1",
        "allow_anonymous true",
        f"cafile {authority}/ca.pem",
        f"certfile {authority}/{server}.pem",
        f"keyfile {authority}/{server}.key",
        "require_certificate true",
        "user root",
    )
    async with meters.serve(meters.tcp(meters.meter("abb_b23", 1))) as running:
        # The backend comes back to the new broker a second later than the first frame.
        uplink = "uplink = {seal_after_s = 0, hold_unsynchronised_s = 0, ack_timeout_s = 1}"
        site.write(running, ack_key, secure, extra=uplink)
        files = f'ca = "{authority}/{ca}.pem", cert = "{authority}/device.pem"'
        tls = f'{files}, key = "{authority}/device.key"'
        text = site.config.read_text()
        site.config.write_text(text.replace("insecure = true", tls))
        site.start()
        if not reason:
            await wait_until(lambda: backend.readings)
            return
        await wait_until(lambda: site.has_log() and site.events("broker_lost"))
    assert reason in site.events("broker_lost")[0]["reason"]
    assert backend.received == 0


async def test_plain_text_is_refused_unless_the_config_says_insecure(
    meters: Any, site: Any, broker: Any, backend: Any, ack_key: str, wait_until: Any
) -> None:
    async with meters.serve(meters.tcp(meters.meter("abb_b23", 1))) as running:
        site.write(running, ack_key, broker.port)
    text = site.config.read_text()
    site.config.write_text(text.replace(", insecure = true", ""))
    agent = site.start()
    await wait_until(lambda: agent.poll() is not None)
    assert agent.returncode == 2
    (line,) = (site.folder / "edge.log").read_text().splitlines()
    assert "expected ca, cert and key (TLS), or insecure = true for plain text" in line
