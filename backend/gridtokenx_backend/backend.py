"""The parts of a running backend, as the API and the metrics see them."""

from __future__ import annotations

from dataclasses import dataclass, field

from gridtokenx_backend.api.guesses import Guesses
from gridtokenx_backend.enrolment_desk import EnrolmentDesk
from gridtokenx_backend.ingest import Ingest
from gridtokenx_backend.journal import Journal
from gridtokenx_backend.mqtt_source import MqttSource
from gridtokenx_backend.pki.broker_access import BrokerAccess
from gridtokenx_backend.series.keeper import SeriesKeeper
from gridtokenx_backend.statements.desk import StatementDesk
from gridtokenx_backend.verifier import Verifier
from gridtokenx_backend.writer import Writer
from gridtokenx_wire.clock import Clock


@dataclass(frozen=True, slots=True)
class Backend:
    writer: Writer
    journal: Journal
    verifier: Verifier
    ingest: Ingest
    source: MqttSource
    clock: Clock
    operator_token: str
    series: SeriesKeeper
    desk: EnrolmentDesk | None = None
    """None until `gridtokenx-backend init` has made a CA."""
    access: BrokerAccess | None = None
    statements: StatementDesk | None = None
    guesses: Guesses = field(default_factory=Guesses)
