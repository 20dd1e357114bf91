"""The parts of a running backend, as the API and the metrics see them."""

from __future__ import annotations

from dataclasses import dataclass, field

from gridtokenx_backend.api.client_address import TrustedProxies
from gridtokenx_backend.api.open_connections import OpenConnections
from gridtokenx_backend.api.rate_limit import MAX_WRONG_CREDENTIALS, WrongRequests
from gridtokenx_backend.engine.writer import Writer
from gridtokenx_backend.enrolment.broker_access import BrokerAccess
from gridtokenx_backend.enrolment.enrolment_service import EnrolmentService
from gridtokenx_backend.ingest.frame_intake import FrameIntake
from gridtokenx_backend.ingest.mqtt_intake import MqttIntake
from gridtokenx_backend.ingest.mqtt_source import MqttSource
from gridtokenx_backend.journal.port import Journal
from gridtokenx_backend.repeat_log import RepeatLog
from gridtokenx_backend.replay.background_check import BackgroundCheck
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
    check: BackgroundCheck
    enrolment: EnrolmentService | None = None
    """None until `gridtokenx-backend init` has made a CA."""
    broker_access: BrokerAccess | None = None
    statements: StatementJobs | None = None
    metrics_token: str = ""
    """The token that may read the metrics; an empty one is none."""
    has_public_metrics: bool = False
    proxies: TrustedProxies = field(default_factory=TrustedProxies)
    wrong_requests: WrongRequests = field(default_factory=WrongRequests)
    wrong_credentials: WrongRequests = field(
        default_factory=lambda: WrongRequests(MAX_WRONG_CREDENTIALS)
    )
    connections: OpenConnections = field(
        default_factory=lambda: OpenConnections(most=0, most_each=0)
    )
    """Those of the API. None are taken where it is not served over HTTP."""
    repeats: RepeatLog = field(default_factory=RepeatLog)
