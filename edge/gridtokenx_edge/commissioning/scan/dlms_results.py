"""What is known of a DLMS meter that answered the public client: its maker, its profiles.

This module is pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from gridtokenx_edge.commissioning.scan.dlms_scan import FoundDlms
from gridtokenx_edge.commissioning.scan.target import SerialTarget, Target
from gridtokenx_edge.config.dlms_secrets import wanted_secrets_of
from gridtokenx_edge.meters.dlms import DlmsProfile, dlms_names, load_dlms
from gridtokenx_edge.meters.identity import meter_id

_NO_FILE_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_GENERIC = "dlms_generic"
_LOGICAL_DEVICE_NAME = "0-0:42.0.0.255"
# A logical device name begins with three letters that the FLAG association has given out.
_MAKERS = {"ACE": "ITRON", "EDM": "EDMI", "ISK": "ISKRAEMECO", "LGZ": "LANDISGYR"}


def profiles_of(found: FoundDlms) -> list[str]:
    """Return the maker's profiles for this kind of line, or the profile for any meter."""
    wire = "tcp" if found.opening == "wrapper" else "serial"
    maker = _MAKERS.get(found.name[:3])
    fitting = [name for name in dlms_names() if _fits(load_dlms(name), maker, wire)]
    return fitting or [_GENERIC]


def _fits(profile: DlmsProfile, maker: str | None, wire: str) -> bool:
    return profile.maker == maker and wire in profile.transports


def id_of(found: FoundDlms) -> str:
    """Return the id that the meter will tell if it is its logical device name, or else ""."""
    of = load_dlms(profiles_of(found)[0])
    if not found.name or of.identity.obis != _LOGICAL_DEVICE_NAME:
        return ""
    return meter_id(of.maker, found.name)


def dlms_fields(found: FoundDlms) -> dict[str, Any]:
    """Return what was found as an object for `--json`."""
    profiles = profiles_of(found)
    return {
        **msgspec.to_builtins(found),
        "id": id_of(found) or None,
        "profile": profiles[0] if len(profiles) == 1 else None,
        "candidates": profiles,
    }


def dlms_snippet(target: Target, port: int, found: Sequence[FoundDlms]) -> str:
    """Return the `[[dlms]]` of edge.toml. `port` is where the wrapper was found."""
    return "\n".join(_lines(target, port, found)) + "\n"


def _lines(target: Target, port: int, found: Sequence[FoundDlms]) -> Iterator[str]:
    yield "[[dlms]]"
    yield f"name = {json.dumps(target.name)}"
    if isinstance(target, SerialTarget):
        yield 'kind = "serial"'
        yield f"port = {json.dumps(target.port)}"
        yield f"baud = {found[0].baud}"
        yield f'opening = "{found[0].opening}"'
    else:
        yield 'kind = "tcp"'
        yield f"host = {json.dumps(target.host)}"
        yield f"port = {port}"
    for one in found:
        yield ""
        yield from _meter(one)


def _meter(found: FoundDlms) -> Iterator[str]:
    first, *rest = profiles_of(found)
    profile = load_dlms(first)
    known = id_of(found)
    made_up = meter_id(profile.maker, "NUMBER")
    remark = "" if known else " # for NUMBER, the number on its front"
    yield "[[dlms.meter]]"
    yield f"id = {json.dumps(known or made_up)}{remark}"
    yield f'profile = "{first}"' + (f" # or {', '.join(rest)}" if rest else "")
    if found.physical_address is not None:
        yield f"physical_address = {found.physical_address}"
    for secret in wanted_secrets_of(profile):
        file = f"{_NO_FILE_NAME.sub('-', found.name or 'meter')}.{secret}"
        yield f'{secret} = "{file}" # a file for its owner only, env:NAME or credential:NAME'
