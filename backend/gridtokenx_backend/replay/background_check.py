"""Verifies the journal in the background while the backend works, from the first entry on.

A start trusts the newest snapshot and replays only what came after it. What was changed before it
is found here.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

import msgspec
import structlog

from gridtokenx_backend.engine.degradation import DegradedPart
from gridtokenx_backend.engine.writer import Writer
from gridtokenx_backend.replay.background_worker import VerificationLine

AFTER_S = 10.0
"""The start itself comes first: gateways and members wait for it."""
log = structlog.get_logger()


class CheckStatus(StrEnum):
    """How far the background verification is."""

    OFF = "off"
    WAITING = "waiting"
    RUNNING = "running"
    VERIFIED = "verified"
    MISMATCH = "mismatch"
    FAILED = "failed"
    """It could not be carried out; that says nothing of the journal."""


class BackgroundCheck:
    """`checked` entries of `entries` have been verified; a mismatch makes the backend degraded."""

    def __init__(self, path: Path, writer: Writer, *, is_on: bool = True) -> None:
        self.status = CheckStatus.WAITING if is_on else CheckStatus.OFF
        self.checked = 0
        self.entries = writer.durable_seq
        self._path = path
        self._writer = writer

    async def run(self, after_s: float = AFTER_S) -> None:
        """Verify once, what the journal then holds; end soon where this is cancelled."""
        if self.status is CheckStatus.OFF:
            return
        await asyncio.sleep(after_s)
        self.status = CheckStatus.RUNNING
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gridtokenx_backend.replay.background_worker", self._path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        assert worker.stdout is not None
        try:
            async for line in worker.stdout:
                self._take(msgspec.json.decode(line, type=VerificationLine))
        finally:
            if worker.returncode is None:
                with suppress(ProcessLookupError):
                    worker.kill()
            await worker.wait()
        if self.status is CheckStatus.RUNNING:
            self.status = CheckStatus.FAILED
            log.warning("the verification in the background ended early")

    def _take(self, line: VerificationLine) -> None:
        self.checked, self.entries = line.checked, line.entries
        if line.mismatch:
            self.status = CheckStatus.MISMATCH
            self._writer.degradation.enter(
                DegradedPart.HISTORY, f"the journal was changed: {line.mismatch}", stops=False
            )
            log.error("the journal was changed", error=line.mismatch)
        elif line.fault:
            self.status = CheckStatus.FAILED
            log.warning("the journal cannot be verified in the background", error=line.fault)
        elif line.is_done:
            self.status = CheckStatus.VERIFIED
            log.info("the journal was verified", entries=line.entries)
