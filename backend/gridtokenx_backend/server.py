"""Wires a backend together and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import structlog
import uvicorn

from gridtokenx_backend.api.app import make_app
from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.connection import TimedConnection
from gridtokenx_backend.config.data_folder import only_one, prepare
from gridtokenx_backend.config.settings import Settings, load_terms, terms_digest
from gridtokenx_backend.config.time_zones import look_up
from gridtokenx_backend.core.messages.inputs import TickInput, configure
from gridtokenx_backend.core.messages.outcomes import Retired
from gridtokenx_backend.core.sharing.key_versions import conflicts
from gridtokenx_backend.engine.clearing_schedule import clear_when_due
from gridtokenx_backend.engine.writer import Overloaded, Writer
from gridtokenx_backend.enrolment.authority import Authority, open_authority
from gridtokenx_backend.enrolment.broker_access import BrokerAccess
from gridtokenx_backend.enrolment.enrolment_service import EnrolmentService
from gridtokenx_backend.errors import CannotStart, JournalUnavailable
from gridtokenx_backend.ingest.acks import AckSigner
from gridtokenx_backend.ingest.frame_intake import Ingest
from gridtokenx_backend.ingest.mqtt_source import MqttSource
from gridtokenx_backend.journal.sqlite_journal import Journal, open_journal
from gridtokenx_backend.memory import collect_rarely, give_back
from gridtokenx_backend.replay.replay import rebuild
from gridtokenx_backend.series.keeper import SeriesKeeper
from gridtokenx_backend.series.store import open_series
from gridtokenx_backend.signatures.verifier import Verifier
from gridtokenx_backend.statements.jobs.statement_jobs import StatementJobs
from gridtokenx_wire.clock import Clock, make_clock
from gridtokenx_wire.config import finding
from gridtokenx_wire.errors import ConfigError
from gridtokenx_wire.keys import (
    load_private_key,
    public_key_text,
    raw_private_seed,
    raw_public_key,
    read_secret,
)

_BACKLOG = 512
_GRACE_S = 3
_LONGEST_SLEEP_S = 1.0
"""Orders that come in the meantime may be due earlier."""
log = structlog.get_logger()


async def run(settings: Settings, ready: Callable[[str], None]) -> None:
    """Runs until SIGTERM or SIGINT; calls `ready` with the API's address once it serves.

    Raises ConfigError, CannotStart, KeyFileError, JournalUnavailable, ReplayMismatch, Fenced.
    """
    os.umask(0o077)  # the journal holds what only members and operator may see
    prepare(settings)
    collect_rarely()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with only_one(settings.data), _listen(settings) as listener:
        async with start(settings) as backend:
            await _serve(backend, settings, listener, stop, ready)
    log.info("stopped")


@contextmanager
def _listen(settings: Settings) -> Iterator[socket.socket]:
    api = settings.backend.api
    try:
        listener = socket.create_server((api.host, api.port), backlog=_BACKLOG)
    except OSError as error:
        raise CannotStart(f"api: {api.host}:{api.port}: {error.strerror}") from None
    with listener:
        yield listener


@asynccontextmanager
async def start(settings: Settings) -> AsyncIterator[Backend]:
    """A backend at work, all but its HTTP server; drained and saved on the way out."""
    key = load_private_key(settings.ack_key)
    has_next = settings.ack_key_next.exists()
    next_keys = [load_private_key(settings.ack_key_next)] if has_next else []
    token = read_secret(settings.operator_token).decode().strip()
    clock = make_clock(settings.backend.clock)
    tls = _tls(settings)
    authority = open_authority(settings.ca)
    journal = await open_journal(settings.journal)
    try:
        stored = await open_series(settings.series)
    except JournalUnavailable:
        await journal.close()
        raise
    verifier = Verifier(settings.backend.backend.verify_workers)
    try:
        writer = await _open_writer(journal, clock, settings)
        await verifier.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(writer.run())
            await _put_terms_in_force(writer, settings.community)
            active_terms = writer.community.active_terms
            source = MqttSource(settings.backend.broker, active_terms.name, tls)
            signer = AckSigner(raw_private_seed(key), raw_public_key(key.public_key()))
            ingest = Ingest(source, writer, verifier, signer)
            access = _access(settings, authority, writer)
            series = SeriesKeeper(stored, journal, writer)
            ticks = _tick(writer, clock, active_terms.tick_ms, access)
            works = [
                source.run(),
                ingest.run(),
                ticks,
                series.run(),
                clear_when_due(writer, clock),
                *([access.run()] if access else []),
            ]
            inputs = [group.create_task(work) for work in works]
            enrolment = None
            if authority is not None:
                acked_by = [public_key_text(each.public_key()) for each in (key, *next_keys)]
                enrolment = EnrolmentService(settings, authority, writer, verifier, acked_by)
            try:
                statements = StatementJobs(settings.journal, settings.documents)
                yield Backend(
                    *(writer, journal, verifier, ingest, source, clock, token, series),
                    enrolment=enrolment,
                    access=access,
                    statements=statements,
                )
            finally:
                for task in inputs:
                    task.cancel()
                writer.stop()
        if not writer.degraded:
            await writer.save_snapshot()
    finally:
        await verifier.close()
        await stored.close()
        await journal.close()


async def _open_writer(journal: Journal, clock: Clock, settings: Settings) -> Writer:
    community = await rebuild(journal)
    give_back()
    log.info("replayed", entries=community.entries)
    return Writer(community, journal, clock, settings.backend.backend.snapshot_every)


async def _put_terms_in_force(writer: Writer, path: Path) -> None:
    """Journals the terms in `community.toml`, unless they are the ones in force."""
    source = await asyncio.to_thread(terms_digest, path)
    active_terms = writer.community.active_terms
    if source == active_terms.source and active_terms.zone == look_up(active_terms.zone.name):
        return
    terms = load_terms(path)
    if active_terms.name not in ("", terms.community.name):
        raise CannotStart(
            f"{path}: expected the community {active_terms.name!r}, whose journal this is, "
            f"got {terms.community.name!r}"
        )
    if agreed := list(conflicts(writer.community.sharing, terms)):
        raise ConfigError([finding(path, key, expected) for key, expected in agreed])
    zone = look_up(terms.community.time_zone)
    await writer.submit([configure(terms, source, zone)])
    log.info("new terms are in force")


def _access(settings: Settings, authority: Authority | None, writer: Writer) -> BrokerAccess | None:
    """Who tells the broker of revocations, if there is a folder to tell it in."""
    if not settings.backend.broker.access:
        return None
    folder = settings.path(settings.backend.broker.access)
    if authority is None or not folder.is_dir():
        raise CannotStart(
            f"{folder}: expected what init and broker-config make; run: gridtokenx-backend init"
        )
    return BrokerAccess(settings, authority, writer)


async def _tick(writer: Writer, clock: Clock, period_ms: int, access: BrokerAccess | None) -> None:
    """Puts a tick to the core whenever the community's clock passes a multiple of the period.

    And when something is due, so that an order's end is seen on a quiet day, too.
    """
    passed = clock.now_ms() // period_ms
    while True:
        now_ms = clock.now_ms()
        due_ms = min(period_ms - now_ms % period_ms, max(1, writer.community.due_ms - now_ms))
        await asyncio.sleep(min(clock.real_seconds(due_ms), _LONGEST_SLEEP_S))
        reached = clock.now_ms() // period_ms
        if reached == passed:
            if writer.community.due_ms <= clock.now_ms():
                with suppress(Overloaded):
                    await writer.submit([])  # the writer does what is due before any input
            continue
        passed = reached
        with suppress(Overloaded):  # the next one does as well
            ((result, _, _),) = await writer.submit([TickInput()])
            if access is not None and isinstance(result, Retired):
                access.changed()


def _tls(settings: Settings) -> ssl.SSLContext | None:
    broker = settings.backend.broker
    if broker.insecure:
        return None
    try:
        context = ssl.create_default_context(cafile=str(settings.path(broker.ca)))
        context.load_cert_chain(settings.path(broker.cert), settings.path(broker.key))
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror or str(error)
        raise CannotStart(f"broker: ca, cert or key cannot be used: {reason}") from None
    return context


def _load(config: uvicorn.Config) -> None:
    """Reads the API's certificate. Raises CannotStart."""
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror or str(error)
        raise CannotStart(f"api: cert or key cannot be used: {reason}") from None


class _Server(uvicorn.Server):
    """uvicorn, with the signals left to `run`."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(
    backend: Backend,
    settings: Settings,
    listener: socket.socket,
    stop: asyncio.Event,
    ready: Callable[[str], None],
) -> None:
    api = settings.backend.api
    config = uvicorn.Config(
        make_app(backend),
        http=TimedConnection,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_GRACE_S,
        ssl_certfile=settings.path(api.cert) if api.cert else None,
        ssl_keyfile=settings.path(api.key) if api.key else None,
    )
    _load(config)
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    host, port = listener.getsockname()[:2]
    ready(f"{'https' if api.cert else 'http'}://{host}:{port}")
    try:
        await stop.wait()
    finally:
        server.should_exit = True
        await serving
