"""Goes on without what was lost, because the operator says so: journaled, and never in silence."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack

import msgspec

from gridtokenx_backend.config.data_folder import lock_data_folder, make_secrets
from gridtokenx_backend.config.settings import Settings
from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages.inputs import loss_input
from gridtokenx_backend.core.messages.loss_records import LossAccepted, LossCommand
from gridtokenx_backend.errors import CannotStart
from gridtokenx_backend.journal.entry import SALT_BYTES, make_entry
from gridtokenx_backend.journal.sqlite_journal import open_journal
from gridtokenx_backend.replay.replay import rebuild
from gridtokenx_backend.series.store import open_series
from gridtokenx_backend.startup.continuity_check import (
    all_losses,
    check_journal_is_there,
    lost_journal,
    read_head,
)
from gridtokenx_backend.startup.gateway_acks import LOSS, accept_gateway_acks, gateway_losses
from gridtokenx_wire.clock import make_clock


class AcceptedLoss(msgspec.Struct, frozen=True, kw_only=True):
    """What the community goes on without, and the entry that says so."""

    lost: list[str]
    journal_seq: int


async def accept_loss(settings: Settings, reason: str) -> AcceptedLoss:
    """Journal what is lost, make lost keys anew, and begin a new head at the next start.

    No backend may run. Raises CannotStart if nothing is lost, or the journal itself.
    """
    with lock_data_folder(settings.data):
        check_journal_is_there(settings)
        lost = await _losses(settings)
        if not lost:
            raise CannotStart(f"{settings.data}: nothing is lost that is known of")
        await asyncio.to_thread(make_secrets, settings)
        seq = await journal_loss(settings, lost, reason)
    return AcceptedLoss(lost=lost, journal_seq=seq)


async def _losses(settings: Settings) -> list[str]:
    async with AsyncExitStack() as opened:
        journal = await open_journal(settings.journal)
        opened.push_async_callback(journal.close)
        series = await open_series(settings.series)
        opened.push_async_callback(series.close)
        community = await rebuild(journal)
        return [
            *await all_losses(settings, journal, series),
            *gateway_losses(settings, community.devices),
        ]


async def journal_loss(settings: Settings, lost: list[str], reason: str) -> int:
    """Append the entry that says what was lost, and return its number. No backend may run.

    The head, what the journal knew of keys, and the series begin anew at the next start. What
    gateways have proved to be lost counts as accepted.
    """
    journal = await open_journal(settings.journal)
    try:
        community = await rebuild(journal)
        at_ms = max(make_clock(settings.backend.clock).now_ms(), community.at_ms)
        input_ = loss_input(LossCommand(lost="; ".join(lost), reason=reason))
        outcome = machine.apply(community, input_, at_ms)
        assert isinstance(outcome, LossAccepted)
        entry = make_entry(community.entries, at_ms, input_, outcome, os.urandom(SALT_BYTES))
        await journal.append([entry], [])
        await journal.note_known({LOSS: str(entry.seq)})
    finally:
        await journal.close()
    accept_gateway_acks(settings)
    settings.journal_head.unlink(missing_ok=True)
    remove_series(settings)
    return community.entries


def remove_series(settings: Settings) -> None:
    """Remove the series of intervals, which is computed anew from the journal."""
    for end in ("", "-wal", "-shm"):
        path = settings.series.with_name(settings.series.name + end)
        path.unlink(missing_ok=True)


def set_former_community_aside(settings: Settings) -> str:
    """Make room for a new community where another one was; return what was lost of that.

    Documents stay: each is known by its hash. The text is empty if there was no other one. Raises
    CannotStart if there is a journal, which nobody gives up by an option.
    """
    if settings.journal.exists() and settings.journal.stat().st_size > 0:
        raise CannotStart(
            f"{settings.journal}: expected no journal for --new; to begin another community, name "
            "another data folder"
        )
    lost = lost_journal(settings)
    head, _ = read_head(settings, {})
    if settings.journal_head.exists():
        former = f"{settings.journal_head.name}.former-{head.seq if head else 'unreadable'}"
        settings.journal_head.replace(settings.journal_head.with_name(former))
    for end in ("", "-wal", "-shm"):
        settings.journal.with_name(settings.journal.name + end).unlink(missing_ok=True)
    remove_series(settings)
    if settings.documents.exists():
        settings.documents.replace(settings.documents.with_name("documents.former.db"))
    return lost
