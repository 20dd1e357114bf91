"""The operator's word that something was lost and the community goes on without it."""

from __future__ import annotations

import msgspec


class LossCommand(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The operator's command to go on without what was lost, with a reason.

    `lost` says what it was, as the program found it.
    """

    lost: str
    reason: str


class LossAccepted(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="loss", gc=False
):
    """The community went on; `entries` is how many there were before."""

    entries: int
