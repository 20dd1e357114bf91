"""How good the machine's clock is, as its time service tells the kernel: adjtimex(2)."""

from __future__ import annotations

import ctypes

import msgspec


class _Timex(ctypes.Structure):
    """The beginning of struct timex. The rest is only room for what the kernel writes."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_ubyte * 256),
    )


class KernelClock(msgspec.Struct, frozen=True, kw_only=True):
    """The kernel's bounds of its clock.

    `drift_ppm` is how far the crystal is off, in parts in a million, which the kernel corrects.
    """

    max_error_ms: float
    drift_ppm: float


def read_kernel_clock() -> KernelClock | None:
    """Return what the kernel tells, or None if it may not be asked.

    It may not with systemd's `ProtectClock=`.
    """
    timex = _Timex()  # with modes 0 it only reads
    if ctypes.CDLL(None).adjtimex(ctypes.byref(timex)) < 0:
        return None
    # maxerror is in µs, freq in 2^-16 ppm.
    return KernelClock(max_error_ms=timex.maxerror / 1000, drift_ppm=round(timex.freq / 65_536, 3))
