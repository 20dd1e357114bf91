"""A line that keeps what passed on it: bytes, words, times and faults of each request."""

from __future__ import annotations

import time
from collections import deque
from enum import Enum

import msgspec

from gridtokenx_edge.config.edge_config import BusConfig
from gridtokenx_edge.log import FaultLog, start_logging
from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.modbus.faults import MeterRefused
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.polling.faults import BusFault, LineDown
from gridtokenx_wire.clock import Clock

# If the exchanges are not taken in time, the oldest ones are lost.
_MOST_KEPT = 1000
# Modbus Application Protocol V1.1b3, 7: with these a gateway says that it does not reach a meter.
GATEWAY_EXCEPTIONS = (10, 11)


class ExchangeOutcome(Enum):
    """What came of a request."""

    ANSWERED = "answered"
    REFUSED = "refused"
    SILENT = "silent"
    NOISE = "noise"
    """Bytes came, but no valid reply: a wrong checksum, a lost byte, another meter's answer.
    """
    LINE_DOWN = "line_down"


class LineExchange(msgspec.Struct, frozen=True, kw_only=True):
    """One request, made at `time_ms` (community) and over after `took_us`, and what came of it."""

    address: int
    block: Block
    time_ms: int
    took_us: int
    outcome: ExchangeOutcome
    words: tuple[int, ...] = ()
    error: str = ""
    sent: bytes = b""
    received: bytes = b""


class ListeningLine(Line):
    """A line whose exchanges are kept until they are taken."""

    def __init__(self, config: BusConfig, clock: Clock) -> None:
        super().__init__(config, FaultLog(start_logging()), on_bytes=self._pass)
        self._community = clock
        self._exchanges: deque[LineExchange] = deque(maxlen=_MOST_KEPT)
        self._sent_bytes = b""
        self._heard_bytes = b""

    def take(self) -> list[LineExchange]:
        """Return the exchanges since the last call, oldest first."""
        taken = list(self._exchanges)
        self._exchanges.clear()
        return taken

    async def read(self, address: int, block: Block, timeout_s: float | None = None) -> list[int]:
        self._sent_bytes = self._heard_bytes = b""
        time_ms, started_ns = self._community.now_ms(), time.monotonic_ns()
        words: list[int] = []
        outcome, error = ExchangeOutcome.ANSWERED, ""
        try:
            words = await super().read(address, block, timeout_s)
        except BusFault as fault:
            outcome, error = _outcome(fault, self._heard_bytes), str(fault)
            raise
        finally:
            took_us = (time.monotonic_ns() - started_ns) // 1000
            self._exchanges.append(
                LineExchange(
                    address=address,
                    block=block,
                    time_ms=time_ms,
                    took_us=took_us,
                    outcome=outcome,
                    words=tuple(words),
                    error=error,
                    sent=self._sent_bytes,
                    received=self._heard_bytes,
                )
            )
        return words

    def _pass(self, is_sending: bool, data: bytes) -> None:  # noqa: FBT001 (the line calls it)
        if is_sending:
            self._sent_bytes, self._heard_bytes = data, b""
        else:
            self._heard_bytes += data


def _outcome(fault: BusFault, received: bytes) -> ExchangeOutcome:
    if isinstance(fault, LineDown):
        return ExchangeOutcome.LINE_DOWN
    if isinstance(fault, MeterRefused):
        is_silent = fault.code in GATEWAY_EXCEPTIONS
        return ExchangeOutcome.SILENT if is_silent else ExchangeOutcome.REFUSED
    return ExchangeOutcome.NOISE if received else ExchangeOutcome.SILENT
