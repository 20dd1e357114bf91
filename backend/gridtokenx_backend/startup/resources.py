"""What a backend needs before it can work: keys, certificates, stores and signature checks."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_backend.config.settings import Settings
from gridtokenx_backend.config.tls_context import BadTls, broker_context
from gridtokenx_backend.enrolment.authority import Authority, open_authority
from gridtokenx_backend.errors import CannotStart
from gridtokenx_backend.journal.port import Journal
from gridtokenx_backend.journal.sqlite_journal import open_journal
from gridtokenx_backend.series.store import SeriesStore, open_series
from gridtokenx_backend.signatures.verifier import Verifier
from gridtokenx_backend.startup.continuity_check import (
    check_continuity,
    check_journal_is_there,
)
from gridtokenx_wire.clock import Clock, make_clock
from gridtokenx_wire.keys import load_private_key, read_token


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """What is open as long as a backend runs.

    `ack_keys` are the key that signs acks and, if there is one, the key that will follow it. `tls`
    is None where the broker is spoken to in plain text. `authority` is None until
    `gridtokenx-backend init` has made a CA.
    """

    ack_keys: list[Ed25519PrivateKey]
    operator_token: str
    metrics_token: str
    clock: Clock
    tls: ssl.SSLContext | None
    authority: Authority | None
    journal: Journal
    series: SeriesStore
    verifier: Verifier


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open everything that the settings name, and close it in reverse order at the end.

    The verifier is made but not started. Raises CannotStart, KeyFileError, JournalUnavailable.
    """
    check_journal_is_there(settings)
    async with AsyncExitStack() as opened:
        journal = await open_journal(settings.journal)
        opened.push_async_callback(journal.close)
        series = await open_series(settings.series)
        opened.push_async_callback(series.close)
        await check_continuity(settings, journal, series)
        ack_keys = [load_private_key(settings.ack_key)]
        if settings.ack_key_next.exists():
            ack_keys.append(load_private_key(settings.ack_key_next))
        operator_token = read_token(settings.operator_token)
        metrics_token = read_token(settings.metrics_token)
        clock = make_clock(settings.backend.clock)
        tls = _broker_tls(settings)
        authority = open_authority(settings.ca)
        verifier = Verifier(settings.backend.backend.verify_workers)
        opened.push_async_callback(verifier.close)
        yield Resources(
            ack_keys=ack_keys,
            operator_token=operator_token,
            metrics_token=metrics_token,
            clock=clock,
            tls=tls,
            authority=authority,
            journal=journal,
            series=series,
            verifier=verifier,
        )


def _broker_tls(settings: Settings) -> ssl.SSLContext | None:
    """Return what the connection to the broker is secured with. Raises CannotStart."""
    try:
        return broker_context(settings)
    except BadTls as error:
        raise CannotStart(f"broker: {error}") from None
