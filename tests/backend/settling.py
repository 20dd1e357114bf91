"""A village that settles: meters read on the quarter, and what the operator orders."""

from __future__ import annotations

from typing import Any

from tests.backend.village import KWH, Gateway, Resident, Village, meter_terms, reading

from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.outcomes import FrameAccepted, OrderRefused, Result
from gridtokenx_backend.core.messages.settlement_outcomes import SettlementRefused
from gridtokenx_backend.core.minting.corrections import revision_of
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS
from gridtokenx_backend.core.model.settlement import Correct, SettlementCommand

QUARTER_MS = INTERVAL_MS
NOON_MS = 1_780_315_200_000
"""2026-06-01 12:00 UTC, a bound of intervals."""
MWH = 1000 * KWH


def roof_meters() -> list[dict[str, Any]]:
    """10 MW at each site, so that certificates come soon; anna's is renewable."""
    large = {"max_power_kw": "10000", "first_energy_kwh": "1000000"}
    roof = large | {"renewable": True, "technology": "solar"}
    return [
        meter_terms("ABB-1", Gateway("north"), Resident("anna"), **roof),
        meter_terms("ABB-2", Gateway("south"), Resident("ben"), **large),
    ]


class Settling(Village):
    """Its meters' registers are counted up here, from 0 at noon. It settles at ticks by default."""

    def __init__(self, **terms: Any) -> None:
        super().__init__(**{"interval": {"enabled": False}} | terms)
        self.registers = {"ABB-1": (0, 0), "ABB-2": (0, 0)}
        self.senders = {"ABB-1": self.north, "ABB-2": self.south}
        self.at_ms = NOON_MS
        for meter in self.registers:
            self.read(meter)

    def read(
        self, meter: str, import_uwh: int = 0, export_uwh: int = 0, quarters: int = 0
    ) -> FrameAccepted:
        """A reading after so many quarters of an hour, in which the meter moved that much."""
        self.at_ms += quarters * QUARTER_MS
        before = self.registers[meter]
        after = self.registers[meter] = before[0] + import_uwh, before[1] + export_uwh
        sent = self.send(self.senders[meter], reading(meter, self.at_ms, after[1], after[0]))
        assert isinstance(sent, FrameAccepted)
        return sent

    def trade(self, seller: Resident, buyer: Resident, kwh: str, price: str = "0.2") -> None:
        """Hand to hand."""
        name = f"{self.community.entries}"
        self.accept(seller.order(f"s{name}", "sell", kwh, price, issued_ms=self.at_ms))
        self.accept(buyer.order(f"b{name}", "buy", kwh, price, issued_ms=self.at_ms))

    def order(self, command: SettlementCommand) -> Result:
        """What the operator orders."""
        return self.apply(inputs.settlement_input(command))

    def correct(
        self,
        meter: str,
        span_ms: tuple[int, int],
        moved_uwh: tuple[int, int],
        counted_uwh: tuple[int, int],
        reason: str = "the meter stood still",
    ) -> Result:
        known = self.community.meters.get(meter)
        command = Correct(
            meter=meter,
            from_ms=span_ms[0],
            to_ms=span_ms[1],
            import_uwh=moved_uwh[0],
            export_uwh=moved_uwh[1],
            counted_import_uwh=counted_uwh[0],
            counted_export_uwh=counted_uwh[1],
            revision=revision_of(known, *span_ms) if known else 0,
            reason=reason,
        )
        return self.order(command)


def why(result: Result) -> str:
    """The reason of a refusal; the test fails of what was carried out."""
    assert isinstance(result, OrderRefused | SettlementRefused), result
    assert result.detail
    assert "\n" not in result.detail
    return result.reason.value
