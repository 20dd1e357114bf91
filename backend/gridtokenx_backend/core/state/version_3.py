"""The form of a snapshot that knows no rules but those of version 1.

A community that was never decided for by later rules has nothing in the fields that came with them.
Its snapshot leaves them out, so that its bytes and their digest stay what they were for ever.
"""

from __future__ import annotations

from typing import Any

import msgspec

FIELDS: dict[str, int] = {
    "State": 22,
    "ActiveTerms": 11,
    "OracleLimits": 6,
    "MarketRules": 11,
    "ZoneRules": 5,
    "LinkRules": 5,
    "TimeZone": 2,
    "IntervalRules": 5,
    "SharingRules": 3,
    "CommunityPrice": 5,
    "Counters": 9,
    "StoredLedger": 3,
    "Pending": 3,
    "Member": 15,
    "StandingOrder": 7,
    "Device": 18,
    "RestingOrder": 11,
    "CompletedInstruction": 3,
    "Token": 4,
    "Settlement": 3,
    "Withdrawal": 5,
    "UsedReference": 2,
    "Certificate": 15,
    "ZoneState": 7,
    "LinkUse": 5,
    "Period": 4,
    "SharingState": 7,
    "SharedInterval": 8,
    "SharingKey": 6,
    "HourShares": 3,
    "ShareTable": 5,
    "Participation": 3,
    "IntervalEnergy": 5,
    "GridOperatorEnergy": 4,
    "Meter": 24,
    "MeterRules": 9,
    "MeterPast": 8,
    "EstimatedSpan": 8,
    "BoundaryRegisters": 3,
    "CertifiedEnergy": 3,
    "MonthMinted": 4,
}
"""How many fields each record had. Later fields come after them, with a default."""


def as_version_3(value: Any) -> Any:
    """Return a value of the state as plain lists and maps, without fields that came later."""
    if isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
        kept = names[: FIELDS[type(value).__name__]]
        return [as_version_3(getattr(value, name)) for name in kept]
    if isinstance(value, dict):
        return {key: as_version_3(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_version_3(item) for item in value]
    return value
