"""The project's own commands, run once and waited for, as a person would type them."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import msgspec

from gridtokenx_sim.demo.processes.child import environment
from gridtokenx_sim.demo.processes.parent_bond import bound_to_parent

_TIMEOUT_S = 30.0


class CommandFailed(Exception):
    """A command that did not do its work; one line says which and what it said."""


def python(module: str, *arguments: str) -> list[str]:
    """Return the command line of a module, out of this Python and not out of the current folder."""
    return [sys.executable, "-P", "-m", module, *arguments]


class Commands:
    """A runner of commands, no more of them at a time than this machine can run."""

    def __init__(self) -> None:
        self._several = asyncio.Semaphore(max(2, os.cpu_count() or 2))

    async def answer(self, module: str, *arguments: str) -> Any:
        """Return what the command prints with `--json`. Raises CommandFailed."""
        async with self._several:
            code, out, err = await _run([*python(module, *arguments), "--json"])
        shown = " ".join([module, *arguments])
        if code != 0:
            raise CommandFailed(f"{shown}: ended with exit code {code}: {_last_line(err)}")
        try:
            return msgspec.json.decode(out)
        except msgspec.DecodeError:
            raise CommandFailed(f"{shown}: expected JSON, got {out[:80]!r}") from None


async def _run(command: list[str]) -> tuple[int, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        *bound_to_parent(command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        env=environment(),
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            out, err = await process.communicate()
    except TimeoutError:
        return -1, b"", f"no answer in {_TIMEOUT_S:.0f} s".encode()
    finally:
        if process.returncode is None:
            process.kill()
            await asyncio.shield(process.wait())
    return process.returncode or 0, out, err


def _last_line(words: bytes) -> str:
    lines = [line.strip() for line in words.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
