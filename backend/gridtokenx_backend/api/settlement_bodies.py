"""What the operator sends about money, certificates and corrections."""

from __future__ import annotations

from typing import Annotated

import msgspec

_LATEST_MS = 2**53


class DepositBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A payment that came in for a wallet."""

    wallet: str
    amount_grx: str
    reference: str


class ReferenceBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The reference of a payment that was made."""

    reference: str


class ReasonBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a withdrawal is refused."""

    reason: str


class CorrectionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a meter really counted from `from_ms` to `to_ms`, both the starts of intervals."""

    meter: str
    from_ms: Annotated[int, msgspec.Meta(ge=0, le=_LATEST_MS)]
    to_ms: Annotated[int, msgspec.Meta(ge=0, le=_LATEST_MS)]
    import_kwh: str
    export_kwh: str
    reason: str


class MonthBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A month that is over."""

    month: str
