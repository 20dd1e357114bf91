"""Division of whole units without loss: the largest-remainder method (Hare, Niemeyer)."""

from __future__ import annotations

from collections.abc import Sequence


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """Return `total` units divided in proportion to `weights`; the parts add up to `total`.

    Each part is its exact quota rounded down; the units that are left go one each to the largest
    remainders, and among equal ones to the smallest index. So no part is a whole unit away from
    its quota, and none exceeds its weight unless the total does. All are zero if all weights are:
    then, and only then, `total` is not given out.
    """
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    parts, remainders = [], []
    for weight in weights:
        part, remainder = divmod(total * weight, whole)
        parts.append(part)
        remainders.append(remainder)
    left = total - sum(parts)
    if left:
        order = sorted(range(len(weights)), key=remainders.__getitem__, reverse=True)
        for index in order[:left]:  # sorting is stable: equal remainders stay in order
            parts[index] += 1
    return parts
