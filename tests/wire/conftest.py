"""Keys and messages that the tests of the wire contract share."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings

from gridtokenx_wire.frame import GENESIS_PREV, ClockStatus, Frame, build_frame
from gridtokenx_wire.keys import device_id
from gridtokenx_wire.reading import Reading, ReadingFlag

# The machine is shared: an example may be slow without being wrong. pytest bounds each test.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


@pytest.fixture(scope="session")
def gateway_key() -> Ed25519PrivateKey:
    """RFC 8032 §7.1, TEST 1."""
    return Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )


@pytest.fixture(scope="session")
def backend_key() -> Ed25519PrivateKey:
    """RFC 8032 §7.1, TEST 2."""
    return Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    )


@pytest.fixture(scope="session")
def frame(gateway_key: Ed25519PrivateKey) -> Frame:
    """Return two readings of two meters; the golden hex in test_golden.py spells it out."""
    return build_frame(
        device=device_id(gateway_key.public_key()),
        chain=bytes.fromhex("0102030405060708"),
        seq=0,
        prev=GENESIS_PREV,
        clock=ClockStatus(synchronised=True, stepped=False, source="ntp"),
        readings=[
            Reading(
                meter="EASTRON-12345678",
                time_ms=1_782_036_000_000,
                import_uwh=1_234_567_000_000,
                export_uwh=890_120_000_000,
                power_w=-2150,
            ),
            Reading(
                meter="ABB-4242",
                time_ms=1_782_036_000_250,
                import_uwh=15_500_000_000,
                export_uwh=0,
                power_w=310,
                flags=ReadingFlag.NO_EXPORT | ReadingFlag.CONFIGURED_ID,
            ),
        ],
    )
