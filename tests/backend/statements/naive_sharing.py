"""Computes what a key allocates again, slowly, with fractions, from the energies of a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor

KWH = 10**9


def split(total: int, weights: Sequence[int | Fraction]) -> list[int]:
    """Divide by largest remainders; of equal ones the first gets more."""
    whole = Fraction(sum(weights))
    if not whole:
        return [0] * len(weights)
    quotas = [Fraction(total) * weight / whole for weight in weights]
    parts = [floor(quota) for quota in quotas]
    by_rest = sorted(range(len(weights)), key=lambda at: (parts[at] - quotas[at], at))
    for at in by_rest[: total - sum(parts)]:
        parts[at] += 1
    return parts


def dynamic(made: int, used: Mapping[str, int]) -> dict[str, int]:
    names = sorted(used)
    return dict(
        zip(names, split(min(made, sum(used.values())), [used[n] for n in names]), strict=True)
    )


def static(made: int, used: Mapping[str, int], percents: Mapping[str, Fraction]) -> dict[str, int]:
    names = sorted(used)
    weights = [percents.get(name, Fraction(0)) for name in names]
    parts = split(made, [*weights, 100 - sum(weights)])
    return {name: min(part, used[name]) for name, part in zip(names, parts, strict=False)}


def cost(energy_uwh: int, price_grx: Fraction) -> Fraction:
    """Return the cost in GRX, rounded down to a whole µGRX."""
    return Fraction(floor(Fraction(energy_uwh, KWH) * price_grx * 10**6), 10**6)


def rounded(amount: Fraction) -> Fraction:
    """Return an amount rounded to the nearest µGRX, a half away from zero."""
    sign = -1 if amount < 0 else 1
    return Fraction(sign * floor(abs(amount) * 10**6 + Fraction(1, 2)), 10**6)
