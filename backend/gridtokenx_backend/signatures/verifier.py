"""Signature checks beside the event loop, in other processes.

Single jobs that are asked for in the same turn of the loop are sent together. If a worker dies, its
jobs are checked in this process and another worker is started, so no job is lost.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Sequence

import msgspec
import structlog

from gridtokenx_backend.signatures import verify_worker
from gridtokenx_backend.signatures.verify_worker import LENGTH_BYTES, SignatureJob

_CHUNK = 64
_RESTART_S = 1.0
_ANSWER_TIMEOUT_S = 30.0
_encode = msgspec.msgpack.Encoder().encode
log = structlog.get_logger()


class _Worker:
    """A process, and the chunks of jobs that it has not answered yet, oldest first."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.pending: deque[tuple[list[SignatureJob], asyncio.Future[list[bool]]]] = deque()
        self.backlog = 0
        self.alive = True

    def send(self, jobs: list[SignatureJob]) -> asyncio.Future[list[bool]]:
        answer: asyncio.Future[list[bool]] = asyncio.get_running_loop().create_future()
        self.pending.append((jobs, answer))
        self.backlog += len(jobs)
        message = _encode(jobs)
        assert self.process.stdin is not None
        self.process.stdin.write(len(message).to_bytes(LENGTH_BYTES, "big") + message)
        return answer

    async def receive(self) -> None:
        """Hand out answers until the process ends; check here what it has not answered then."""
        assert self.process.stdout is not None
        try:
            while True:
                header = await self.process.stdout.readexactly(LENGTH_BYTES)
                answer = await self.process.stdout.readexactly(int.from_bytes(header, "big"))
                jobs, future = self.pending.popleft()
                self.backlog -= len(jobs)
                if not future.done():
                    future.set_result([valid == 1 for valid in answer])
        except (asyncio.IncompleteReadError, ConnectionError):
            self.alive = False
            for jobs, future in self.pending:
                if not future.done():
                    future.set_result([verify_worker.check(job) for job in jobs])
            self.pending.clear()


class Verifier:
    """Checks signatures in `workers` processes, or in this process if `workers` is 0."""

    def __init__(self, workers: int) -> None:
        self._worker_count = workers
        self._workers: list[_Worker] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._waiting: list[tuple[SignatureJob, asyncio.Future[bool]]] = []
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        for _ in range(self._worker_count):
            worker = await _spawn()
            self._workers.append(worker)
            self._keepers.append(asyncio.create_task(self._keep(worker)))

    async def close(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for worker in self._workers:
            assert worker.process.stdin is not None
            worker.process.stdin.close()
            await worker.process.wait()
        self._workers.clear()

    async def verify(self, jobs: Sequence[SignatureJob]) -> list[bool]:
        """Return whether each signature is valid, in order."""
        chunks = [list(jobs[start : start + _CHUNK]) for start in range(0, len(jobs), _CHUNK)]
        answers = await asyncio.gather(*(self._check(chunk) for chunk in chunks))
        return [valid for answer in answers for valid in answer]

    async def verify_one(self, job: SignatureJob) -> bool:
        """Return whether a signature is valid; jobs of one turn of the loop are sent together."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append((job, future))
        return await future

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        task = asyncio.ensure_future(self._answer(waiting))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, waiting: list[tuple[SignatureJob, asyncio.Future[bool]]]) -> None:
        for (_, future), valid in zip(
            waiting, await self.verify([job for job, _ in waiting]), strict=True
        ):
            if not future.done():
                future.set_result(valid)

    async def _check(self, chunk: list[SignatureJob]) -> list[bool]:
        alive = [worker for worker in self._workers if worker.alive]
        if not alive:
            return [verify_worker.check(job) for job in chunk]
        worker = min(alive, key=lambda candidate: candidate.backlog)
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                return await worker.send(chunk)
        except TimeoutError:
            log.error("a signature worker does not answer; it is replaced")
            worker.alive = False
            worker.process.kill()
            return [verify_worker.check(job) for job in chunk]

    async def _keep(self, worker: _Worker) -> None:
        """Let a worker answer, and start another one in its place whenever it ends."""
        while True:
            await worker.receive()
            await worker.process.wait()
            log.warning("a signature worker ended; it is started again")
            await asyncio.sleep(_RESTART_S)
            replacement = await _spawn()
            self._workers[self._workers.index(worker)] = replacement
            worker = replacement


async def _spawn() -> _Worker:
    return _Worker(
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gridtokenx_backend.signatures.verify_worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
    )
