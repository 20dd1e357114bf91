"""Structured logs on stderr, one JSON object a line, with few lines for a fault that repeats."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast


@contextmanager
def _without_rich() -> Iterator[None]:
    """Keep structlog from importing Rich for coloured tracebacks: a Pi lacks the 5 MiB."""
    hidden = "rich" not in sys.modules
    if hidden:
        sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules["rich"]


with _without_rich():
    import structlog

Logger = structlog.typing.FilteringBoundLogger
REPEAT_AFTER_S = 60.0
# So many faults are remembered. Beyond that the one that began first is forgotten and may be logged
# again.
_MOST_FAULTS = 1000


class _Stderr:
    """Standard error as it is at the time of writing.

    A full disk behind it does not stop the agent.
    """

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def _json(event: object, **how: Any) -> str:
    """Return an event in ASCII without any control character; JSON leaves DEL as it is."""
    return json.dumps(event, **how).replace("\x7f", "\\u007f")


def start_logging() -> Logger:
    """Return the log of the process."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Stderr())),
    )
    logger: Logger = structlog.get_logger()
    return logger


class FaultLog:
    """Logs a repeating fault when it begins, and then at most once a minute with a count."""

    def __init__(self, logger: Logger, now_s: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._now_s = now_s
        self._last: dict[str, tuple[float, int]] = {}

    def warn(self, event: str, about: str = "", **fields: Any) -> None:
        """Log a fault `about` something (a meter, a bus), or count it for the next line."""
        self._say(self._logger.warning, event, about, fields)

    def error(self, event: str, about: str = "", **fields: Any) -> None:
        """Log a fault that an operator must look at, as `warn` does."""
        self._say(self._logger.error, event, about, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Log what is no fault, in one line each time."""
        self._logger.info(event, **fields)

    def over(self, event: str, about: str = "") -> bool:
        """Forget the fault, so that its return is logged at once. Returns whether there was one."""
        return self._last.pop(f"{event} {about}", None) is not None

    def _say(self, say: Callable[..., Any], event: str, about: str, fields: dict[str, Any]) -> None:
        key = f"{event} {about}"
        now_s = self._now_s()
        since_s, silent = self._last.get(key, (float("-inf"), 0))
        if now_s - since_s < REPEAT_AFTER_S:
            self._last[key] = (since_s, silent + 1)
            return
        if key not in self._last and len(self._last) >= _MOST_FAULTS:
            del self._last[next(iter(self._last))]
        self._last[key] = (now_s, 0)
        if silent:
            fields["repeated"] = silent
        say(event, **fields)
