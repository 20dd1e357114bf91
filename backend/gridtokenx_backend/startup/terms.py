"""The terms of `community.toml` are applied at every start, through the journal."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from gridtokenx_backend.config.terms_file import load_terms, terms_digest
from gridtokenx_backend.config.time_zones import look_up
from gridtokenx_backend.core.messages.inputs import ConfigurationInput, configuration_input
from gridtokenx_backend.core.model.local_time import TimeZone
from gridtokenx_backend.core.sharing.key_versions import conflicts
from gridtokenx_backend.engine.degradation import DegradedPart
from gridtokenx_backend.engine.writer import ClockInDoubt, Writer
from gridtokenx_backend.errors import CannotStart
from gridtokenx_backend.startup.unbound_meters import unbound_meters, warn
from gridtokenx_wire.config import finding
from gridtokenx_wire.errors import ConfigError

_LOOK_AGAIN_S = 1.0
_LOOK_S = 0.1
log = structlog.get_logger()


async def apply_terms(writer: Writer, path: Path) -> asyncio.Task[None] | None:
    """Journal the terms in the file at `path`, unless they are the active ones already.

    While the clock is in doubt or the disk is full nothing is journaled: then a task is returned
    that waits; meanwhile the former terms are in force. First terms are waited for, because without
    any there is no community. Raises ConfigError, and CannotStart if the journal is another
    community's.
    """
    source = await asyncio.to_thread(terms_digest, path)
    active_terms = writer.community.active_terms
    if source == active_terms.source and _is_zone_the_same(active_terms.time_zone):
        return None
    terms = load_terms(path)
    if active_terms.name not in ("", terms.community.name):
        raise CannotStart(
            f"{path}: expected the community {active_terms.name!r}, whose journal this is, "
            f"got {terms.community.name!r}"
        )
    zone = look_up(terms.community.time_zone)
    if found := list(conflicts(writer.community.sharing, terms, zone)):
        raise ConfigError([finding(path, key, expected) for key, expected in found])
    community = writer.community
    warn(unbound_meters(community.meters, community.devices, terms), zone)
    input_ = configuration_input(terms, source, zone)
    submitting = asyncio.create_task(_submit(writer, input_))
    if not writer.look_at_clock():
        log.warning("new terms wait until the clock is believed")
        return submitting
    try:
        while not submitting.done():
            if active_terms.name and writer.degradation[DegradedPart.JOURNAL]:
                log.warning("new terms wait until the journal can be written")
                return submitting
            await asyncio.wait([submitting], timeout=_LOOK_S)
        await submitting
    except asyncio.CancelledError:
        submitting.cancel()
        raise
    return None


def _is_zone_the_same(zone: TimeZone) -> bool:
    """Return whether the tz database still says of a zone what is journaled."""
    try:
        return look_up(zone.name) == zone
    except ValueError:  # this machine does not know it: the journal does
        return True


async def _submit(writer: Writer, input_: ConfigurationInput) -> None:
    while True:
        try:
            await writer.submit([input_])
            break
        except ClockInDoubt:
            await asyncio.sleep(_LOOK_AGAIN_S)
    log.info("new terms are in force")
