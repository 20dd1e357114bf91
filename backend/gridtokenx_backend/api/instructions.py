"""Signed instructions of members: orders, cancellations, amendments, standing orders."""

from __future__ import annotations

from litestar import post
from litestar.di import NamedDependency

from gridtokenx_backend.api import problems
from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.openapi.operations import Access, Tag, operation
from gridtokenx_backend.api.problems import INSTRUCTION_REFUSALS
from gridtokenx_backend.api.requests import AnyRequest
from gridtokenx_backend.api.route_options import SIGNED_INSTRUCTION
from gridtokenx_backend.api.views import (
    AmendView,
    CancelAllView,
    CancelView,
    InstructionView,
    OrderView,
    StandingView,
    instruction_view,
)
from gridtokenx_backend.core.messages.inputs import OrderInput
from gridtokenx_backend.core.messages.outcomes import NotJournaled, OrderRefused, Repeated
from gridtokenx_backend.core.messages.refusals import OrderRefusal
from gridtokenx_backend.engine.writer import Overloaded
from gridtokenx_backend.journal.entry import decode_outcome
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.order import (
    Amend,
    Cancel,
    CancelAll,
    Instruction,
    Order,
    Standing,
    parse_instruction,
)


@post(
    "/v1/orders",
    **(SIGNED_INSTRUCTION | {"status_code": 201}),
    **operation(
        "place_order", "Place an order", Tag.INSTRUCTIONS, Access.EVERYONE, INSTRUCTION_REFUSALS
    ),
)
async def submit_order(request: AnyRequest, backend: NamedDependency[Backend]) -> OrderView:
    """Place the order in the body, a compact JWS. A retry gets the same answer as before."""
    view = await carry_out(request, backend, (Order,))
    assert isinstance(view, OrderView)
    return view


@post(
    "/v1/cancellations",
    **SIGNED_INSTRUCTION,
    **operation(
        "cancel_orders",
        "Cancel an order, or all",
        Tag.INSTRUCTIONS,
        Access.EVERYONE,
        INSTRUCTION_REFUSALS,
    ),
)
async def cancel_order(
    request: AnyRequest, backend: NamedDependency[Backend]
) -> CancelView | CancelAllView:
    """Cancel what is left of an open order (kind `cancel`), or of all (kind `cancel_all`)."""
    view = await carry_out(request, backend, (Cancel, CancelAll))
    assert isinstance(view, CancelView | CancelAllView)
    return view


@post(
    "/v1/amendments",
    **SIGNED_INSTRUCTION,
    **operation(
        "amend_order",
        "Change an open order",
        Tag.INSTRUCTIONS,
        Access.EVERYONE,
        INSTRUCTION_REFUSALS,
    ),
)
async def amend_order(request: AnyRequest, backend: NamedDependency[Backend]) -> AmendView:
    """Change the quantity or the price of an open order, completely or not at all."""
    view = await carry_out(request, backend, (Amend,))
    assert isinstance(view, AmendView)
    return view


@post(
    "/v1/standing-orders",
    **SIGNED_INSTRUCTION,
    **operation(
        "set_standing_order",
        "Set, change or end a standing order",
        Tag.INSTRUCTIONS,
        Access.EVERYONE,
        INSTRUCTION_REFUSALS,
    ),
)
async def set_standing_order(
    request: AnyRequest, backend: NamedDependency[Backend]
) -> StandingView:
    """Set, change or end a wallet's standing order for one side."""
    view = await carry_out(request, backend, (Standing,))
    assert isinstance(view, StandingView)
    return view


async def carry_out(
    request: AnyRequest, backend: Backend, expected: tuple[type[Instruction], ...]
) -> InstructionView:
    """Return the answer to the signed instruction in the body, of one of the expected kinds.

    Raises Problem.
    """
    if obstacle := backend.writer.degradation.obstacle:
        raise Overloaded(obstacle)
    body = await request.body()
    try:
        signed = parse_instruction(body)
    except WireError as error:
        raise problems.refused(OrderRefusal.MALFORMED, str(error)) from None
    if not isinstance(signed.instruction, expected):
        kinds = " or ".join(repr(kind.__struct_config__.tag) for kind in expected)
        raise problems.refused(OrderRefusal.MALFORMED, f"expected an instruction of kind {kinds}")
    if not await backend.verifier.verify_one(signed.signed.job(signed.public_key)):
        raise problems.refused(OrderRefusal.BAD_SIGNATURE, "expected a signature by the wallet")
    (committed,) = await backend.writer.submit([OrderInput(body, signed.instruction)])
    result, seq, at_ms = committed.result, committed.seq, committed.at_ms
    match result:
        case OrderRefused():
            raise problems.refused(result.reason, result.detail)
        case Repeated():
            return await _as_before(backend, result.entry)
    assert not isinstance(result, NotJournaled)
    return instruction_view(result, seq, at_ms)


async def _as_before(backend: Backend, seq: int) -> InstructionView:
    """Return the answer that an instruction got the first time."""
    entry = await backend.journal.entry(seq)
    assert entry is not None
    return instruction_view(decode_outcome(entry.outcome), entry.seq, entry.at_ms)
