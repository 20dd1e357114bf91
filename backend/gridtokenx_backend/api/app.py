"""The Litestar application."""

from __future__ import annotations

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.types import ASGIApp

from gridtokenx_backend.api import (
    admission,
    allocations,
    clearings,
    clock,
    enrolment,
    frame_file,
    grid_data,
    held_energy,
    instructions,
    intervals,
    market,
    operator,
    problems,
    settlement,
    statements,
)
from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.head_requests import with_head
from gridtokenx_backend.api.metrics import metrics
from gridtokenx_backend.api.openapi.document import COMPONENTS, DESCRIPTION, CompletedJson
from gridtokenx_backend.api.request_errors import respond_http
from gridtokenx_backend.engine.writer import Overloaded
from gridtokenx_backend.errors import JournalUnavailable

_HANDLERS = [
    market.health,
    market.summary,
    market.balances,
    market.open_orders,
    market.book,
    market.trades,
    clearings.clearings,
    clearings.clearing,
    market.zones,
    instructions.submit_order,
    instructions.cancel_order,
    instructions.amend_order,
    instructions.set_standing_order,
    operator.devices,
    operator.readings,
    intervals.intervals,
    frame_file.put_frames,
    grid_data.put_grid_data,
    allocations.allocations,
    operator.pause_oracle,
    operator.resume_oracle,
    operator.switch_trading,
    clock.clock,
    clock.confirm_clock,
    enrolment.ca,
    enrolment.enrol,
    enrolment.rotate,
    admission.tokens,
    admission.create_token,
    admission.withdraw_token,
    admission.approve_device,
    admission.release_device,
    admission.revoke_device,
    statements.periods,
    statements.take_step,
    statements.statement,
    statements.report,
    metrics,
    settlement.withdraw,
    settlement.transfer_certificate,
    settlement.retire_certificate,
    settlement.certificates,
    settlement.open_withdrawals,
    settlement.deposit,
    settlement.confirm_withdrawal,
    settlement.refuse_withdrawal,
    settlement.issue_certificates,
    settlement.correct,
    held_energy.held_energy,
    held_energy.decide_held_energy,
]


def make_app(backend: Backend) -> ASGIApp:
    """Return the API of a running backend. OpenAPI is at /schema/openapi.json."""
    return with_head(make_routes(backend))


def make_routes(backend: Backend) -> Litestar:
    """Return the routes of the API, each for its own method."""
    return Litestar(
        route_handlers=_HANDLERS,
        dependencies={"backend": Provide(lambda: backend, sync_to_thread=False)},
        state=State({"backend": backend}),
        exception_handlers={
            problems.Problem: problems.respond,
            Overloaded: problems.respond_unavailable,
            JournalUnavailable: problems.respond_unavailable,
            HTTPException: respond_http,
        },
        openapi_config=OpenAPIConfig(
            title="GridTokenX",
            version="1",
            description=DESCRIPTION,
            path="/schema",
            use_handler_docstrings=True,
            components=COMPONENTS,
            render_plugins=[CompletedJson([handler.fn for handler in _HANDLERS])],
        ),
        logging_config=None,
    )
