"""Wires a backend together and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.client_address import TrustedProxies
from gridtokenx_backend.api.http_server import listen, serve
from gridtokenx_backend.api.open_connections import OpenConnections
from gridtokenx_backend.config.data_folder import (
    lock_data_folder,
    make_data_folder,
    prepare_data_folder,
)
from gridtokenx_backend.config.settings import Settings
from gridtokenx_backend.continuity.ack_evidence import AckEvidence
from gridtokenx_backend.continuity.head_keeper import HeadKeeper
from gridtokenx_backend.core.messages.inputs import loss_input
from gridtokenx_backend.core.messages.loss_records import LossCommand
from gridtokenx_backend.engine import held_energy_alert
from gridtokenx_backend.engine.clock_guard import ClockGuard, TimeSources
from gridtokenx_backend.engine.degradation import DegradedPart
from gridtokenx_backend.engine.ticks import clear_when_due, tick_when_due
from gridtokenx_backend.engine.writer import Writer
from gridtokenx_backend.enrolment.broker_access import BrokerAccess
from gridtokenx_backend.enrolment.enrolment_service import EnrolmentService
from gridtokenx_backend.errors import CannotStart
from gridtokenx_backend.ingest.acks import AckSigner
from gridtokenx_backend.ingest.budget import Budgets, OwnersInForce
from gridtokenx_backend.ingest.frame_intake import FrameIntake
from gridtokenx_backend.ingest.mqtt_intake import MqttIntake
from gridtokenx_backend.ingest.mqtt_source import MqttSource
from gridtokenx_backend.ingest.state_notices import StateNotices
from gridtokenx_backend.memory import collect_rarely, give_back
from gridtokenx_backend.open_files import raise_limit
from gridtokenx_backend.replay.background_check import BackgroundCheck
from gridtokenx_backend.replay.replay import rebuild
from gridtokenx_backend.series.keeper import SeriesKeeper
from gridtokenx_backend.startup.accepted_loss import set_former_community_aside
from gridtokenx_backend.startup.continuity_check import (
    ack_keys_of,
    ca_of,
    check_journal_is_there,
)
from gridtokenx_backend.startup.gateway_acks import LOSS, ack_evidence, check_gateway_acks
from gridtokenx_backend.startup.resources import Resources, open_resources
from gridtokenx_backend.startup.stop_signal import StopSignal
from gridtokenx_backend.startup.system_time import guard_of
from gridtokenx_backend.startup.terms import apply_terms
from gridtokenx_backend.statements.jobs.statement_jobs import StatementJobs
from gridtokenx_wire.keys import public_key_text, raw_private_seed, raw_public_key

NO_ROOM = "the disk is full: nothing can be stored until there is room"
log = structlog.get_logger()


async def run(settings: Settings, ready: Callable[[str], None], *, is_new: bool = False) -> None:
    """Run until SIGTERM or SIGINT; call `ready` with the API's address once it serves.

    `is_new` begins a new community where the journal of another one was lost.

    Raises ConfigError, CannotStart, KeyFileError, JournalUnavailable, ReplayMismatch, Fenced.
    """
    os.umask(0o077)  # the journal holds what only members and operator may see
    make_data_folder(settings)
    open_files = raise_limit()
    collect_rarely()
    stop = StopSignal()
    with lock_data_folder(settings.data), listen(settings) as listener, stop.ends_a_start():
        former = set_former_community_aside(settings) if is_new else ""
        check_journal_is_there(settings)
        prepare_data_folder(settings)
        async with (
            start(settings, former=former) as backend,
            serve(backend, settings, listener, open_files) as address,
        ):
            stop.is_started = True
            ready(address)
            await stop.received.wait()
    log.info("stopped")


@asynccontextmanager
async def start(
    settings: Settings, times: TimeSources | None = None, *, former: str = ""
) -> AsyncIterator[Backend]:
    """Start a backend without its HTTP server; drain and save it at the end.

    `times` is what the clock's guard looks at; without them it is the machine, if the clock is the
    system's. `former` says which community was here whose journal is lost; it is journaled.
    """
    async with open_resources(settings) as resources:
        clock_guard = (
            ClockGuard(times) if times else guard_of(settings.backend.clock, resources.clock)
        )
        writer = await _rebuild_writer(settings, resources, clock_guard)
        if resources.journal.is_readonly:
            writer.degradation.enter(DegradedPart.JOURNAL, NO_ROOM)
            log.error("started without room on the disk; nothing is stored or acked")
        await resources.verifier.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(writer.run())
            waiting = await apply_terms(writer, settings.community)
            evidence = ack_evidence(settings, writer, await resources.journal.known())
            if former:
                loss = loss_input(LossCommand(lost=former, reason="run --new"))
                evidence.loss_entry = (await writer.submit([loss]))[0].seq
            backend = _assemble(settings, resources, writer, evidence)
            tasks = _start_tasks(group, backend)
            if waiting is not None:
                tasks.append(waiting)
            head = _head_keeper(settings, resources, writer, evidence)
            tasks.append(group.create_task(head.run()))
            try:
                yield backend
            finally:
                for task in tasks:
                    task.cancel()
                writer.stop()
        if not writer.degradation[DegradedPart.JOURNAL]:
            await writer.save_snapshot()
        await head.write()


async def _rebuild_writer(
    settings: Settings, resources: Resources, guard: ClockGuard | None
) -> Writer:
    """Return the writer of the community that the journal holds; it is not running yet."""
    community = await rebuild(resources.journal)
    give_back()
    log.info("replayed", entries=community.entries)
    check_gateway_acks(settings, community.devices)
    snapshot_every = settings.backend.backend.snapshot_every
    writer = Writer(community, resources.journal, resources.clock, snapshot_every, guard)
    writer.followers.append(held_energy_alert.alert)
    return writer


def _head_keeper(
    settings: Settings, resources: Resources, writer: Writer, evidence: AckEvidence
) -> HeadKeeper:
    known = {"ack": ack_keys_of(settings)[0]}
    if evidence.loss_entry:
        known[LOSS] = str(evidence.loss_entry)
    if authority := ca_of(settings):
        known["ca"] = authority
    return HeadKeeper(
        writer, resources.journal, settings.journal_head, resources.ack_keys[0], known
    )


def _assemble(
    settings: Settings, resources: Resources, writer: Writer, evidence: AckEvidence
) -> Backend:
    """Return the parts of a backend, joined together. Raises CannotStart."""
    key = resources.ack_keys[0]
    signer = AckSigner(seed=raw_private_seed(key), public_key=raw_public_key(key.public_key()))
    intake = FrameIntake(
        writer, resources.verifier, signer, resources.journal, on_newest_ack=evidence.take
    )
    community = writer.community.active_terms.name
    source = MqttSource(settings.backend.broker, community, resources.tls)
    notices = StateNotices(intake.devices, signer, resources.clock, source.send_ack)
    writer.followers.append(notices.follow)
    owners = OwnersInForce(writer.community.meters, lambda: writer.community.active_terms)
    budgets = Budgets(settings.backend.budget, owners)
    is_checked = settings.backend.backend.verify_in_background
    api = settings.backend.api
    proxies = TrustedProxies(api.trusted_proxies)
    return Backend(
        check=BackgroundCheck(settings.journal, writer, is_on=is_checked),
        writer=writer,
        journal=resources.journal,
        verifier=resources.verifier,
        intake=intake,
        mqtt_intake=MqttIntake(source, intake, notices, budgets),
        source=source,
        clock=resources.clock,
        operator_token=resources.operator_token,
        series=SeriesKeeper(resources.series, resources.journal, writer),
        enrolment=_enrolment(settings, resources, writer),
        broker_access=_broker_access(settings, resources, writer),
        statements=StatementJobs(settings.journal, settings.documents),
        metrics_token=resources.metrics_token,
        has_public_metrics=api.public_metrics,
        proxies=proxies,
        connections=OpenConnections(
            most=api.max_connections,
            most_each=api.max_connections_per_address,
            is_exempt=proxies.__contains__,
        ),
    )


def _enrolment(settings: Settings, resources: Resources, writer: Writer) -> EnrolmentService | None:
    if resources.authority is None:
        return None
    ack_keys = [public_key_text(key.public_key()) for key in resources.ack_keys]
    return EnrolmentService(
        settings, resources.authority, writer, resources.verifier, ack_keys=ack_keys
    )


def _broker_access(settings: Settings, resources: Resources, writer: Writer) -> BrokerAccess | None:
    """Return what keeps the broker's access lists; None if the config names no folder for them.

    Raises CannotStart.
    """
    if not settings.backend.broker.access:
        return None
    folder = settings.path(settings.backend.broker.access)
    if resources.authority is None or not folder.is_dir():
        raise CannotStart(
            f"{folder}: expected what init and broker-config make; run: gridtokenx-backend init"
        )
    return BrokerAccess(settings, resources.authority, writer)


def _start_tasks(group: asyncio.TaskGroup, backend: Backend) -> list[asyncio.Task[None]]:
    """Start everything that brings inputs to the writer or follows it, and return the tasks."""
    writer, clock, access = backend.writer, backend.clock, backend.broker_access
    period_ms = writer.community.active_terms.tick_ms
    works = [
        backend.source.run(),
        backend.mqtt_intake.run(),
        tick_when_due(writer, clock, period_ms, access.changed if access else None),
        backend.series.run(),
        backend.check.run(),
        clear_when_due(writer, clock),
    ]
    if access is not None:
        works.append(access.run())
    return [group.create_task(work) for work in works]
