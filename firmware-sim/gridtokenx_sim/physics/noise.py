"""Repeatable noise without state: any point in time can be asked for, in any order."""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache

_MASK = (1 << 64) - 1


def seed_for(*parts: object) -> int:
    """Return 64 bits that depend on every part, such as (site seed, meter id)."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def mix(seed: int, index: int) -> int:
    """Return 64 well-mixed bits for a draw by its number (SplitMix64; Steele, Lea and
    Flood, 2014).
    """
    bits = (seed + (index + 1) * 0x9E3779B97F4A7C15) & _MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return bits ^ (bits >> 31)


@lru_cache(maxsize=256)  # neighbouring minutes draw the same knots
def unit(seed: int, index: int) -> float:
    """Return a number in [0, 1) for the `index`-th draw."""
    return mix(seed, index) / 2**64


def smooth(seed: int, position: float) -> float:
    """Return value noise in [0, 1): a random number at each whole position, eased in between.

    Continuous, with a continuous slope, so weather drawn from it never jumps.
    """
    knot = math.floor(position)
    share = position - knot
    ease = share * share * (3 - 2 * share)
    return unit(seed, knot) * (1 - ease) + unit(seed, knot + 1) * ease
