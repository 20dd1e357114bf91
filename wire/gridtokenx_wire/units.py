"""Integer units and their decimal spelling.

Energy is µWh: one base unit of GRID (9 decimals, 1 GRID = 1 kWh) is one µWh, so a mint neither
converts nor rounds. Money is µGRX (6 decimals). Inside the system amounts are integers; config
files and the public API spell them as decimal strings.
"""

from __future__ import annotations

import re
from functools import lru_cache

UWH_PER_KWH = 10**9
UGRX_PER_GRX = 10**6
KWH_DECIMALS = 9
GRX_DECIMALS = 6

MAX_AMOUNT = 2**63 - 1
"""The largest amount that may be stored (a signed 64-bit column)."""

_DECIMAL = re.compile(r"(-?)(\d{1,19})(?:\.(\d{1,18}))?", re.ASCII)


def parse_decimal(text: str, decimals: int) -> int:
    """Return `text` as an integer count of 10^-decimals: `parse_decimal("1.5", 6) == 1_500_000`.

    Raises ValueError for anything but plain digits with at most `decimals` of them behind the
    point, and for amounts beyond 64 bits. Nothing is rounded.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(f"expected a decimal number such as 1.5, got {text[:40]!r}")
    sign, whole, fraction = match.groups()
    fraction = fraction or ""
    if len(fraction) > decimals:
        raise ValueError(f"expected at most {decimals} decimals, got {text[:40]!r}")
    value = int(whole + fraction.ljust(decimals, "0"))
    if value > MAX_AMOUNT:
        raise ValueError(f"expected an amount below 2^63 base units, got {text[:40]!r}")
    return -value if sign else value


def format_decimal(value: int, decimals: int) -> str:
    """Return the exact inverse of `parse_decimal`, with all `decimals` written out."""
    if value < 0:
        return f"-{format_decimal(-value, decimals)}"
    if not decimals:
        return str(value)
    digits = str(value).zfill(decimals + 1)
    return f"{digits[:-decimals]}.{digits[-decimals:]}"


def parse_kwh(text: str) -> int:
    """Return kWh or GRID as µWh. Raises ValueError."""
    return parse_decimal(text, KWH_DECIMALS)


def format_kwh(value_uwh: int) -> str:
    """Return µWh as kWh or GRID, with nine decimals."""
    return format_decimal(value_uwh, KWH_DECIMALS)


@lru_cache(maxsize=1024)  # prices repeat
def parse_grx(text: str) -> int:
    """Return GRX, or GRX for each kWh, as µGRX. Raises ValueError."""
    return parse_decimal(text, GRX_DECIMALS)


def format_grx(value_ugrx: int) -> str:
    """Return µGRX as GRX, with six decimals."""
    return format_decimal(value_ugrx, GRX_DECIMALS)


def energy_limit_uwh(power_w: int, elapsed_ms: int) -> int:
    """Return the most energy that `power_w` can move in `elapsed_ms`, rounded up to the µWh.

    1 W for 1 ms is 1/3600 mWh, that is 10/36 µWh.
    """
    return -(-power_w * elapsed_ms * 10 // 36)
