"""Renewable energy certificates (REC): one for each full MWh that a renewable meter minted.

The energy that a meter minted counts up, less what corrections clawed back. A mark says up to where
that count is certified, so no µWh is in two certificates. What is not a full MWh yet waits for a
later month. A serial number is COMMUNITY-YYYY-MM-METER-NUMBER: the month (in the community's time
zone) in which the certificate's last µWh was minted, and the number of the meter's certificate,
from 1 on.
"""

from __future__ import annotations

from collections import Counter
from copy import copy

from gridtokenx_backend.core.messages.outcomes import OrderRefused
from gridtokenx_backend.core.messages.refusals import OrderRefusal
from gridtokenx_backend.core.messages.settlement_outcomes import (
    CertificateMoved,
    CertificateRetired,
    CertificatesIssued,
    NothingIssued,
    SettlementRefusal,
    SettlementRefused,
)
from gridtokenx_backend.core.model.ledger import REC, RETIRED, Movement, issuer
from gridtokenx_backend.core.model.local_time import (
    month_at,
    month_start_ms,
    month_text,
    next_month,
)
from gridtokenx_backend.core.model.registry import CertifiedEnergy, Meter, MonthMinted
from gridtokenx_backend.core.model.settlement import Certificate, IssueCertificates
from gridtokenx_backend.core.state.community import Community
from gridtokenx_wire.order import RecRetire, RecTransfer
from gridtokenx_wire.units import UWH_PER_KWH

MWH_UWH = 1000 * UWH_PER_KWH
MAX_BENEFICIARY = 200


def note_minted(
    community: Community, meter: Meter, owner: str, minted_uwh: int, at_ms: int
) -> None:
    """Count what a renewable meter minted in this entry; below zero it was clawed back.

    `owner` is whose it is: the meter's owner, or a former one.
    """
    former = "" if owner == meter.owner else owner
    entry = community.entries + 1
    month = month_at(community.active_terms.time_zone, at_ms)
    if meter.certified is None:
        meter.certified = CertifiedEnergy()
    months = meter.certified.months
    if months and (months[-1].month, months[-1].owner) == (month, former):
        months[-1].minted_uwh += minted_uwh
        months[-1].last_entry = entry
    else:
        months.append(
            MonthMinted(
                month=month,
                minted_uwh=minted_uwh,
                first_entry=entry,
                last_entry=entry,
                owner=former,
            )
        )


def leave_to(meter: Meter, owner: str) -> None:
    """Let what a meter has minted so far be certified for the owner who leaves it."""
    for month in meter.certified.months if meter.certified else ():
        month.owner = month.owner or owner


def issue(
    community: Community, command: IssueCertificates, at_ms: int
) -> CertificatesIssued | NothingIssued | SettlementRefused:
    """Issue what is due up to the end of a month. A second time nothing of it is left to issue."""
    month = command.month
    if not 197001 <= month <= 999911 or not 1 <= month % 100 <= 12:
        return SettlementRefused(SettlementRefusal.MONTH_NOT_OVER, "expected a month as yyyymm")
    if month_start_ms(community.active_terms.time_zone, next_month(month)) > at_ms:
        detail = f"expected a month that is over, got {month_text(month)}"
        return SettlementRefused(SettlementRefusal.MONTH_NOT_OVER, detail)
    issued: list[Certificate] = []
    movements: list[Movement] = []
    for meter in community.meters.values():
        fresh = _due(community, meter, month, at_ms) if meter.certified else []
        if not fresh:
            continue
        counts = Counter(each.owner for each in fresh)
        to_owners = [
            Movement(asset=REC, debit=issuer(REC), credit=owner, amount=count)
            for owner, count in counts.items()
        ]
        if community.ledger.post(to_owners) is None:
            assert meter.certified is not None
            meter.certified.mark_uwh = fresh[-1].to_uwh
            _sum_up(meter.certified)
            issued += fresh
            movements += to_owners
    if not issued:
        return NothingIssued(month)
    community.settlement.certificates |= {each.serial: each for each in issued}
    return CertificatesIssued(month, [_copy(each) for each in issued], movements)


