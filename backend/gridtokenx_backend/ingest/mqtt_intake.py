"""From a broker's messages to acks: each batch is checked, submitted, answered and released.

Three stages overlap: while one batch is being answered, the next is in the writer, and those after
it have their signatures checked. Batches keep their order, because a device's frames are a chain.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import msgspec
import structlog

from gridtokenx_backend.core.messages.inputs import FrameInput
from gridtokenx_backend.core.messages.outcomes import FrameRefused
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.engine.writer import ClockInDoubt, Committed, Overloaded
from gridtokenx_backend.ingest.frame_intake import FrameIntake
from gridtokenx_backend.ingest.mqtt_packets import Publication
from gridtokenx_backend.ingest.mqtt_source import FrameSource
from gridtokenx_wire.keys import device_text, parse_device
from gridtokenx_wire.topics import device_of_frames_topic

_BATCHES_AHEAD = 2
_RETRY_S = 0.1
log = structlog.get_logger()


class _Checking(msgspec.Struct, frozen=True, kw_only=True):
    """A batch whose frames are being checked."""

    messages: Sequence[Publication]
    checked: asyncio.Task[list[FrameInput | FrameRefusal]]


class _Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """A batch whose good frames are with the writer."""

    messages: Sequence[Publication]
    committed: asyncio.Future[list[Committed]]


class MqttIntake:
    """Brings a source's frames to the intake and answers each with an ack.

    `dropped` counts the frames that were not stored, by reason.
    """

    def __init__(self, source: FrameSource, intake: FrameIntake) -> None:
        self._source = source
        self._intake = intake
        self._checking: asyncio.Queue[_Checking] = asyncio.Queue(_BATCHES_AHEAD)
        self._submitted: asyncio.Queue[_Submitted] = asyncio.Queue(_BATCHES_AHEAD)
        self.dropped: Counter[FrameRefusal] = Counter()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as stages:
            stages.create_task(self._check(stages))
            stages.create_task(self._submit())
            stages.create_task(self._answer())

    async def _check(self, tasks: asyncio.TaskGroup) -> None:
        devices = self._intake.devices
        while True:
            messages = await self._source.batch()
            frames = [
                (devices.get(parse_device(device_of_frames_topic(each.topic))), each.payload)
                for each in messages
            ]
            checked = tasks.create_task(self._intake.check(frames))
            await self._checking.put(_Checking(messages=messages, checked=checked))

    async def _submit(self) -> None:
        while True:
            batch = await self._checking.get()
            inputs = self._accepted(await batch.checked)
            committed = await self._enqueue(inputs)
            await self._submitted.put(_Submitted(messages=batch.messages, committed=committed))

    def _accepted(self, checked: Sequence[FrameInput | FrameRefusal]) -> list[FrameInput]:
        """Return the frames that passed the check, and count the others."""
        inputs: list[FrameInput] = []
        for each in checked:
            if isinstance(each, FrameRefusal):
                self.dropped[each] += 1
            else:
                _log_left_out(each)
                inputs.append(each)
        return inputs

    async def _enqueue(self, inputs: list[FrameInput]) -> asyncio.Future[list[Committed]]:
        """Wait for room in the writer's queue; meanwhile the source holds its broker back."""
        while True:
            try:
                return self._intake.enqueue(inputs)
            except ClockInDoubt as doubt:
                refused: asyncio.Future[list[Committed]] = asyncio.Future()
                refused.set_exception(doubt)
                return refused
            except Overloaded:
                await asyncio.sleep(_RETRY_S)

    async def _answer(self) -> None:
        while True:
            batch = await self._submitted.get()
            try:
                results = [each.result for each in await batch.committed]
            except ClockInDoubt:  # the gateways have no ack, so they send these frames again
                self.dropped[FrameRefusal.CLOCK_IN_DOUBT] += len(batch.messages)
                self._source.release(batch.messages)
                continue
            for result in results:
                if type(result) is FrameRefused:
                    self.dropped[result.reason] += 1
            for device, ack in self._intake.sealed_acks(results):
                self._source.send_ack(device, ack)
            self._source.release(batch.messages)


def _log_left_out(frame_input: FrameInput) -> None:
    frame = frame_input.frame
    if frame.left_out:
        log.warning(
            "a gateway left readings out",
            device=device_text(frame.device),
            first_seq=frame.first_seq,
            last_seq=frame.seq,
            readings=frame.left_out,
        )
