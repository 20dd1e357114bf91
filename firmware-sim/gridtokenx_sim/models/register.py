"""One value in a meter's address space, and how it becomes 16-bit words."""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import msgspec

from gridtokenx_sim.models.snapshot import Snapshot

Kind = Literal[
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "float32",
    "ascii",
    "datetime",
]

_INTEGERS: dict[str, tuple[int, bool]] = {
    "uint16": (1, False),
    "int16": (1, True),
    "uint32": (2, False),
    "int32": (2, True),
    "uint64": (4, False),
    "int64": (4, True),
}


class Register(msgspec.Struct, frozen=True, kw_only=True):
    """A register at a zero-based address: `raw = quantity(snapshot) / per_count`.

    `quantity` answers an integer in the simulator's base unit (µWh, mW, mV, mA, mHz) or a text;
    `per_count` is how many base units one raw count stands for. A `counter` is cut off, other
    integers are rounded to the nearest count; a float shows whole `step`s. `invalid` is the raw
    value that means "not available". `alone`: only a request for exactly this register sees it.
    """

    address: int
    kind: Kind
    quantity: Callable[[Snapshot], int | str | None]
    per_count: int = 1
    lsw_first: bool = False
    invalid: int | None = None
    counter: bool = False
    step: int = 1
    alone: bool = False
    length: int = 0  # of a text, in registers

    @property
    def words(self) -> int:
        if self.kind == "ascii":
            return self.length
        if self.kind == "datetime":
            return 4
        return 2 if self.kind == "float32" else _INTEGERS[self.kind][0]


def encode(register: Register, snapshot: Snapshot) -> list[int] | None:
    """Return the register's 16-bit words, or None where this meter has no such value."""
    value = register.quantity(snapshot)
    if isinstance(value, str):
        return _words(value.encode("ascii").ljust(2 * register.length, b"\0"))
    if value is None:
        if register.invalid is None:
            return None
        words = _words(register.invalid.to_bytes(2 * register.words, "big"))
    elif register.kind == "datetime":
        words = _datetime_words(value)
    elif register.kind == "float32":
        words = _words(
            struct.pack(">f", value // register.step * register.step / register.per_count)
        )
    else:
        words = _integer_words(register, value)
    return words[::-1] if register.lsw_first else words


def _integer_words(register: Register, value: int) -> list[int]:
    """Return the words of an integer.

    One out of range sticks at the end of the range, as the displays of such meters do.
    """
    count, signed = _INTEGERS[register.kind]
    half = 0 if register.counter else register.per_count // 2
    raw = (value + half) // register.per_count
    bits = 16 * count
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    return _words(max(low, min(high, raw)).to_bytes(2 * count, "big", signed=signed))


def _datetime_words(time_ms: int) -> list[int]:
    """Return the words of a time.

    IEC 870-5-4 as Schneider has it: years from 2000; month and day; hour and minute; and the
    milliseconds of the minute. The day of the week and summer time are left out.
    """
    at = datetime.fromtimestamp(time_ms // 1000, UTC)
    minute = at.hour << 8 | at.minute
    return [at.year - 2000, at.month << 8 | at.day, minute, time_ms % 60_000]


def _words(data: bytes) -> list[int]:
    return list(struct.unpack(f">{len(data) // 2}H", data))
