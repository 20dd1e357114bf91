"""Frames that the operator brings in a file, with `gridtokenx-backend import`."""

from __future__ import annotations

import io

from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromPath

from gridtokenx_backend.api.authorisation import operator_only
from gridtokenx_backend.api.backend import Backend
from gridtokenx_backend.api.openapi.operations import Access, Tag, operation
from gridtokenx_backend.api.problems import Problem
from gridtokenx_backend.api.requests import AnyRequest
from gridtokenx_backend.api.views import FramesTakenView
from gridtokenx_backend.engine.writer import Overloaded
from gridtokenx_backend.ingest.frame_file import store_frames
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import MAX_FRAME_BYTES
from gridtokenx_wire.keys import parse_device
from gridtokenx_wire.message_file import read_messages

MAX_BODY_BYTES = 1 << 20


@post(
    "/v1/devices/{device:str}/frames",
    status_code=200,
    guards=[operator_only],
    request_max_body_size=MAX_BODY_BYTES,
    **operation(
        "import_frames",
        "Store frames out of a file",
        Tag.OPERATION,
        Access.OPERATOR,
        {400: ["malformed"]},
    ),
)
async def put_frames(
    request: AnyRequest, backend: NamedDependency[Backend], device: FromPath[str]
) -> FramesTakenView:
    """Store signed frames, one behind the other (a CBOR sequence), like those from the broker.

    Frames that are stored already are counted and change nothing.
    """
    if obstacle := backend.writer.degradation.obstacle:
        raise Overloaded(obstacle)
    try:
        name = parse_device(device)
        messages = list(read_messages(io.BytesIO(await request.body()), MAX_FRAME_BYTES))
    except WireError as error:
        raise Problem(
            status=400, title="The frames were refused", detail=str(error), reason="malformed"
        ) from None
    known = backend.intake.devices.get(name)
    outcome = await store_frames(messages, known, backend.intake)
    return FramesTakenView(
        accepted=outcome.accepted,
        duplicates=outcome.duplicates,
        refused=outcome.refusal.value if outcome.refusal else "",
        next_seq=known.next_seq if known else 0,
        acks=[backend.intake.seal(ack).hex() for ack in outcome.acks()],
    )
