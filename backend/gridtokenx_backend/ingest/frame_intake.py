"""The one intake of signed frames, whether a broker or a file brings them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeGuard

import msgspec

from gridtokenx_backend.core.messages.inputs import ForkInput, FrameInput
from gridtokenx_backend.core.messages.outcomes import FrameRefused, Result
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_backend.core.model.registry import Device
from gridtokenx_backend.engine.writer import Committed, Writer
from gridtokenx_backend.ingest.acks import AckSigner, acks_of
from gridtokenx_backend.ingest.frame_history import Comparison, FrameHistory
from gridtokenx_backend.journal.port import Journal
from gridtokenx_backend.signatures.verifier import Verifier
from gridtokenx_backend.signatures.verify_worker import SignatureJob
from gridtokenx_wire import cose
from gridtokenx_wire.ack import Ack
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import MAX_FRAME_BYTES, decode_frame
from gridtokenx_wire.hello import Hello, decode_hello, is_hello
from gridtokenx_wire.keys import device_text


class _Candidate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A frame in the name of a known device, whose signature is not checked yet."""

    device: bytes
    message: bytes
    payload: bytes
    job: SignatureJob


_SUSPECT = frozenset({FrameRefusal.FORKED, FrameRefusal.OLD_NUMBER, FrameRefusal.BROKEN_CHAIN})


def is_suspect(result: Result) -> TypeGuard[FrameRefused]:
    """Return whether `FrameIntake.settle` is to look into a result.

    The frame is a repetition of an old one, or it proves a fork.
    """
    return type(result) is FrameRefused and result.reason in _SUSPECT and result.next_seq > 0


class FrameIntake:
    """Checks frames, puts them to the writer, and seals the acks that answer them."""

    def __init__(
        self,
        writer: Writer,
        verifier: Verifier,
        signer: AckSigner,
        journal: Journal,
        on_newest_ack: Callable[[Device, bytes], None] | None = None,
    ) -> None:
        """`on_newest_ack` is told the newest ack that a gateway has of this backend."""
        self._on_newest_ack = on_newest_ack
        self._history = FrameHistory(journal)
        self._writer = writer
        self._verifier = verifier
        self._signer = signer
        self._with_head: set[bytes] = set()

    @property
    def devices(self) -> Mapping[bytes, Device]:
        """The devices of the community by id."""
        return self._writer.community.devices

    async def check(
        self, frames: Sequence[tuple[Device | None, bytes]]
    ) -> list[FrameInput | Hello | FrameRefusal]:
        """Return for each frame, in order, the input for the core or why it cannot be one.

        A frame comes with the device that it is said to be of, None if nobody knows it. Among the
        frames may be a gateway's hello. Signatures are checked beside the event loop.
        """
        found = [_candidate(device, message) for device, message in frames]
        jobs = [each.job for each in found if isinstance(each, _Candidate)]
        valid = iter(await self._verifier.verify(jobs))
        return [
            self._dated(_decode(each, is_valid=next(valid)))
            if isinstance(each, _Candidate)
            else each
            for each in found
        ]

    def _dated(
        self, decoded: FrameInput | Hello | FrameRefusal
    ) -> FrameInput | Hello | FrameRefusal:
        """Return what was decoded, unless it contradicts a clock that nobody vouches for.

        Readings that are refused for their time are acked, and the gateway deletes them. Where it
        may be this server that is wrong, they have to stay.
        """
        guard = self._writer.guard
        if guard is None or not isinstance(decoded, FrameInput):
            return decoded
        frame = decoded.frame
        times = frame.time_ms
        if not (len(times) and frame.clock.synchronised):
            return decoded
        guard.note_frame(frame.device, times[-1])
        device = self.devices.get(frame.device)
        if guard.is_certain or (device is not None and frame.seq < device.next_seq):
            return decoded
        limits, now_ms = self._writer.community.limits, guard.now_ms()
        earliest_ms = now_ms - limits.oldest_reading_ms
        latest_ms = now_ms + limits.future_tolerance_ms
        is_timely = earliest_ms <= min(times) and max(times) <= latest_ms
        return decoded if is_timely else FrameRefusal.CLOCK_IN_DOUBT

    def greet(self, hello: Hello) -> None:
        """Take what a gateway says of itself: from here on its acks name the head."""
        self._with_head.add(hello.device)
        if self._on_newest_ack is not None and hello.newest_ack:
            self._on_newest_ack(self.devices[hello.device], hello.newest_ack)

    def enqueue(self, inputs: Sequence[FrameInput]) -> asyncio.Future[list[Committed]]:
        """Return what becomes of these inputs once it is durable. Raises Overloaded at once."""
        return self._writer.enqueue(inputs)

    async def settle(self, input_: FrameInput, refused: FrameRefused) -> FrameRefused:
        """Return what a suspect frame is in truth, and have its device held if it proves a fork.

        Its reason stays as it is where nobody can tell. Raises JournalUnavailable, Overloaded.
        """
        device = self.devices[refused.device]
        if refused.reason is FrameRefusal.OLD_NUMBER:
            match await self._history.compare(input_, device.last_entry):
                case Comparison.STORED:
                    return msgspec.structs.replace(refused, reason=FrameRefusal.DUPLICATE)
                case Comparison.UNKNOWN:
                    return refused
            refused = msgspec.structs.replace(refused, reason=FrameRefusal.FORKED)
        await self._writer.submit([ForkInput(input_.raw, input_.frame)])
        return refused

    def sealed_acks(
        self, results: Iterable[Result], inputs: Iterable[FrameInput]
    ) -> list[tuple[str, bytes]]:
        """Return the signed acks that these results call for, each with its device's name.

        `inputs` are those of the results, in their order.
        """
        acks = acks_of(results, inputs, self._with_head)
        return [(device_text(ack.device), self._signer.seal(ack)) for ack in acks]

    def seal(self, ack: Ack) -> bytes:
        """Return an ack, signed."""
        return self._signer.seal(ack)


def _candidate(device: Device | None, message: bytes) -> _Candidate | FrameRefusal:
    if len(message) > MAX_FRAME_BYTES:
        return FrameRefusal.OVERSIZED
    try:
        signature, signed, payload = cose.split(message)
    except WireError:
        return FrameRefusal.MALFORMED
    if device is None:
        return FrameRefusal.UNKNOWN_DEVICE
    job = (device.public_key, signature, signed)
    return _Candidate(device=device.id, message=message, payload=payload, job=job)


def _decode(candidate: _Candidate, *, is_valid: bool) -> FrameInput | Hello | FrameRefusal:
    """Return the input of a frame whose signature was checked, or why it cannot be one."""
    if not is_valid:
        return FrameRefusal.BAD_SIGNATURE
    try:
        if is_hello(candidate.payload):
            hello = decode_hello(candidate.payload)
            return hello if hello.device == candidate.device else FrameRefusal.WRONG_DEVICE
        frame = decode_frame(candidate.payload)
    except WireError:
        return FrameRefusal.MALFORMED
    if frame.device != candidate.device:
        return FrameRefusal.WRONG_DEVICE
    return FrameInput(candidate.message, frame)
