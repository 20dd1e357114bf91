"""Whether all is there that the community had before: looked at before a backend starts."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from gridtokenx_backend.config.data_folder import (
    HOW_TO_GO_ON,
    lost_secrets,
    traces_of_a_community,
)
from gridtokenx_backend.config.settings import Settings
from gridtokenx_backend.continuity.journal_head import JournalHead, open_head
from gridtokenx_backend.continuity.losses import FoundState, find_losses
from gridtokenx_backend.enrolment.authority import load_certificate
from gridtokenx_backend.errors import CannotStart, JournalUnavailable
from gridtokenx_backend.journal.port import Journal
from gridtokenx_backend.series.store import SeriesStore
from gridtokenx_wire.enrolment import ca_fingerprint
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import load_private_key, parse_public_key, public_key_text

_MAX_HEAD_BYTES = 4096


def lost_journal(settings: Settings) -> str:
    """Return that the journal is lost, as a part of a sentence; empty if it is there, or new."""
    if settings.journal.exists() and settings.journal.stat().st_size > 0:
        return ""
    traces = traces_of_a_community(settings)
    if not traces:
        return ""
    head, _ = read_head(settings, {})
    entries = f" with {head.seq} entries" if head else ""
    return f"journal.db is lost{entries}: it is missing or empty beside {', '.join(traces)}"


def check_journal_is_there(settings: Settings) -> None:
    """Raise CannotStart if the journal is missing and something shows that there was one."""
    if lost := lost_journal(settings):
        raise CannotStart(
            f"{settings.data}: {lost}; put a backup back: gridtokenx-backend restore; or begin a "
            "new community, whose members get their opening money: gridtokenx-backend run --new"
        )


async def check_continuity(settings: Settings, journal: Journal, series: SeriesStore) -> None:
    """Raise CannotStart with one line if something is lost."""
    if lost := await all_losses(settings, journal, series):
        raise CannotStart(f"{settings.data}: {'; '.join(lost)}; {HOW_TO_GO_ON}")


async def all_losses(settings: Settings, journal: Journal, series: SeriesStore) -> list[str]:
    """Return what is lost, as parts of a sentence. Raises JournalUnavailable."""
    known = await journal.known()
    head, fault = read_head(settings, known)
    last_seq = await journal.last_seq()
    last = await journal.entry(last_seq) if last_seq else None
    at_head = await journal.entry(head.seq) if head else None
    found = FoundState(
        last_seq=last_seq,
        last_ms=last.at_ms if last else 0,
        leaf_hash=at_head.leaf_hash if at_head else b"",
        head=head,
        head_fault=fault,
        known=known,
        ack_keys=ack_keys_of(settings) if settings.ack_key.exists() else [],
        ca=ca_of(settings),
        series_seq=await _series_seq(series),
    )
    return [*lost_secrets(settings), *find_losses(found)]


def read_head(settings: Settings, known: dict[str, str]) -> tuple[JournalHead | None, str]:
    """Return the head that is kept, or None, and why it cannot be relied on, or an empty text."""
    try:
        message = _read(settings.journal_head)
    except OSError as error:
        return None, f"it cannot be read: {error.strerror}"
    if message is None:
        return None, ""
    texts = {*ack_keys_of(settings), *filter(None, [known.get("ack", "")])}
    keys = [Ed25519PublicKey.from_public_bytes(parse_public_key(text)) for text in texts]
    try:
        return open_head(message, keys), ""
    except WireError as error:
        return None, str(error)


def _read(path: Path) -> bytes | None:
    if not path.exists():
        return None
    with path.open("rb") as file:
        return file.read(_MAX_HEAD_BYTES)


def ack_keys_of(settings: Settings) -> list[str]:
    """Return the public ack key, and that of the key before it, as far as their files are there.

    Raises KeyFileError if a file is there and holds no key.
    """
    files = [settings.ack_key, settings.ack_key_former]
    return [public_key_text(load_private_key(path).public_key()) for path in files if path.exists()]


def ca_of(settings: Settings) -> str:
    """Return the fingerprint of the CA; empty if there is none. Raises CannotStart."""
    file = settings.ca / "ca.pem"
    if not file.exists():
        return ""
    return ca_fingerprint(load_certificate(file).public_bytes(Encoding.DER))


async def _series_seq(series: SeriesStore) -> int:
    try:
        return await series.applied()
    except JournalUnavailable:
        return 0  # the disk is full; the series is looked at when there is room
