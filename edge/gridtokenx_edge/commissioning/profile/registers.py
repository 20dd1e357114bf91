"""Registers as an installer types them: `import=3:0x0034:uint32:lsw_first:0.1`.

This module is pure.
"""

from __future__ import annotations

from typing import get_args

from gridtokenx_edge.commissioning.profile.displayed_values import QUANTITIES
from gridtokenx_edge.commissioning.profile.search import Fit
from gridtokenx_edge.meters.point import Point, RegisterType, WordOrder

FORM = "NAME=FC:ADDRESS:TYPE[:WORD_ORDER[:SCALE]]"
_MOST_REGISTERS = 4096


def parse_register(text: str) -> tuple[str, Point]:
    """Return the point's name in a profile, and the point. Raises ValueError."""
    name, _, rest = text.partition("=")
    fc, address, kind, order, scale, *more = [*rest.split(":"), "", "", "", ""][:6]
    if name not in QUANTITIES or fc not in {"3", "4"} or any(more):
        raise ValueError(f"expected {FORM}, NAME one of {', '.join(QUANTITIES)}, got {text!r}")
    if kind not in get_args(RegisterType):
        raise ValueError(f"expected a type of {', '.join(get_args(RegisterType))}, got {kind!r}")
    if order not in ("", *get_args(WordOrder)):
        raise ValueError(f"expected {' or '.join(get_args(WordOrder))}, got {order!r}")
    quantity = QUANTITIES[name]
    return quantity.point, Point(
        fc=3 if fc == "3" else 4,
        address=parse_address(address),
        type=kind,  # type: ignore[arg-type] # looked up above
        unit=quantity.unit,
        word_order="lsw_first" if order == "lsw_first" else "msw_first",
        scale=scale or "1",
        resolution=quantity.resolution if kind == "float32" else "",
    )


def register_text(fit: Fit) -> str:
    """Return the text for a fit: the inverse of `parse_register`."""
    return f"{fit.name}={fit.fc}:{fit.address:#06x}:{fit.type}:{fit.word_order}:{fit.scale}"


def parse_ranges(text: str) -> list[range]:
    """Return the ranges of `0-511,0x5000-0x50ff`. Raises ValueError."""
    ranges = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        low = parse_address(first)
        ranges.append(range(low, (parse_address(last) if dash else low) + 1))
    if not all(ranges) or sum(map(len, ranges)) > _MOST_REGISTERS:
        raise ValueError(f"expected up to {_MOST_REGISTERS} registers as 0-511, got {text!r}")
    return ranges


def parse_address(text: str) -> int:
    """Return a register's address, zero-based, decimal or 0x. Raises ValueError."""
    try:
        address = int(text.strip(), 0)
    except ValueError:
        address = -1
    if not 0 <= address <= 0xFFFF:
        raise ValueError(f"expected a register's address from 0 to 0xffff, got {text!r}")
    return address
