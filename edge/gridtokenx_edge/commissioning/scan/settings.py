"""How a serial line may be set, and in which order a scan tries the settings.

Settings of the factory come first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Literal, cast

import msgspec

from gridtokenx_edge.meters.profile import Profile

Parity = Literal["N", "E", "O"]
StopBits = Literal[1, 2]

BAUD_RATES = (9600, 19200, 38400, 2400, 4800, 115200, 57600, 1200)
PARITIES: tuple[Parity, ...] = ("N", "E", "O")
# Modbus over Serial Line V1.02, 2.2: these are the addresses of devices.
ADDRESSES = range(1, 248)
# On TCP, units 0 and 255 are the device at the other end itself (Messaging Guide V1.0b, 4.4.1.2).
UNITS = (*ADDRESSES, 0, 255)
_FIRST_ADDRESSES = range(1, 11)


class LineSettings(msgspec.Struct, frozen=True):
    """What both ends of a serial line must agree on."""

    baud: int
    parity: Parity = "N"
    stop_bits: StopBits = 1

    def __str__(self) -> str:
        return f"{self.baud} 8{self.parity}{self.stop_bits}"

    @property
    def character_s(self) -> float:
        """How long a character takes: start bit, eight bits of data, parity bit, stop bits."""
        return (9 + (self.parity != "N") + self.stop_bits) / self.baud


def factory_settings(profiles: Iterable[Profile]) -> tuple[LineSettings, ...]:
    """Return how the models leave their factories, the most common settings first."""
    serials = [profile.serial for profile in profiles if "rtu" in profile.transports]
    counts = Counter(LineSettings(of.baud, of.parity, of.stop_bits) for of in serials)
    return tuple(settings for settings, _ in counts.most_common())


def first_addresses(profiles: Iterable[Profile]) -> tuple[int, ...]:
    """Return where meters mostly are: the lowest addresses, and those set by a factory."""
    factory = {profile.serial.address for profile in profiles}
    return tuple(sorted((factory | set(_FIRST_ADDRESSES)) & set(ADDRESSES)))


def chosen_settings(
    bauds: Sequence[int], parities: Sequence[str], stop_bits: int
) -> tuple[LineSettings, ...]:
    """Return every rate with every parity, in their order."""
    return tuple(
        LineSettings(baud, cast(Parity, parity), cast(StopBits, stop_bits))
        for baud, parity in product(bauds, parities)
    )


def parse_addresses(text: str, allowed: Iterable[int]) -> tuple[int, ...]:
    """Return each address of `1-20,33` once, in their order. Raises ValueError."""
    known = set(allowed)
    addresses: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.strip().isdecimal()):
            raise ValueError(f"expected addresses such as 1-20,33, got {text!r}")
        span = range(int(first), min(int(last), 256) + 1) if dash else [int(first)]
        if not span:
            raise ValueError(f"expected addresses, the smaller one first, got {part.strip()!r}")
        if any(address not in known for address in span):
            raise ValueError(f"expected addresses from {min(known)} to {max(known)}, got {part!r}")
        addresses.update(dict.fromkeys(span))
    return tuple(addresses)


def parse_bauds(text: str) -> tuple[int, ...]:
    """Return the rates of `9600,19200`. Raises ValueError."""
    bauds = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if not all(baud in BAUD_RATES for baud in bauds):
        rates = ", ".join(map(str, sorted(BAUD_RATES)))
        raise ValueError(f"expected baud rates of {rates}, got {text!r}")
    return tuple(dict.fromkeys(bauds))


def parse_parities(text: str) -> tuple[Parity, ...]:
    """Return the parities of `N,E`. Raises ValueError."""
    parities = [part.strip().upper() for part in text.split(",")]
    if not all(parity in PARITIES for parity in parities):
        raise ValueError(f"expected parities of N, E, O, got {text!r}")
    return cast(tuple[Parity, ...], tuple(dict.fromkeys(parities)))
