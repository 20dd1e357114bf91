"""Structured logs: one JSON object a line, on stderr."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from typing import Any

import structlog


def _json(event: object, **how: Any) -> str:
    """Return an event in ASCII without any control character; JSON leaves DEL as it is."""
    return json.dumps(event, **how).replace("\x7f", "\\u007f")


def configure() -> None:
    """Set logging up for a service; warnings and errors of other libraries look the same."""
    shared: list[structlog.types.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_json)],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processor=structlog.processors.JSONRenderer(serializer=_json), foreign_pre_chain=shared
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def tell_risks(lines: Iterable[str]) -> None:
    """Log what the config files allow that is unsafe."""
    log = structlog.get_logger()
    for line in lines:
        log.warning("config_risk", reason=line)
