"""Rules of the settlement model: money in and out, and certificates."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from tests.backend.core.settlement.lots import Person
from tests.backend.settling import Settling
from tests.backend.village import Resident

from gridtokenx_backend.core.messages.outcomes import NotJournaled, OrderRefused, Repeated
from gridtokenx_backend.core.messages.settlement_outcomes import (
    CertificatesIssued,
    Deposited,
    NothingIssued,
    SettlementRefused,
    WithdrawalRequested,
)
from gridtokenx_backend.core.model.ledger import GRX
from gridtokenx_backend.core.model.local_time import parse_month
from gridtokenx_backend.core.model.settlement import (
    ConfirmWithdrawal,
    Deposit,
    IssueCertificates,
    RefuseWithdrawal,
)
from gridtokenx_wire.order import RecRetire, RecTransfer, Withdraw


class MoneyRules(RuleBasedStateMachine):
    """What the model that has these rules must have."""

    village: Settling
    people: dict[str, Person]
    withdrawals: dict[int, tuple[str, int]]
    certified: list[tuple[int, int]]
    fresh: int

    def who(self, name: str) -> Resident:
        found: Resident = getattr(self.village, name)
        return found

    # --- money ----------------------------------------------------------------------------------

    @rule(
        who=st.sampled_from(["anna", "ben"]),
        grx=st.sampled_from(["5", "1", "0", "99999"]),
        reference=st.sampled_from(["x", "y", ""]),
    )
    def ask_for_money(self, who: str, grx: str, reference: str) -> None:
        self.fresh += 1
        head = self.who(who)._head(f"w{self.fresh}", self.village.at_ms, "lane")
        outcome = self.village.tell(Withdraw(**head, amount_grx=grx, reference=reference))
        amount = int(grx) * 10**6
        held = sum(part for name, part in self.withdrawals.values() if name == who)
        open_bids = self.village.community.ledger.held(self.who(who).wallet, GRX) - held
        known = any(
            each.reference == reference and each.wallet == self.who(who).wallet
            for each in self.village.community.settlement.withdrawals.values()
        )
        if isinstance(outcome, WithdrawalRequested):
            self.withdrawals[outcome.number] = (who, amount)
            return
        assert isinstance(outcome, OrderRefused)
        too_much = amount > self.people[who].money - held - open_bids
        assert not amount or not reference or known or too_much

    @rule(
        index=st.integers(0, 2),
        pay=st.booleans(),
        reference=st.sampled_from(["", "r1", "r2", "r3"]),
    )
    def answer(self, index: int, pay: bool, reference: str) -> None:
        numbers = [*self.withdrawals, 10**6]
        number = numbers[min(index, len(numbers) - 1)]
        if pay:
            self.fresh += 1
            reference = reference and f"{reference}-{self.fresh}"
            command: Any = ConfirmWithdrawal(number=number, reference=reference)
        else:
            command = RefuseWithdrawal(number=number, reason=reference)
        outcome = self.village.order(command)
        if number not in self.withdrawals or not reference:
            assert isinstance(outcome, SettlementRefused)
            return
        assert not isinstance(outcome, NotJournaled)
        who, amount = self.withdrawals.pop(number)
        self.people[who].money -= amount if pay else 0
        if pay:
            assert isinstance(self.village.order(command), Repeated)

    @rule(who=st.sampled_from(["anna", "stranger"]), reference=st.sampled_from(["d1", "d2", ""]))
    def deposit(self, who: str, reference: str) -> None:
        wallet = Resident(who).wallet
        outcome = self.village.order(Deposit(wallet=wallet, amount_ugrx=7, reference=reference))
        if isinstance(outcome, Deposited):
            self.people[who].money += 7
        else:
            known = reference in self.village.community.settlement.references
            assert who == "stranger" or not reference or known

    # --- certificates ---------------------------------------------------------------------------

    @rule(month=st.sampled_from(["2026-05", "2026-06", "2026-07"]))
    def certify(self, month: str) -> None:
        outcome = self.village.order(IssueCertificates(month=parse_month(month)))
        again = self.village.order(IssueCertificates(month=parse_month(month)))
        assert isinstance(again, NothingIssued | SettlementRefused)
        if isinstance(outcome, CertificatesIssued):
            self.certified += [(each.from_uwh, each.to_uwh) for each in outcome.certificates]

    @rule(to=st.sampled_from(["anna", "ben", "cleo"]), use=st.booleans())
    def use_certificate(self, to: str, use: bool) -> None:
        known = list(self.village.community.settlement.certificates.values())
        if not known:
            return
        certificate = known[self.fresh % len(known)]
        self.fresh += 1
        people = {self.who(name).wallet: self.who(name) for name in self.people}
        owner = people[certificate.owner]
        head = owner._head(f"r{self.fresh}", self.village.at_ms, "lane")
        serial, was_used = certificate.serial, certificate.status == "retired"
        instruction: Any = (
            RecRetire(**head, serial=serial, beneficiary="the bakery")
            if use
            else RecTransfer(**head, serial=serial, to=self.who(to).wallet)
        )
        outcome = self.village.tell(instruction)
        impossible = was_used or (not use and self.who(to) is owner)
        assert isinstance(outcome, OrderRefused) == impossible
