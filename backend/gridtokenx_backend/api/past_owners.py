"""Who owned a meter in a past that the core does not know: by the terms that the journal keeps.

A journal that was begun by rules version 1 has all terms that were ever in force, but the core did
not remember owners by them.
"""

from __future__ import annotations

from gridtokenx_backend.core.messages.inputs import ConfigurationInput, parse
from gridtokenx_backend.core.model.ownership import interval_start_of
from gridtokenx_backend.journal.port import Journal
from gridtokenx_wire.keys import public_key_text


async def owner_by_terms(journal: Journal, meter: str, from_ms: int, to_ms: int) -> str:
    """Return the wallet that owned a meter from `from_ms` to `to_ms`.

    It is empty if nobody or more than one owned it then, or if some terms were erased. The first
    terms hold for all time before them, too.
    """
    configurations = await journal.configurations()
    owners: set[str] = set()
    for index, (_, stored) in enumerate(configurations):
        begin_ms = interval_start_of(configurations[index][0]) if index else 0
        is_last = index + 1 == len(configurations)
        end_ms = to_ms if is_last else interval_start_of(configurations[index + 1][0])
        if max(begin_ms, from_ms) >= min(end_ms, to_ms):
            continue
        owners.add(_owner(stored, meter))
    return owners.pop() if len(owners) == 1 else ""


def _owner(stored: bytes | None, meter: str) -> str:
    """Return the owner of a meter by stored terms; empty if they are erased or do not name it."""
    configured = parse("configure", stored) if stored is not None else None
    if not isinstance(configured, ConfigurationInput):
        return ""
    wallets = {member.name: member.wallet for member in configured.terms.member}
    for listed in configured.terms.meter:
        if listed.id == meter:
            return public_key_text(bytes(wallets[listed.owner]))
    return ""
