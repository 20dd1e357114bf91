"""The state of settlement, and the operator's commands for it.

Amounts in commands are integers: the API has converted the decimals. A command is journaled as
JSON, and its field `do` says which command it is.
"""

from __future__ import annotations

from typing import Literal

import msgspec

CertificateStatus = Literal["issued", "retired"]


class Withdrawal(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """GRX that a member wants to have paid out.

    It is in escrow until the operator confirms or refuses it. `number` is also the number of the
    escrow. `reference` is what the member called it, and `entry` the journal's entry that took it.
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
    """A renewable energy certificate (REC) for one MWh that a renewable meter's surplus minted.

    It certifies the µWh from `from_uwh` (included) to `to_uwh` of all that the meter has minted.
    The last of them was minted in `month` (yyyymm). The mints lie in the journal's entries from
    `first_entry` to `last_entry`. `issued_ms` and `retired_ms` are the times of the journal's
    entries that issued and retired it.
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
    """The state of settlement.

    It has the open withdrawals by number, what each reference was used for, and the certificates by
    serial number in the order in which they were issued.
    """

    withdrawals: dict[int, Withdrawal] = {}
    references: dict[str, UsedReference] = {}
    certificates: dict[str, Certificate] = {}


class _Command(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", kw_only=True
):
    """A command of the operator."""


class Deposit(_Command, frozen=True, tag="deposit"):
    """A payment that came in for a wallet. Its `reference` can be used only once."""

    wallet: str
    amount_ugrx: int
    reference: str


class ConfirmWithdrawal(_Command, frozen=True, tag="confirm_withdrawal"):
    """A withdrawal that was paid out. The payment's `reference` can be used only once."""

    number: int
    reference: str


class RefuseWithdrawal(_Command, frozen=True, tag="refuse_withdrawal"):
    """A withdrawal that will not be paid out. The member gets the GRX back."""

    number: int
    reason: str


class Correct(_Command, frozen=True, tag="correct"):
    """A correction of the energy that a meter counted from `from_ms` to `to_ms`.

    `import_uwh` and `export_uwh` are the right energies, and the `counted_...` fields those that
    were counted. `revision` is that of the span when these were looked up: if it has changed since,
    the correction is refused.

    `owner` is the wallet that owned the meter in the span, and `counted_from_ms` the start of the
    first interval of the span that was counted, -1 without one. The core reads them for a time of
    which it does not know by itself, since the journal was begun by rules version 1.
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
    owner: str = ""
    counted_from_ms: int = -1


class DecideHeld(_Command, frozen=True, tag="decide_held"):
    """The operator's decision on what is held of a meter's energy, with a reason.

    `entry` is the journal's entry since which it is held, and `steps` how many of its steps are
    doubtful: if either has changed since they were looked up, the decision is refused.
    """

    meter: str
    entry: int
    steps: int
    decision: Literal["release", "void", "void_all"]
    reason: str


class IssueCertificates(_Command, frozen=True, tag="issue_certificates"):
    """The issue of certificates for surplus that has none yet.

    It covers all that was minted up to the end of `month` (yyyymm).
    """

    month: int


SettlementCommand = (
    Deposit | ConfirmWithdrawal | RefuseWithdrawal | Correct | IssueCertificates | DecideHeld
)
