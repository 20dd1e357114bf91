"""The parts of a running backend, as the API and the metrics see them."""

from __future__ import annotations

from dataclasses import dataclass, field

from gridtokenx_backend.api.rate_limit import WrongRequests
from gridtokenx_backend.engine.writer import Writer
from gridtokenx_backend.enrolment.broker_access import BrokerAccess
from gridtokenx_backend.enrolment.enrolment_service import EnrolmentService
from gridtokenx_backend.ingest.frame_intake import FrameIntake
from gridtokenx_backend.ingest.mqtt_intake import MqttIntake
from gridtokenx_backend.ingest.mqtt_source import MqttSource
from gridtokenx_backend.journal.port import Journal
from gridtokenx_backend.series.keeper import SeriesKeeper
from gridtokenx_backend.signatures.verifier import Verifier
from gridtokenx_backend.statements.jobs.statement_jobs import StatementJobs
from gridtokenx_wire.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The parts of a running backend; a part that the config does not ask for is None."""

    writer: Writer
    journal: Journal
    verifier: Verifier
    intake: FrameIntake
    mqtt_intake: MqttIntake
    source: MqttSource
    clock: Clock
    operator_token: str
    series: SeriesKeeper
    enrolment: EnrolmentService | None = None
    """None until `gridtokenx-backend init` has made a CA."""
    broker_access: BrokerAccess | None = None
    statements: StatementJobs | None = None
    wrong_requests: WrongRequests = field(default_factory=WrongRequests)
