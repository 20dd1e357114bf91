"""The limit of open files: raised to what the system allows."""

from __future__ import annotations

import resource
from contextlib import suppress

RESERVED_FILES = 128
"""For the journal, the broker, the verify workers, and what a command opens for a moment."""


def raise_limit() -> int:
    """Raise the soft limit of open files to the hard one, and return the limit that is in force.

    The default of most systems, 1,024, is for programs that use select(2); none of ours does.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # a container may forbid it
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft
