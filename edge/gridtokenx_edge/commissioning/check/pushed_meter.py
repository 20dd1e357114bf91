"""What the running agent says of meters that send by themselves: nobody else can hear them."""

from __future__ import annotations

from http.client import HTTPException

import msgspec

from gridtokenx_edge.commissioning.check.agent_status import fetch
from gridtokenx_edge.commissioning.check.format_quantity import kwh


class PushedMeterStatus(msgspec.Struct, kw_only=True):
    """A meter on the agent's status page. Values are None before its first reading."""

    id: str
    error: str = ""
    age_s: float | None = None
    is_late: bool = True
    import_uwh: int | None = None
    export_uwh: int | None = None
    clock_ahead_ms: int | None = None

    def text(self) -> str:
        """Return what a person wants to know of it, in one line."""
        parts = [] if self.age_s is None else [f"{self.age_s:.0f} s old"]
        for name, uwh in (("import", self.import_uwh), ("export", self.export_uwh)):
            if uwh is not None:
                parts.append(f"{name} {kwh(uwh)}")
        if self.clock_ahead_ms is not None:
            where = "behind" if self.clock_ahead_ms < 0 else "ahead"
            parts.append(f"its clock {abs(self.clock_ahead_ms) / 1000:.1f} s {where}")
        values = ", ".join(parts)
        return f"{values}; since then: {self.error}" if values and self.error else values


class _BusStatus(msgspec.Struct):
    meters: list[PushedMeterStatus]


class _AgentStatus(msgspec.Struct):
    buses: list[_BusStatus]


def pushed_meters(port: int) -> dict[str, PushedMeterStatus]:
    """Return the meters on the agent's status page by their ids; none where it does not tell."""
    if not port:
        return {}
    try:
        status = msgspec.json.decode(fetch(port), type=_AgentStatus)
    except (OSError, HTTPException, msgspec.MsgspecError):
        return {}
    return {meter.id: meter for bus in status.buses for meter in bus.meters}