def _due(community: Community, meter: Meter, up_to: int, at_ms: int) -> list[Certificate]:
    """Return a meter's new certificates, of energy that no later correction clawed back."""
    certified = meter.certified
    assert certified is not None
    due: list[Certificate] = []
    from_uwh = certified.mark_uwh
    first_entry = certified.months[0].first_entry if certified.months else 0
    for month, safe_uwh in zip(certified.months, _safe(certified), strict=True):
        if month.month > up_to:
            break
        while from_uwh + MWH_UWH <= safe_uwh:
            number = from_uwh // MWH_UWH + 1
            serial = f"{community.name}-{month_text(month.month)}-{meter.id}-{number}"
            to_uwh = from_uwh + MWH_UWH
            due.append(
                Certificate(
                    serial=serial,
                    meter=meter.id,
                    technology=meter.rules.technology,
                    month=month.month,
                    from_uwh=from_uwh,
                    to_uwh=to_uwh,
                    first_entry=first_entry,
                    last_entry=month.last_entry,
                    issued_entry=community.entries + 1,
                    issued_ms=at_ms,
                    owner=month.owner or meter.owner,
                )
            )
            from_uwh, first_entry = to_uwh, month.first_entry
    return due


def _safe(certified: CertifiedEnergy) -> list[int]:
    """Return, for each month, up to which µWh its mints hold in spite of later claw-backs."""
    counted_uwh = certified.before_uwh
    counts: list[int] = []
    for month in certified.months:
        counted_uwh += month.minted_uwh
        counts.append(counted_uwh)
    for index in range(len(counts) - 2, -1, -1):
        counts[index] = min(counts[index], counts[index + 1])
    return counts


def _sum_up(certified: CertifiedEnergy) -> None:
    """Forget the months whose energy is all certified. The newest month stays."""
    months = certified.months
    while len(months) > 1 and certified.before_uwh + months[0].minted_uwh <= certified.mark_uwh:
        certified.before_uwh += months.pop(0).minted_uwh


def transfer(community: Community, instruction: RecTransfer) -> CertificateMoved | OrderRefused:
    """Give a certificate to another member."""
    certificate = _own(community, instruction)
    if isinstance(certificate, OrderRefused):
        return certificate
    if instruction.to not in community.members or instruction.to == instruction.wallet:
        return OrderRefused(
            OrderRefusal.UNKNOWN_WALLET, "expected the wallet of another member in 'to'"
        )
    movement = Movement(asset=REC, debit=instruction.wallet, credit=instruction.to, amount=1)
    refusal = community.ledger.post([movement])
    assert refusal is None
    certificate.owner = instruction.to
    return CertificateMoved(
        serial=instruction.serial,
        wallet=instruction.wallet,
        to=instruction.to,
        movements=[movement],
    )


def retire(
    community: Community, instruction: RecRetire, at_ms: int
) -> CertificateRetired | OrderRefused:
    """Use a certificate up for a beneficiary. Nobody can use it again."""
    beneficiary = instruction.beneficiary
    is_text = 1 <= len(beneficiary) <= MAX_BENEFICIARY and beneficiary.isprintable()
    if not is_text or not beneficiary.strip():
        detail = f"expected a beneficiary of 1 to {MAX_BENEFICIARY} printable characters"
        return OrderRefused(OrderRefusal.MALFORMED, detail)
    certificate = _own(community, instruction)
    if isinstance(certificate, OrderRefused):
        return certificate
    movement = Movement(asset=REC, debit=instruction.wallet, credit=RETIRED, amount=1)
    refusal = community.ledger.post([movement])
    assert refusal is None
    certificate.status, certificate.beneficiary = "retired", beneficiary
    certificate.retired_entry, certificate.retired_ms = community.entries + 1, at_ms
    return CertificateRetired(
        serial=instruction.serial,
        wallet=instruction.wallet,
        beneficiary=beneficiary,
        movements=[movement],
    )


def _own(community: Community, instruction: RecTransfer | RecRetire) -> Certificate | OrderRefused:
    certificate = community.settlement.certificates.get(instruction.serial)
    if certificate is None or certificate.owner != instruction.wallet:
        detail = "expected the serial number of a certificate of this wallet"
        return OrderRefused(OrderRefusal.UNKNOWN_CERTIFICATE, detail)
    if certificate.status == "retired":
        detail = f"expected a certificate that is not retired; {instruction.serial} is"
        return OrderRefused(OrderRefusal.UNKNOWN_CERTIFICATE, detail)
    return certificate


def _copy(certificate: Certificate) -> Certificate:
    """Return what the entry keeps of a certificate, which later transfers do not change."""
    return copy(certificate)
