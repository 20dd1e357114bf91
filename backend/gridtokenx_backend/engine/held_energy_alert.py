"""A line in the log for each doubtful step of a meter: somebody has to look at it."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from gridtokenx_backend.core.messages.outcomes import FrameHeld
from gridtokenx_backend.engine.writer import Committed
from gridtokenx_wire.units import format_kwh

log = structlog.get_logger()


def alert(results: Sequence[Committed]) -> None:
    """Log the steps that were held, once they are in the journal.

    A meter has a bounded number of them until the operator has decided.
    """
    for committed in results:
        if not isinstance(committed.result, FrameHeld):
            continue
        for held in committed.result.held:
            if held.reason:
                log.warning(
                    "energy is held until the operator decides; run: gridtokenx-backend held list",
                    meter=held.meter,
                    reason=held.reason,
                    surplus_kwh=format_kwh(held.surplus_uwh),
                    entry=committed.seq,
                )
