"""Serves a backend's API on a real socket, in a thread, with a journal that exists already."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from tests.backend.parts import StandingClock, writer_on

from gridtokenx_backend.api.app import make_app
from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.config.data_folder import prepare_data_folder
from gridtokenx_backend.config.settings import BrokerSection, BudgetSection, Settings, load_settings
from gridtokenx_backend.ingest.acks import AckSigner
from gridtokenx_backend.ingest.budget import Budgets, Owners
from gridtokenx_backend.ingest.frame_intake import FrameIntake
from gridtokenx_backend.ingest.mqtt_intake import MqttIntake
from gridtokenx_backend.ingest.mqtt_source import MqttSource
from gridtokenx_backend.ingest.state_notices import StateNotices
from gridtokenx_backend.journal.sqlite_journal import open_journal
from gridtokenx_backend.replay.background_check import BackgroundCheck
from gridtokenx_backend.series.keeper import SeriesKeeper
from gridtokenx_backend.series.store import open_series
from gridtokenx_backend.signatures.verifier import Verifier
from gridtokenx_backend.statements.jobs.statement_jobs import StatementJobs


class ApiServer:
    """A served API: `url` is its address, `config` the configuration of the backend."""

    def __init__(self, config: Path, settings: Settings, url: str) -> None:
        self.config = config
        self.settings = settings
        self.url = url

    @property
    def token(self) -> str:
        return self.settings.operator_token.read_text().strip()

    @property
    def operator(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def config_in(folder: Path) -> Path:
    """Write a backend.toml whose journal is data/journal.db."""
    path = folder / "backend.toml"
    path.write_text("[broker]\ninsecure = true\n[api]\nport = 0\n")
    prepare_data_folder(load_settings(path))
    return path


@contextmanager
def serving(config: Path, at_ms: int) -> Iterator[ApiServer]:
    """Serve the API until the block ends. The community's clock stands at `at_ms`."""
    settings = load_settings(config)
    listener = socket.create_server(("127.0.0.1", 0))
    ready, stop = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=lambda: asyncio.run(_serve(settings, listener, at_ms, ready, stop))
    )
    thread.start()
    try:
        assert ready.wait(20)
        host, port = listener.getsockname()
        yield ApiServer(config, settings, f"http://{host}:{port}")
    finally:
        stop.set()
        thread.join(20)
        listener.close()


async def _serve(
    settings: Settings,
    listener: socket.socket,
    at_ms: int,
    ready: threading.Event,
    stop: threading.Event,
) -> None:
    journal = await open_journal(settings.journal)
    async with writer_on(journal) as writer:
        verifier = Verifier(0)
        source = MqttSource(BrokerSection(), "lane", None)
        signer = AckSigner(seed=bytes(32), public_key=bytes(32))
        intake = FrameIntake(writer, verifier, signer, journal)
        clock = StandingClock(at_ms)
        notices = StateNotices(intake.devices, signer, clock, source.send_ack)
        budgets = Budgets(BudgetSection(), lambda: Owners(()))
        stored = await open_series("")
        series = SeriesKeeper(stored, journal, writer)
        backend = Backend(
            writer=writer,
            journal=journal,
            verifier=verifier,
            intake=intake,
            mqtt_intake=MqttIntake(source, intake, notices, budgets),
            source=source,
            clock=clock,
            operator_token=settings.operator_token.read_text().strip(),
            check=BackgroundCheck(settings.journal, writer, is_on=False),
            series=series,
            statements=StatementJobs(settings.journal, settings.documents),
        )
        config = uvicorn.Config(make_app(backend), lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 (uvicorn sets no event)
            await asyncio.sleep(0.005)
        ready.set()
        await asyncio.to_thread(stop.wait)
        server.should_exit = True
        await running
        await stored.close()
    await journal.close()
