"""The API client, wallets and the command `gridtokenx`, for members, integrators and auditors.

from gridtokenx_client import Api
with Api("http://127.0.0.1:8080") as api:
    print(api.health().community)

The names in `__all__` are public and stay as docs/stability.md says; every other name may change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gridtokenx_client.answers import (
        AllCancelled,
        Amended,
        Balance,
        Book,
        Cancelled,
        Certificate,
        CertificateChange,
        Device,
        Health,
        Interval,
        Level,
        MeterIntervals,
        MeterReading,
        MeterReadings,
        OpenOrder,
        Orders,
        Placed,
        RefusedFrame,
        StandingOrder,
        StandingSet,
        Summary,
        Trade,
        Trades,
        Withdrawal,
    )
    from gridtokenx_client.api import Api
    from gridtokenx_client.problem import ApiProblem, Mistake
    from gridtokenx_client.verification.auction_check import Comparison, check_auction
    from gridtokenx_client.verification.clearing_document import (
        BookOrder,
        Clearing,
        ClearingLink,
        Clearings,
        ClearingSummary,
        ClearingTrade,
        Step,
        read_clearings,
    )
    from gridtokenx_client.verification.coupling_check import check_coupling
    from gridtokenx_client.wallet import Wallet, new_id

__all__ = [
    "AllCancelled",
    "Amended",
    "Api",
    "ApiProblem",
    "Balance",
    "Book",
    "BookOrder",
    "Cancelled",
    "Certificate",
    "CertificateChange",
    "Clearing",
    "ClearingLink",
    "ClearingSummary",
    "ClearingTrade",
    "Clearings",
    "Comparison",
    "Device",
    "Health",
    "Interval",
    "Level",
    "MeterIntervals",
    "MeterReading",
    "MeterReadings",
    "Mistake",
    "OpenOrder",
    "Orders",
    "Placed",
    "RefusedFrame",
    "StandingOrder",
    "StandingSet",
    "Step",
    "Summary",
    "Trade",
    "Trades",
    "Wallet",
    "Withdrawal",
    "check_auction",
    "check_coupling",
    "new_id",
    "read_clearings",
]

_MODULES = {
    "answers": (
        "AllCancelled",
        "Amended",
        "Balance",
        "Book",
        "Cancelled",
        "Certificate",
        "CertificateChange",
        "Device",
        "Health",
        "Interval",
        "Level",
        "MeterIntervals",
        "MeterReading",
        "MeterReadings",
        "OpenOrder",
        "Orders",
        "Placed",
        "RefusedFrame",
        "StandingOrder",
        "StandingSet",
        "Summary",
        "Trade",
        "Trades",
        "Withdrawal",
    ),
    "api": ("Api",),
    "problem": (
        "ApiProblem",
        "Mistake",
    ),
    "verification.auction_check": (
        "Comparison",
        "check_auction",
    ),
    "verification.clearing_document": (
        "BookOrder",
        "Clearing",
        "ClearingLink",
        "ClearingSummary",
        "ClearingTrade",
        "Clearings",
        "Step",
        "read_clearings",
    ),
    "verification.coupling_check": ("check_coupling",),
    "wallet": (
        "Wallet",
        "new_id",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used: nobody loads what they do not need."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
