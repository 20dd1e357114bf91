"""How good the machine's clock is, as the kernel knows from whoever keeps it: adjtimex(2)."""

from __future__ import annotations

import ctypes

import msgspec


class _Timex(ctypes.Structure):
    """The beginning of struct timex; the rest is only room for what the kernel writes."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_ubyte * 256),
    )


class KernelClock(msgspec.Struct, frozen=True, kw_only=True):
    """`drift_ppm`: parts in a million that the crystal is off, by which the kernel corrects it."""

    max_error_ms: float
    drift_ppm: float


def read_kernel_clock() -> KernelClock | None:
    """None where the kernel may not be asked, as with systemd's `ProtectClock=`."""
    timex = _Timex()  # modes 0: only reads
    if ctypes.CDLL(None).adjtimex(ctypes.byref(timex)) < 0:
        return None
    # maxerror is in µs, freq in 2^-16 ppm.
    return KernelClock(max_error_ms=timex.maxerror / 1000, drift_ppm=round(timex.freq / 65_536, 3))
