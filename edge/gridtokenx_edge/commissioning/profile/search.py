"""Which registers, read in which way, agree with the display.

This module is pure. The same number can be read in several ways while it is small: as 16, 32 or 64
bits, and with either word first if the other word is zero. Those that differ in width alone make
one choice. Those that could count apart later are different choices, and the installer decides.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import msgspec

from gridtokenx_edge.commissioning.profile.displayed_values import DisplayedValue, Quantity
from gridtokenx_edge.meters.point import WORDS, Point, RegisterType, WordOrder, join_words

Words = Mapping[tuple[int, int], int]
"""What was read: the register by function code and address."""

_SCALES = ("1", "0.1", "0.01", "0.001", "0.0001", "10", "100", "1000")
_UNSIGNED: tuple[RegisterType, ...] = ("float32", "uint32", "uint64", "uint16")
_SIGNED: tuple[RegisterType, ...] = ("float32", "int32", "int16")
_ORDERS: tuple[WordOrder, ...] = ("msw_first", "lsw_first")


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """A way to read a quantity that agrees with the display."""

    name: str
    fc: Literal[3, 4]
    address: int
    type: RegisterType
    word_order: WordOrder
    scale: str
    value: float

    @property
    def low_word(self) -> int:
        """Where the least significant register stands."""
        return self.address + (WORDS[self.type] - 1 if self.word_order == "msw_first" else 0)

    def point(self, quantity: Quantity) -> Point:
        """Return the point of a profile."""
        return Point(
            fc=self.fc,
            address=self.address,
            type=self.type,
            unit=quantity.unit,
            word_order=self.word_order,
            scale=self.scale,
            resolution=quantity.resolution if self.type == "float32" else "",
        )


def find(words: Words, shown: DisplayedValue) -> list[Fit]:
    """Return all ways to read the value that is shown, the likeliest one first."""
    types = _SIGNED if shown.quantity.is_signed else _UNSIGNED
    low, high = shown.span
    fits = []
    for kind in types:
        for order in _ORDERS if WORDS[kind] > 1 else _ORDERS[:1]:
            for (fc, address), number in _numbers(words, kind, order):
                for scale in _SCALES:
                    step = Fraction(Decimal(scale))
                    value = number * step
                    # A register may count in coarser steps than the display.
                    coarser = step if kind != "float32" and step <= 1 else 0
                    if low - coarser <= value <= high:
                        fits.append(_fit(shown.name, fc, address, kind, order, scale, value))
    return _floats_first(fits, words)


def _floats_first(fits: list[Fit], words: Words) -> list[Fit]:
    """Keep floats alone if one agrees, and return the likeliest ones first.

    A float's exponent hardly agrees by chance, but small integers often do. Of two with the same
    exponent, the likelier one has an other word that is not just a zero beside it.
    """
    floats = [fit for fit in fits if fit.type == "float32"]
    full = {_high_word(fit) for fit in floats if words[fit.fc, fit.low_word]}
    return [
        fit for fit in floats if words[fit.fc, fit.low_word] or _high_word(fit) not in full
    ] or fits


def _high_word(fit: Fit) -> tuple[int, int, str]:
    return fit.fc, 2 * fit.address + 1 - fit.low_word, fit.scale


def without(fits: Iterable[Fit], taken: Iterable[Fit]) -> list[Fit]:
    """Return the fits that share no register with a fit that is sure for another quantity."""
    spent = {place for fit in taken for place in _places(fit)}
    return [fit for fit in fits if spent.isdisjoint(_places(fit))]


def _places(fit: Fit) -> set[int]:
    return set(range(fit.address, fit.address + WORDS[fit.type]))


def still_fits(fits: Iterable[Fit], words: Words, shown: DisplayedValue) -> list[Fit]:
    """Return the fits that agree with the display a second time."""
    again = {_way(fit) for fit in find(words, shown)}
    return [fit for fit in fits if _way(fit) in again]


def choices(fits: Sequence[Fit]) -> list[list[Fit]]:
    """Return the fits that mean different things later, in groups.

    A group differs in width alone, or in the function code: a meter that says the same to both has
    one map for both. A single register belongs to both word orders. It is a choice of its own only
    if there is no wider reading.
    """
    groups: dict[tuple[int, str, WordOrder, bool], list[Fit]] = {}
    for fit in fits:
        if WORDS[fit.type] > 1:
            is_float = fit.type == "float32"
            key = (fit.low_word, fit.scale, fit.word_order, is_float)
            groups.setdefault(key, []).append(fit)
    alone: dict[tuple[int, str], list[Fit]] = {}
    for fit in fits:
        if WORDS[fit.type] > 1:
            continue
        both = [(fit.low_word, fit.scale, order, False) for order in _ORDERS]
        wider = [groups[key] for key in both if key in groups]
        for group in wider:
            group.append(fit)
        if not wider:
            alone.setdefault((fit.low_word, fit.scale), []).append(fit)
    return [*groups.values(), *alone.values()]


def with_order(fits: Iterable[Fit], order: str) -> list[Fit]:
    """Return the fits of a word order ("" is any), and single registers."""
    return [fit for fit in fits if not order or WORDS[fit.type] == 1 or fit.word_order == order]


def find_serial(words: Words, serial: str) -> tuple[int, int, str, int] | None:
    """Return function code, address, type and count of the registers with the serial number."""
    if serial.isdecimal() and 0 < int(serial) < 1 << 32:
        for (fc, address), number in _numbers(words, "uint32", "msw_first"):
            if number == int(serial):
                return fc, address, "uint32", 2
    data = serial.encode("ascii", "replace")
    data += b"\0" * (len(data) % 2)
    wanted = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
    for fc, address in sorted(words):
        held = [words.get((fc, address + offset)) for offset in range(len(wanted))]
        if held == wanted:
            return fc, address, "ascii", len(wanted)
    return None


def _numbers(
    words: Words, kind: RegisterType, order: WordOrder
) -> Iterator[tuple[tuple[int, int], Fraction]]:
    """Yield every number other than zero that stands in the registers."""
    count = WORDS[kind]
    for fc, address in sorted(words):
        held = [words.get((fc, address + offset)) for offset in range(count)]
        known = [word for word in held if word is not None]
        if len(known) < count or not any(known):
            continue
        if (number := _number(join_words(known, order), kind)) is not None:
            yield (fc, address), number


def _number(raw: int, kind: RegisterType) -> Fraction | None:
    if kind == "float32":
        value = struct.unpack(">f", raw.to_bytes(4, "big"))[0]
        # No quantity of a meter is so small or so large. Integers that are taken for floats are.
        return Fraction(value) if 1e-6 < abs(value) < 1e12 else None
    bits = 16 * WORDS[kind]
    if kind.startswith("int") and raw >> bits - 1:
        raw -= 1 << bits
    return Fraction(raw)


def _fit(
    name: str,
    fc: int,
    address: int,
    kind: RegisterType,
    order: WordOrder,
    scale: str,
    value: Fraction,
) -> Fit:
    function: Literal[3, 4] = 3 if fc == 3 else 4
    return Fit(
        name=name,
        fc=function,
        address=address,
        type=kind,
        word_order=order,
        scale=scale,
        value=float(value),
    )


def _way(fit: Fit) -> tuple[object, ...]:
    return fit.fc, fit.address, fit.type, fit.word_order, fit.scale
