"""Which meter is where: what each one says it is, beside the config."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from gridtokenx_edge.commissioning.check.finding import Finding, error, note, ok
from gridtokenx_edge.config.edge_config import MeterConfig
from gridtokenx_edge.meters.profile import Confidence


class IdentityAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a meter said when it was asked who it is.

    `says` is "" if it was not asked or told nothing. `strange` is why it was not read. `fits` names
    profiles under which it tells a serial number, as `profile (id)`.
    """

    bus: str
    meter: MeterConfig
    says: str = ""
    strange: str = ""
    fits: tuple[str, ...] = ()


def judge_identities(answers: Sequence[IdentityAnswer]) -> Iterator[Finding]:
    """Yield findings on meters that are others than the config says."""
    for answer in answers:
        if answer.says and answer.says != answer.meter.id:
            yield _another(answer, answers)
        elif answer.strange:
            yield _wrong_profile(answer)
        elif answer.says:
            yield ok("identity", answer.meter.id, "it says so itself")


def judge_profile(
    meter: MeterConfig, confidence: Confidence, shown: str, *, has_identity: bool
) -> Iterator[Finding]:
    """Yield a finding for what only a look at the display can tell.

    `shown` is what to compare with it.
    """
    if confidence == "contested":
        yield note(
            "contested",
            meter.id,
            f"sources disagree about profile {meter.profile}: {shown}",
            "compare with the display before anything is minted",
        )
    if not has_identity:
        yield note(
            "no_identity",
            meter.id,
            f"this model cannot say who it is: {shown}",
            "compare with the display that this is the meter with this id",
        )


def _another(answer: IdentityAnswer, answers: Sequence[IdentityAnswer]) -> Finding:
    meter = answer.meter
    seen = f"the meter at {_place(answer)} says it is {answer.says}"
    for other in answers:
        if other.meter.id != answer.says:
            continue
        if other.says == meter.id:
            do = f"the ids of {_place(answer)} and {_place(other)} are exchanged in the config"
            return error("ids_exchanged", meter.id, seen, f"{do}: change them over")
        do = f"the config has that id at {_place(other)}: correct ids or addresses"
        return error("another_meter", meter.id, seen, do)
    return error("another_meter", meter.id, seen, f"correct the id, or the address: {answer.says}?")


def _wrong_profile(answer: IdentityAnswer) -> Finding:
    seen = f"the meter at {_place(answer)} does not fit {answer.meter.profile}: {answer.strange}"
    if answer.fits:
        do = f"it answers by another profile: {', '.join(answer.fits)}"
    else:
        do = f"look what it is: gridtokenx-edge scan; profile {answer.meter.profile} is wrong"
    return error("wrong_profile", answer.meter.id, seen, do)


def _place(answer: IdentityAnswer) -> str:
    return f"{answer.bus}, address {answer.meter.address}"
