"""From a broker's messages to acks: each batch is checked, submitted, answered and released.

Three stages overlap: while one batch is being answered, the next is in the writer, and those after
it have their signatures checked. Batches keep their order, because a device's frames are a chain.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from gridtokenx_backend.core.messages.inputs import FrameInput
from gridtokenx_backend.core.messages.outcomes import FrameRefused
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.core.model.registry import Device
from gridtokenx_backend.engine.writer import ClockInDoubt, Committed, HistoryLost, Overloaded
from gridtokenx_backend.errors import JournalUnavailable
from gridtokenx_backend.ingest.budget import Budgets
from gridtokenx_backend.ingest.frame_intake import FrameIntake, is_suspect
from gridtokenx_backend.ingest.frame_log import FrameLog
from gridtokenx_backend.ingest.mqtt_packets import Publication
from gridtokenx_backend.ingest.mqtt_source import FrameSource
from gridtokenx_backend.ingest.state_notices import StateNotices
from gridtokenx_wire.hello import Hello
from gridtokenx_wire.keys import device_text, parse_device
from gridtokenx_wire.topics import device_of_frames_topic

_BATCHES_AHEAD = 2
_RETRY_S = 0.1
_SUSPECTS = 256


class _Checking(msgspec.Struct, frozen=True, kw_only=True):
    """A batch whose frames are being checked."""

    messages: Sequence[Publication]
    frames: Sequence[Publication]
    checked: asyncio.Task[list[FrameInput | Hello | FrameRefusal]]


class _Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """A batch whose good frames are with the writer."""

    messages: Sequence[Publication]
    inputs: list[FrameInput]
    committed: asyncio.Future[list[Committed]]


class MqttIntake:
    """Brings a source's frames to the intake and answers each with an ack.

    `dropped` counts the frames that were not stored, by reason.
    """

    def __init__(
        self, source: FrameSource, intake: FrameIntake, notices: StateNotices, budgets: Budgets
    ) -> None:
        self._source = source
        self._intake = intake
        self._notices = notices
        self._budgets = budgets
        self._suspects: asyncio.Queue[tuple[FrameInput, FrameRefused]] = asyncio.Queue(_SUSPECTS)
        self._checking: asyncio.Queue[_Checking] = asyncio.Queue(_BATCHES_AHEAD)
        self._submitted: asyncio.Queue[_Submitted] = asyncio.Queue(_BATCHES_AHEAD)
        self._log = FrameLog()
        self._heard_ms: dict[bytes, int] = {}
        self.dropped: Counter[FrameRefusal] = Counter()

    def last_heard_ms(self, device: Device) -> int:
        """Return when a frame of this device with a good signature came last; 0: not known."""
        return max(device.newest_ms, self._heard_ms.get(device.id, 0))

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as stages:
            stages.create_task(self._check(stages))
            stages.create_task(self._submit())
            stages.create_task(self._answer())
            stages.create_task(self._settle_suspects())

    async def _check(self, tasks: asyncio.TaskGroup) -> None:
        devices = self._intake.devices
        while True:
            messages = await self._source.batch()
            frames: list[tuple[Device | None, bytes]] = []
            affordable: list[Publication] = []
            for message in messages:
                name = parse_device(device_of_frames_topic(message.topic))
                if wait_ms := self._budgets.wait_ms(name):
                    self.dropped[FrameRefusal.OVER_BUDGET] += 1
                    self._log.dropped(FrameRefusal.OVER_BUDGET, device_text(name))
                    self._notices.answer(FrameRefusal.OVER_BUDGET, name, wait_ms)
                    continue
                affordable.append(message)
                frames.append((devices.get(name), message.payload))
            checked = tasks.create_task(self._intake.check(frames))
            await self._checking.put(
                _Checking(messages=messages, frames=affordable, checked=checked)
            )

    async def _submit(self) -> None:
        while True:
            batch = await self._checking.get()
            inputs = self._accepted(batch.frames, await batch.checked)
            committed = await self._enqueue(inputs)
            await self._submitted.put(
                _Submitted(messages=batch.messages, inputs=inputs, committed=committed)
            )

    def _accepted(
        self, messages: Sequence[Publication], checked: Sequence[FrameInput | Hello | FrameRefusal]
    ) -> list[FrameInput]:
        """Return the frames that passed the check and spend their budget; count the others.

        A hello is taken at once, so that the acks of the frames behind it are as it wants them.
        """
        inputs: list[FrameInput] = []
        sizes: Counter[bytes] = Counter()
        readings: Counter[bytes] = Counter()
        for message, each in zip(messages, checked, strict=True):
            if isinstance(each, FrameRefusal):
                self.dropped[each] += 1
                self._log.dropped(each, device_of_frames_topic(message.topic))
            elif isinstance(each, Hello):
                self._intake.greet(each)
                sizes[each.device] += len(message.payload)
            else:
                inputs.append(each)
                sizes[each.frame.device] += len(each.raw)
                readings[each.frame.device] += len(each.frame.time_ms)
        for device, size in sizes.items():
            self._budgets.spend(self._intake.devices[device], size, readings[device])
        return inputs

    async def _enqueue(self, inputs: list[FrameInput]) -> asyncio.Future[list[Committed]]:
        """Wait for room in the writer's queue; meanwhile the source holds its broker back."""
        while True:
            try:
                return self._intake.enqueue(inputs)
            except (ClockInDoubt, HistoryLost) as doubt:
                refused: asyncio.Future[list[Committed]] = asyncio.Future()
                refused.set_exception(doubt)
                return refused
            except Overloaded:
                await asyncio.sleep(_RETRY_S)

    async def _answer(self) -> None:
        while True:
            batch = await self._submitted.get()
            try:
                committed = await batch.committed
            except (ClockInDoubt, HistoryLost) as doubt:  # no ack, so the frames come again
                is_clock = isinstance(doubt, ClockInDoubt)
                reason = FrameRefusal.CLOCK_IN_DOUBT if is_clock else FrameRefusal.HISTORY_LOST
                for input_ in batch.inputs:
                    self._note_refused(
                        input_, FrameRefused(reason=reason, device=input_.frame.device)
                    )
                self._source.release(batch.messages)
                continue
            results = [each.result for each in committed]
            if committed:
                at_ms = committed[-1].at_ms
                self._heard_ms |= {input_.frame.device: at_ms for input_ in batch.inputs}
            for input_, result in zip(batch.inputs, results, strict=True):
                if type(result) is FrameRefused:
                    self._note_refused(input_, result)
                elif input_.frame.gap is not None and input_.frame.left_out:
                    self._log.left_out(input_.frame)
            for device, ack in self._intake.sealed_acks(results, batch.inputs):
                self._source.send_ack(device, ack)
            self._source.release(batch.messages)

    def _note_refused(self, input_: FrameInput, refused: FrameRefused) -> None:
        """Count a frame that was not taken, and tell its device why if that is how it stands.

        What may be a repetition or a fork is looked into beside the stream of frames. If too many
        wait for that, it is left out: an honest gateway sends its frame again.
        """
        self.dropped[refused.reason] += 1
        self._log.dropped(refused.reason, device_text(refused.device))
        self._notices.answer(refused.reason, refused.device)
        if is_suspect(refused):
            with suppress(asyncio.QueueFull):
                self._suspects.put_nowait((input_, refused))

    async def _settle_suspects(self) -> None:
        while True:
            input_, refused = await self._suspects.get()
            with suppress(JournalUnavailable, Overloaded):  # the gateway sends it again
                settled = await self._intake.settle(input_, refused)
                for device, ack in self._intake.sealed_acks([settled], [input_]):
                    self._source.send_ack(device, ack)
