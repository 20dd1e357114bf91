"""One real reading on the whole way: sealed, stored, sent, and the time until its signed ack."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from typing import Any, cast

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from gridtokenx_edge.commissioning.check.finding import Finding, error, ok
from gridtokenx_edge.config.edge_config import EdgeConfig, Paths
from gridtokenx_edge.log import Logger
from gridtokenx_edge.store.clock_status import ClockWatch
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.store.outbox_errors import OutboxRefusedError, OutboxUnavailableError
from gridtokenx_edge.uplink.standing import Standing
from gridtokenx_edge.uplink.troubles import FORKED, NO_ACK, Trouble
from gridtokenx_edge.uplink.uplink import Uplink
from gridtokenx_wire.ack import Ack
from gridtokenx_wire.clock import make_clock
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import ClockStatus
from gridtokenx_wire.reading import Reading
from gridtokenx_wire.state_notice import StateNotice, open_answer

_STOP_S = 5.0
_POLL_S = 0.01


class UplinkResult(msgspec.Struct, kw_only=True):
    """What came while an ack was waited for. `ignored` are acks that do not count, `silence` is why
    none came, as far as the broker tells.
    """

    ack_ms: int | None = None
    ignored: list[str] = []
    refused: list[str] = []
    lost: list[str] = []
    ahead: list[str] = []
    unacked: int = 0
    trouble: Trouble | None = None
    state: Trouble | None = None
    silence: Trouble | None = None


class _UplinkEvents:
    """A logger that remembers what the uplink would have logged."""

    def __init__(self, heard: UplinkResult) -> None:
        self._heard = heard

    def info(self, event: str, **fields: Any) -> None:
        """Ignore good news, which the counts show."""

    def warning(self, event: str, **fields: Any) -> None:
        heard = self._heard
        kept = {
            "ack_ignored": heard.ignored,
            "reading_refused": heard.refused,
            "broker_lost": heard.lost,
            "backend_ahead": heard.ahead,
            "backend_behind": heard.ahead,
            "forked": heard.ahead,
        }.get(event)
        if kept is not None:
            kept.append(str(fields.get("reason", event)))

    error = warning


async def send_reading(
    config: EdgeConfig,
    paths: Paths,
    key: Ed25519PrivateKey,
    reading: Reading,
    version: str,
    wait_s: float,
) -> UplinkResult | Finding:
    """Send one reading through the outbox as the agent does. Returns a finding if it cannot.

    The frame is the next one of the chain, and the agent goes on behind it.
    """
    heard = UplinkResult()
    outbox = Outbox(paths.outbox, key, config.outbox)
    run = ClockWatch(config.clock).look()
    try:
        await outbox.open()
        await outbox.append(
            [reading],
            ClockStatus(synchronised=run.synchronised, stepped=run.stepped, source=run.source),
        )
    except (OutboxRefusedError, OutboxUnavailableError) as fault:
        await outbox.close()
        return error("outbox", "", str(fault), "stop whatever uses it; is it this device's?")
    try:
        log = cast(Logger, _UplinkEvents(heard))
        uplink = Uplink(config, paths, outbox, make_clock(config.clock), version, log)
        sending = asyncio.create_task(uplink.run())
        started_s = time.monotonic()
        if await _until(
            lambda: uplink.counts.acked or heard.ignored or heard.ahead or uplink.state, wait_s
        ):
            # Verdicts come with the ack. A bad ack may be followed by a good one.
            await _until(lambda: uplink.counts.acked, 1.0)
        if uplink.counts.acked:
            heard.ack_ms = round((time.monotonic() - started_s) * 1000)
        heard.unacked = uplink.unacked
        heard.trouble, heard.state, heard.silence = uplink.trouble, uplink.state, uplink.silence
        uplink.stop()
        await asyncio.wait([sending], timeout=_STOP_S)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    finally:
        await outbox.close()
    return heard


class AckWatch:
    """Waits for the next good ack on a running agent's topic."""

    def __init__(self, ack_keys: Iterable[bytes], device: bytes) -> None:
        self._keys = [Ed25519PublicKey.from_public_bytes(key) for key in ack_keys]
        self._device = device
        self._heard = UplinkResult()
        self._standing = Standing(random.random)
        self._started_s = time.monotonic()

    def on_message(self, _topic: str, payload: bytes) -> None:
        heard, reason = self._heard, ""
        ack: Ack | StateNotice | None = None
        for key in self._keys:
            try:
                ack = open_answer(payload, key)
            except WireError as fault:
                reason = str(fault)
        if ack is None:
            heard.ignored.append(reason)
        elif isinstance(ack, StateNotice):
            if ack.device == self._device and self._standing.take(ack):
                heard.state = self._standing.trouble
        elif ack.device == self._device and heard.ack_ms is None:
            heard.ack_ms = round((time.monotonic() - self._started_s) * 1000)
            heard.refused += [verdict.reason.label for verdict in ack.verdicts]

    async def wait(self, wait_s: float) -> UplinkResult:
        heard = self._heard
        await _until(lambda: heard.ack_ms is not None or heard.ignored or heard.state, wait_s)
        return heard


def judge_receipt(heard: UplinkResult, community: str, wait_s: float) -> list[Finding]:
    """Return what the ack, or its absence, says of the enrolment."""
    if heard.ack_ms is not None:
        more = f"; {heard.unacked} older frames are on their way" if heard.unacked else ""
        found = [ok("ack", "", f"a verified ack after {heard.ack_ms} ms{more}")]
        if heard.refused:
            reasons = ", ".join(sorted(set(heard.refused)))
            seen = f"stored, but the oracle refused the reading: {reasons}"
            do = "ask the operator; the reasons stand in wire-format.md"
            found.append(error("reading_refused", "", seen, do))
        return found
    if heard.state:
        seen = f"the backend says: {heard.state.reason}"
        return [error("not_taken", "", seen, heard.state.do)]
    if heard.ignored:
        if "chain" in heard.ignored[0]:
            do = "the outbox is new or another: the operator approves a new chain"
            return [error("chain", "", f"an ack came for another chain: {heard.ignored[0]}", do)]
        seen = f"an ack came that the pinned key did not sign: {heard.ignored[0]}"
        do = "ack_key is not this backend's: take it from gridtokenx-backend key, or enrol anew"
        return [error("ack_key", "", seen, do)]
    if heard.ahead:
        do = "an old copy is in use on one side: the operator approves a new chain"
        if heard.trouble and heard.trouble.name == FORKED:
            do = heard.trouble.do
        return [error("chain", "", heard.ahead[0], do)]
    if heard.lost:
        do = heard.trouble.do if heard.trouble else "the broker ended the connection: see its log"
        return [error("broker_mqtt", "", heard.lost[0], do)]
    seen = f"no ack within {wait_s:g} s"
    if heard.silence and heard.silence is not NO_ACK:
        silence = heard.silence
        return [error(silence.name, "", f"{seen}: {silence.reason}", silence.do)]
    do = (
        "the backend does not know this device yet, has it pending or revoked, is away or paused,"
        f" or the community is not called {community!r}; or the broker's access list keeps the acks"
        " from this device: ask the operator"
    )
    return [error("no_ack", "", seen, do)]


async def _until(condition: Callable[[], Any], wait_s: float) -> bool:
    """Wait, and return whether the condition came to hold in time."""
    until_s = time.monotonic() + wait_s
    while not condition():
        if time.monotonic() >= until_s:
            return False
        await asyncio.sleep(_POLL_S)
    return True
