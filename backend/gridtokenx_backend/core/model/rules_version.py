"""The version of the rules by which the core decides.

A rule is everything that makes an outcome of an input: the oracle's checks, rounding, matching,
charges. Every journal entry names the version that made it, so that a later program applies an
entry again by the rules of its time. Whoever changes an outcome adds a version here, and the core
goes on deciding by the older rules where it is told their version.
"""

from __future__ import annotations

RULES_VERSION = 2
"""The version by which new inputs are decided. A program knows this one and all before it.

- 1: the rules of the program's versions 0.1 and 0.2.
- 2: energy is bounded over every window of time, and doubtful energy is held.
"""
