"""The checks that every exported kWh was minted once, to its owner, and none that was
not exported.
"""

from __future__ import annotations

from gridtokenx_sim.demo.audit.evidence import Evidence
from gridtokenx_sim.demo.audit.finding import Violation
from gridtokenx_sim.demo.audit.frame_checks import accepted
from gridtokenx_sim.demo.audit.records import CorrectOutcome, Entry, Movement

_ISSUER = "issuer:GRID"


class Marks:
    """Export registers in µWh of accepted readings, by meter: the first and the newest."""

    def __init__(self) -> None:
        self.first: dict[str, int] = {}
        self.newest: dict[str, int] = {}

    @property
    def minted_uwh(self) -> dict[str, int]:
        return {meter: self.newest[meter] - first for meter, first in self.first.items()}


def mint_is_the_export(evidence: Evidence) -> str:
    """Each frame mints to each owner what its accepted readings add to the export registers.

    The operator's corrections add to that or take from it; what is owed then, later mints pay.
    """
    marks = Marks()
    corrected_uwh = 0
    for entry in evidence.entries:
        corrected_uwh -= sum(m.amount for m in entry.movements if m.credit == _ISSUER)
        if isinstance(entry.outcome, CorrectOutcome):
            corrected_uwh += sum(m.amount for m in entry.movements if m.debit == _ISSUER)
            continue
        minted = [movement for movement in entry.movements if movement.debit == _ISSUER]
        due = _due(entry, marks, evidence.owners) if entry.kind == "frame" else []
        if minted != due:
            raise Violation(f"entry {entry.seq}: expected it to mint {due}, but it mints {minted}")
    told_uwh = evidence.statement.summary.minted_uwh
    total_uwh = sum(marks.minted_uwh.values()) + corrected_uwh
    if total_uwh != told_uwh:
        raise Violation(f"the readings give {total_uwh} µWh minted, the API said {told_uwh}")
    return f"{total_uwh} µWh for {len(marks.first)} meters"


def mint_is_no_more_than_the_truth(evidence: Evidence) -> str:
    """No register was read, and nothing minted, beyond what the simulated meter truly counted.

    A register may be shown rounded up by less than one of its steps.
    """
    terms = {meter.id: meter for meter in evidence.terms.meter}
    for entry in evidence.entries:
        if entry.kind != "frame":
            continue
        frame = entry.frame
        for index in accepted(entry):
            name = frame.meters[frame.meter_index[index]]
            truth, meter = evidence.truths.get(name), terms.get(name)
            if truth is None or meter is None:
                raise Violation(f"entry {entry.seq}: {name} is no simulated meter")
            for shown_uwh, true_uwh in (
                (frame.export_uwh[index], truth.export_uwh),
                (frame.import_uwh[index], truth.import_uwh),
            ):
                if shown_uwh > true_uwh + meter.resolution_uwh:
                    raise Violation(
                        f"entry {entry.seq}: {name} showed {shown_uwh} µWh, but counted {true_uwh}"
                    )
    return f"{len(evidence.truths)} meters"


def _due(entry: Entry, marks: Marks, owners: dict[str, str]) -> list[Movement]:
    """Return what a frame must mint: for each meter the newest accepted export less the mark
    before.
    """
    before = dict(marks.newest)
    frame = entry.frame
    order: list[str] = []
    for index in accepted(entry):
        meter = frame.meters[frame.meter_index[index]]
        marks.first.setdefault(meter, frame.export_uwh[index])
        before.setdefault(meter, frame.export_uwh[index])
        marks.newest[meter] = frame.export_uwh[index]
        if meter not in order:
            order.append(meter)
    return [
        Movement(
            asset="GRID",
            debit=_ISSUER,
            credit=owners[meter],
            amount=marks.newest[meter] - before[meter],
        )
        for meter in order
        if marks.newest[meter] > before[meter]
    ]
