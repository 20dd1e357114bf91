"""Key files and signatures against the `openssl` command."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_wire import cose
from gridtokenx_wire.frame import GENESIS_PREV, ClockStatus, build_frame, seal_frame
from gridtokenx_wire.keys import (
    create_private_key,
    device_id,
    load_private_key,
    raw_private_seed,
    raw_public_key,
)
from gridtokenx_wire.reading import Reading


def openssl(*arguments: str | Path, allow: tuple[int, ...] = (0,)) -> str:
    program = shutil.which("openssl")
    assert program is not None, "expected the Debian package openssl; scripts/test installs it"
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode in allow, done.stderr
    return done.stdout


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "device.key"


def test_openssl_reads_our_key_file(file: Path) -> None:
    key = create_private_key(file)
    text = openssl("pkey", "-in", file, "-noout", "-text")
    digits = "".join(text.split()).replace(":", "")
    assert text.startswith("ED25519 Private-Key:")
    assert raw_private_seed(key).hex() in digits
    assert raw_public_key(key.public_key()).hex() in digits


def test_a_key_that_openssl_made_is_ours_to_use(file: Path) -> None:
    openssl("genpkey", "-algorithm", "ed25519", "-out", file)
    file.chmod(0o600)
    key = load_private_key(file)
    assert raw_private_seed(key).hex() in openssl("pkey", "-in", file, "-noout", "-text").replace(
        ":", ""
    ).replace("\n", "").replace(" ", "")


@pytest.mark.parametrize(("flip", "answer"), [(0, "Verified Successfully"), (1, "Failure")])
def test_openssl_verifies_the_signature_of_a_frame(
    file: Path, tmp_path: Path, flip: int, answer: str
) -> None:
    key = create_private_key(file)
    signature, signed, _ = cose.split(frame_by(key))
    (tmp_path / "signed").write_bytes(signed[:-1] + bytes((signed[-1] ^ flip,)))
    (tmp_path / "signature").write_bytes(signature)
    openssl("pkey", "-in", file, "-pubout", "-out", tmp_path / "public")
    said = openssl(
        *("pkeyutl", "-verify", "-pubin", "-inkey", tmp_path / "public", "-rawin"),
        *("-in", tmp_path / "signed", "-sigfile", tmp_path / "signature"),
        allow=(0, 1),
    )
    assert answer in said


def frame_by(key: Ed25519PrivateKey) -> bytes:
    clock = ClockStatus(synchronised=True, stepped=False, source="ntp")
    readings = [
        Reading(meter="ABB-1", time_ms=1_782_036_000_000, import_uwh=5, export_uwh=7, power_w=-3)
    ]
    device = device_id(key.public_key())
    return seal_frame(build_frame(device, bytes(8), 0, GENESIS_PREV, clock, readings), key)
