"""What tests hand to drivers in the place of an agent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from gridtokenx_edge.polling.driver import Surroundings
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.reading import Reading


async def nothing_stored() -> AsyncIterator[Reading]:
    """Yield nothing: the outbox is empty."""
    for reading in ():
        yield reading


def surroundings(clock: Clock, log: Any, folder: Path = Path(), **more: Any) -> Surroundings:
    fields: dict[str, Any] = {
        "clock": clock,
        "log": log,
        "is_synchronised": lambda: True,
        "folder": folder,
        "state": folder,
        "device": b"",
        "stored_readings": nothing_stored,
    }
    return Surroundings(**(fields | more))
