"""A meter's profile, whatever protocol it speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridtokenx_edge.meters.profile import Profile, is_file, load_profile, profile_names
from gridtokenx_edge.meters.sunspec.profile import SunSpecProfile, load_sunspec, sunspec_names

if TYPE_CHECKING:
    from gridtokenx_edge.meters.dlms import DlmsProfile


def any_profile(name: str) -> Profile | SunSpecProfile | DlmsProfile:
    """Raises ConfigError if its file is wrong."""
    if name in sunspec_names():
        return load_sunspec(name)
    if name in profile_names() or is_file(name):
        return load_profile(name)
    # Imported where it is wanted: memory is dear on a Pi.
    from gridtokenx_edge.meters.dlms import load_dlms  # noqa: PLC0415

    return load_dlms(name)
