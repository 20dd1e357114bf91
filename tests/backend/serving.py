"""The HTTP API in this process, on a real writer and journal, called without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.backend.parts import StandingClock, writer_on
from tests.backend.village import NAME, Resident, Village, convert_terms, frame_input

from gridtokenx_backend.api.app import make_app
from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.config.settings import BrokerSection, BudgetSection, Settings
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.engine.writer import Writer
from gridtokenx_backend.enrolment.authority import open_authority
from gridtokenx_backend.enrolment.enrolment_service import EnrolmentService
from gridtokenx_backend.ingest.acks import AckSigner
from gridtokenx_backend.ingest.budget import Budgets, Owners
from gridtokenx_backend.ingest.frame_intake import FrameIntake
from gridtokenx_backend.ingest.mqtt_intake import MqttIntake
from gridtokenx_backend.ingest.mqtt_source import MqttSource
from gridtokenx_backend.ingest.state_notices import StateNotices
from gridtokenx_backend.journal.port import Journal
from gridtokenx_backend.replay.background_check import BackgroundCheck
from gridtokenx_backend.series.keeper import SeriesKeeper
from gridtokenx_backend.series.store import open_series
from gridtokenx_backend.signatures.verifier import Verifier
from gridtokenx_wire.order import Instruction

TOKEN = "a token of the operator's"


class Api:
    """A client of a backend's API. The village's gateways and members are those of the backend."""

    def __init__(self, backend: Backend, client: httpx.AsyncClient, village: Village) -> None:
        self.backend = backend
        self.writer: Writer = backend.writer
        self.client = client
        self.village = village
        self.anna, self.ben, self.cleo = village.anna, village.ben, village.cleo

    async def get(self, path: str, **how: Any) -> httpx.Response:
        return await self.client.get(path, **how)

    async def ask(self, path: str, token: str = TOKEN) -> httpx.Response:
        """Send a GET as the operator, or with another token."""
        return await self.client.get(path, headers={"Authorization": f"Bearer {token}"})

    async def post(self, path: str, content: bytes, token: str = "") -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return await self.client.post(path, content=content, headers=headers)

    async def order(self, who: Resident, *order: Any, **more: Any) -> httpx.Response:
        return await self.post("/v1/orders", who.sign(who.order(*order, **more)))

    async def tell(self, path: str, who: Resident, instruction: Instruction) -> httpx.Response:
        return await self.post(path, who.sign(instruction))

    async def send(self, message: bytes) -> None:
        """Submit a gateway's frame, as if it had come from the broker."""
        await self.writer.submit([frame_input(message)])

    def state(self) -> bytes:
        return self.writer.community.snapshot()


@asynccontextmanager
async def api_on(
    journal: Journal, village: Village, settings: Settings | None = None
) -> AsyncIterator[Api]:
    """Run the API of a village on a journal. With `settings` (after `init`), gateways may enrol."""
    async with writer_on(journal) as writer:
        terms = inputs.configuration_input(convert_terms(village.document), b"source")
        if not writer.community.entries:
            await writer.submit([terms])
        verifier = Verifier(0)
        source = MqttSource(BrokerSection(), NAME, None)
        signer = AckSigner(seed=bytes(32), public_key=bytes(32))
        intake = FrameIntake(writer, verifier, signer, journal)
        enrolment = None
        if settings is not None:
            authority = open_authority(settings.ca)
            assert authority is not None
            enrolment = EnrolmentService(
                settings, authority, writer, verifier, ack_keys=["the ack key"]
            )
        stored = await open_series("")
        series = SeriesKeeper(stored, journal, writer)
        following = asyncio.create_task(series.run())
        clock = StandingClock()
        notices = StateNotices(intake.devices, signer, clock, source.send_ack)
        budgets = Budgets(BudgetSection(), lambda: Owners(()))
        backend = Backend(
            writer=writer,
            journal=journal,
            verifier=verifier,
            intake=intake,
            mqtt_intake=MqttIntake(source, intake, notices, budgets),
            source=source,
            clock=clock,
            operator_token=TOKEN,
            check=BackgroundCheck(Path("journal.db"), writer, is_on=False),
            series=series,
            enrolment=enrolment,
        )
        transport = httpx.ASGITransport(make_app(backend), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://lane") as client:
            yield Api(backend, client, village)
        following.cancel()
        await stored.close()


def problem(response: httpx.Response, status: int, reason: str) -> str:
    """Return the detail of a problem document (RFC 9457), after a check of its other members."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body.keys() - {"field"} == {"type", "title", "status", "detail", "reason"}
    assert (body["status"], body["reason"]) == (status, reason)
    assert body["type"] == f"urn:gridtokenx:problem:{reason}"
    assert body["title"]
    detail: str = body["detail"]
    return detail
