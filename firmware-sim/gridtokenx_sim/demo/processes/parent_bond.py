"""A command that dies with the process that started it, however that one ends.

Used as a script: `python parent_bond.py PARENT-PID COMMAND...`. It asks the kernel for SIGKILL at
the parent's death (prctl(2), PR_SET_PDEATHSIG) and becomes the command; the request outlives exec.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def bound_to_parent(command: Sequence[str]) -> list[str]:
    """Return a command line that runs `command` and dies with this process.

    The first word of `command` is a path. The request belongs to the thread that starts it, so
    call this from the main thread.
    """
    python = [sys.executable, "-I", "-S", __file__]  # only the standard library is needed
    return [*python, str(os.getpid()), *command]


def main(parent: int, command: list[str]) -> int:
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.stderr.write("prctl: the kernel does not know PR_SET_PDEATHSIG\n")
        return 1
    if os.getppid() != parent:
        return 1  # the parent ended before the signal was set
    try:
        os.execv(command[0], command)  # noqa: S606 (no shell is meant)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return 127


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
