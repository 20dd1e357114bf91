"""The versions of the sharing key and of participation factors that `community.toml` lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS
from gridtokenx_backend.core.model.local_time import TimeZone, local_text
from gridtokenx_backend.core.model.sharing_keys import HourShares, Participation, SharingKey
from gridtokenx_backend.core.model.sharing_price import CommunityPrice
from gridtokenx_backend.core.model.sharing_state import SharingRules, SharingState
from gridtokenx_backend.core.model.sharing_terms import KeyTerms
from gridtokenx_backend.core.model.terms import CommunityTerms

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment_ms(text: str) -> int:
    """Return the Unix ms of a time with its offset. Raises ValueError if the text is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"expected a time such as 2026-01-01T00:00:00+01:00, got {text[:40]!r}")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def rules_of(terms: CommunityTerms) -> SharingRules:
    """Return the sharing rules of terms, without the keys."""
    sharing = terms.sharing
    return SharingRules(
        mode=terms.community.mode,
        price=CommunityPrice(
            rule=sharing.price_rule,
            reference_ugrx=int(sharing.price_grx_per_kwh),
            floor_ugrx=int(sharing.floor_grx_per_kwh),
            ceiling_ugrx=int(sharing.ceiling_grx_per_kwh),
            tick_ugrx=int(terms.market.tick_grx_per_kwh),
        ),
        settle=sharing.settle,
    )


def keys_of(terms: CommunityTerms) -> list[SharingKey]:
    """Return the keys of terms that were checked; none in a community that has a market."""
    if terms.community.mode == "market":
        return []
    return [_key(terms, key) for key in terms.sharing.key]


def _key(terms: CommunityTerms, key: KeyTerms) -> SharingKey:
    mode = key.mode or terms.community.mode
    assert mode != "market"
    hours = [
        HourShares(hour=entry.hour, days=entry.days, shares_ppm=_shares(entry.shares_percent))
        for entry in sorted(key.hours, key=lambda entry: (entry.hour, entry.days))
    ]
    shares = _shares(key.shares_percent)
    return SharingKey(
        version=key.version,
        valid_from_ms=moment_ms(key.valid_from),
        mode=mode,
        shares_ppm=shares,
        hours=hours,
        table=key.of_table,
    )


def _shares(percents: Mapping[str, int]) -> dict[str, int]:
    return {meter: int(share) for meter, share in sorted(percents.items())}


def participation_of(terms: CommunityTerms) -> list[Participation]:
    """Return the participation factors of terms, by meter and time."""
    listed = [
        Participation(
            meter=entry.meter,
            valid_from_ms=moment_ms(entry.valid_from),
            factor_ppm=int(entry.percent),
        )
        for entry in terms.sharing.participation
    ]
    return sorted(listed, key=lambda entry: (entry.meter, entry.valid_from_ms))


def add(state: SharingState, terms: CommunityTerms) -> None:
    """Keep what is new of checked terms. What is known stays as it is."""
    known = {key.version for key in state.keys}
    state.keys += [key for key in keys_of(terms) if key.version not in known]
    agreed = {(entry.meter, entry.valid_from_ms) for entry in state.participation}
    state.participation += [
        entry
        for entry in participation_of(terms)
        if (entry.meter, entry.valid_from_ms) not in agreed
    ]
    state.participation.sort(key=lambda entry: (entry.meter, entry.valid_from_ms))


def conflicts(
    state: SharingState, terms: CommunityTerms, zone: TimeZone
) -> Iterator[tuple[str, str]]:
    """Yield (key path, what is expected) where terms would change what was agreed before.

    Nothing new can hold before the end of the newest interval that was allocated. `zone` is that in
    which people read times.
    """
    cleared_ms = max(state.stored_intervals, default=-INTERVAL_MS) + INTERVAL_MS
    known = {key.version: key for key in state.keys}
    for index, key in enumerate(keys_of(terms)):
        former = known.get(key.version)
        where = f"sharing.key[{index}]"
        if former is None and key.valid_from_ms < cleared_ms:
            yield f"{where}.valid_from", _too_early(cleared_ms, zone)
        elif former is not None and former != key:
            yield where, f"expected version {key.version} as it was: add a new version instead"
    factors = {(entry.meter, entry.valid_from_ms): entry for entry in state.participation}
    for index, listed in enumerate(terms.sharing.participation):
        entry = Participation(
            meter=listed.meter,
            valid_from_ms=moment_ms(listed.valid_from),
            factor_ppm=int(listed.percent),
        )
        agreed = factors.get((entry.meter, entry.valid_from_ms))
        where = f"sharing.participation[{index}]"
        if agreed is None and entry.valid_from_ms < cleared_ms:
            yield f"{where}.valid_from", _too_early(cleared_ms, zone)
        elif agreed is not None and agreed != entry:
            yield where, "expected it as it was: add one with a later valid_from instead"


def _too_early(cleared_ms: int, zone: TimeZone) -> str:
    return f"expected {local_text(zone, cleared_ms)} or later: intervals before it are cleared"
