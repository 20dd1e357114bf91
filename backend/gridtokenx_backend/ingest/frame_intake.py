"""From messages to settled frames: check signatures beside the loop, submit, ack, settle.

Three stages overlap: while one batch is being answered, the next is in the writer, and those after
it have their signatures checked. Batches keep their order: a device's frames are a chain.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
import structlog

from gridtokenx_backend.core.messages.inputs import FrameInput, Input
from gridtokenx_backend.core.messages.outcomes import FrameRefusal, FrameRefused, Result
from gridtokenx_backend.core.model.registry import Device
from gridtokenx_backend.engine.writer import Committed, Overloaded, Writer
from gridtokenx_backend.ingest.acks import AckSigner, acks_of
from gridtokenx_backend.ingest.mqtt_packets import Publication
from gridtokenx_backend.ingest.mqtt_source import FrameSource
from gridtokenx_backend.signatures.verifier import Verifier
from gridtokenx_backend.signatures.verify_worker import Job
from gridtokenx_wire import cose
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import MAX_FRAME_BYTES, decode_frame
from gridtokenx_wire.keys import device_text, parse_device
from gridtokenx_wire.topics import device_of_frames_topic

_BATCHES_AHEAD = 2
_RETRY_S = 0.1
log = structlog.get_logger()


class _Checking(msgspec.Struct, frozen=True):
    """A batch on its way. `candidates` are those of known devices: (device id, frame, payload)."""

    messages: Sequence[Publication]
    candidates: list[tuple[bytes, bytes, bytes]]
    valid: asyncio.Task[list[bool]]


class _Submitted(msgspec.Struct, frozen=True):
    messages: Sequence[Publication]
    settled: asyncio.Future[list[Committed]]


class Ingest:
    """Runs a FrameSource into a Writer. `dropped` counts frames that were not taken, by reason."""

    def __init__(
        self, source: FrameSource, writer: Writer, verifier: Verifier, signer: AckSigner
    ) -> None:
        self._source = source
        self._writer = writer
        self._verifier = verifier
        self._signer = signer
        self._checking: asyncio.Queue[_Checking] = asyncio.Queue(_BATCHES_AHEAD)
        self._submitted: asyncio.Queue[_Submitted] = asyncio.Queue(_BATCHES_AHEAD)
        self.dropped: Counter[FrameRefusal] = Counter()

    async def run(self) -> None:
        """Works until it is cancelled."""
        async with asyncio.TaskGroup() as stages:
            stages.create_task(self._check(stages))
            stages.create_task(self._submit())
            stages.create_task(self._answer())

    async def _check(self, tasks: asyncio.TaskGroup) -> None:
        devices = self._writer.community.devices
        while True:
            messages = await self._source.batch()
            candidates: list[tuple[bytes, bytes, bytes]] = []
            jobs: list[Job] = []
            for message in messages:
                name = parse_device(device_of_frames_topic(message.topic))
                self._prepare(devices.get(name), message.payload, candidates, jobs)
            valid = tasks.create_task(self._verifier.verify(jobs))
            await self._checking.put(_Checking(messages, candidates, valid))

    def _prepare(
        self,
        device: Device | None,
        message: bytes,
        candidates: list[tuple[bytes, bytes, bytes]],
        jobs: list[Job],
    ) -> None:
        if len(message) > MAX_FRAME_BYTES:
            self.dropped[FrameRefusal.OVERSIZED] += 1
            return
        try:
            signature, signed, payload = cose.split(message)
        except WireError:
            self.dropped[FrameRefusal.MALFORMED] += 1
            return
        if device is None:
            self.dropped[FrameRefusal.UNKNOWN_DEVICE] += 1
            return
        candidates.append((device.id, message, payload))
        jobs.append((device.public_key, signature, signed))

    async def _submit(self) -> None:
        while True:
            checking = await self._checking.get()
            given = self._decode(checking.candidates, await checking.valid)
            settled = await self._enqueue(given)
            await self._submitted.put(_Submitted(checking.messages, settled))

    async def _enqueue(self, given: list[Input]) -> asyncio.Future[list[Committed]]:
        """Waits for room in the writer's queue: the source then holds its broker back."""
        while True:
            try:
                return self._writer.enqueue(given)
            except Overloaded:
                await asyncio.sleep(_RETRY_S)

    async def _answer(self) -> None:
        while True:
            submitted = await self._submitted.get()
            results = [result for result, _, _ in await submitted.settled]
            for result in results:
                if type(result) is FrameRefused:
                    self.dropped[result.reason] += 1
            for ack in acks_of(results):
                self._source.send_ack(device_text(ack.device), self._signer.seal(ack))
            self._source.settle(submitted.messages)

    def sealed_acks(self, results: Iterable[Result]) -> list[bytes]:
        """The acks that these results call for, signed."""
        return [self._signer.seal(ack) for ack in acks_of(results)]

    def _decode(
        self, candidates: list[tuple[bytes, bytes, bytes]], valid: list[bool]
    ) -> list[Input]:
        """The frames whose signature is valid and whose content is in order."""
        given: list[Input] = []
        for (device, message, payload), signed in zip(candidates, valid, strict=True):
            if not signed:
                self.dropped[FrameRefusal.BAD_SIGNATURE] += 1
                continue
            try:
                frame = decode_frame(payload)
            except WireError:
                self.dropped[FrameRefusal.MALFORMED] += 1
                continue
            if frame.device != device:
                self.dropped[FrameRefusal.WRONG_DEVICE] += 1
                continue
            if frame.left_out:
                log.warning(
                    "a gateway left readings out",
                    device=device_text(device),
                    first_seq=frame.first_seq,
                    last_seq=frame.seq,
                    readings=frame.left_out,
                )
            given.append(FrameInput(message, frame))
        return given
