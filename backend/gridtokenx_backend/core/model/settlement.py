"""The state of settlement, and the operator's commands for it.

Amounts in commands are integers: the API has converted the decimals. A command is journaled as
JSON, and its field `do` says which command it is.
"""

from __future__ import annotations

from typing import Literal

import msgspec

CertificateStatus = Literal["issued", "retired"]


class Withdrawal(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """GRX that a member wants paid out, in escrow until the operator says what became of it.

    `number` is also that of the escrow. `reference` is the member's, `entry` the journal's.
    """

    number: int
    wallet: str
    amount_ugrx: int
    reference: str
    entry: int


class UsedReference(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a reference was used for, and the journal's entry that did it."""

    digest: bytes
    entry: int


class Certificate(msgspec.Struct, array_like=True, gc=False, kw_only=True):
    """A REC: one MWh that a renewable meter's surplus minted.

    It certifies the µWh from `from_uwh` (included) to `to_uwh` of all that the meter has minted;
    the last of them in `month` (yyyymm). Their mints lie in the journal's entries from
    `first_entry` to `last_entry`. `status` is issued or retired; `issued_ms` and `retired_ms` are
    when the journal took it.
    """

    serial: str
    meter: str
    technology: str
    month: int
    from_uwh: int
    to_uwh: int
    first_entry: int
    last_entry: int
    issued_entry: int
    issued_ms: int
    owner: str
    status: CertificateStatus = "issued"
    beneficiary: str = ""
    retired_entry: int = 0
    retired_ms: int = 0


class Settlement(msgspec.Struct, array_like=True):
    """Open withdrawals by number, used references, certificates by serial number in their order."""

    withdrawals: dict[int, Withdrawal] = {}
    references: dict[str, UsedReference] = {}
    certificates: dict[str, Certificate] = {}


class _Command(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", kw_only=True
):
    pass


class Deposit(_Command, frozen=True, tag="deposit"):
    """Money came in for a wallet; `reference` names the payment, once."""

    wallet: str
    amount_ugrx: int
    reference: str


class ConfirmWithdrawal(_Command, frozen=True, tag="confirm_withdrawal"):
    """Money went out; `reference` names the payment, once."""

    number: int
    reference: str


class RefuseWithdrawal(_Command, frozen=True, tag="refuse_withdrawal"):
    """Money will not go out; the member has it back."""

    number: int
    reason: str


class Correct(_Command, frozen=True, tag="correct"):
    """What a meter really moved from `from_ms` to `to_ms`, beside what was counted there.

    `revision` is that of the span when it was looked up: what was counted is still the same.
    """

    meter: str
    from_ms: int
    to_ms: int
    import_uwh: int
    export_uwh: int
    counted_import_uwh: int
    counted_export_uwh: int
    revision: int
    reason: str


class IssueCertificates(_Command, frozen=True, tag="issue_certificates"):
    """For all that was minted up to the end of the month yyyymm and is not certified yet."""

    month: int


SettlementCommand = Deposit | ConfirmWithdrawal | RefuseWithdrawal | Correct | IssueCertificates
