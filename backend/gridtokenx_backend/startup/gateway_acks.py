"""The acks that gateways have shown, at a start: whether they prove a loss, and who accepted it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gridtokenx_backend.config.data_folder import HOW_TO_GO_ON
from gridtokenx_backend.config.settings import Settings
from gridtokenx_backend.continuity.ack_evidence import AckEvidence, AckFile, proven_losses
from gridtokenx_backend.core.model.registry import Device
from gridtokenx_backend.engine.writer import Writer
from gridtokenx_backend.errors import CannotStart
from gridtokenx_backend.startup.continuity_check import ack_keys_of
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import parse_public_key

LOSS = "loss"
"""The name under which the journal knows the entry by which a loss was last accepted."""


def ack_evidence(settings: Settings, writer: Writer, known: dict[str, str]) -> AckEvidence:
    """Return what judges the acks of gateways while a backend runs. Raises CannotStart."""
    return AckEvidence(
        writer,
        _keys(settings),
        lost=_lost(settings),
        accepted=_accepted(settings),
        loss_entry=int(known.get(LOSS, "0")),
        how_to_go_on=HOW_TO_GO_ON,
    )


def gateway_losses(settings: Settings, devices: Mapping[bytes, Device]) -> list[str]:
    """Return what gateways have proved to be lost, as parts of a sentence. Raises CannotStart."""
    return proven_losses(_lost(settings), devices, _keys(settings))


def check_gateway_acks(settings: Settings, devices: Mapping[bytes, Device]) -> None:
    """Raise CannotStart with one line if a gateway has proved that the journal is an old one."""
    if lost := gateway_losses(settings, devices):
        raise CannotStart(f"{settings.data}: {'; '.join(lost)}; {HOW_TO_GO_ON}")


def accept_gateway_acks(settings: Settings) -> None:
    """Let what gateways have proved count as accepted. No backend may run. Raises CannotStart."""
    if not settings.lost_acks.exists():
        return
    accepted = _accepted(settings)
    for ack, message in _lost(settings).items():
        accepted.add(ack, message)
    settings.lost_acks.unlink()


def _lost(settings: Settings) -> AckFile:
    return _opened(settings.lost_acks)


def _accepted(settings: Settings) -> AckFile:
    return _opened(settings.accepted_acks)


def _opened(path: Path) -> AckFile:
    try:
        return AckFile(path)
    except OSError as error:
        raise CannotStart(f"{path}: cannot be read: {error.strerror}") from None
    except WireError as error:
        raise CannotStart(f"{path}: expected acks that gateways have shown: {error}") from None


def _keys(settings: Settings) -> list[Ed25519PublicKey]:
    texts = ack_keys_of(settings)
    return [Ed25519PublicKey.from_public_bytes(parse_public_key(text)) for text in texts]
