"""The faults of a meter, its wire or its bus, and how long each lasts.

A fault lasts from `from_s` to `until_s`, in seconds of community time since the site's start;
without them it lasts from the start (or, given to a running meter, from then) and for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Generic, TypeVar

import msgspec

from gridtokenx_sim.config.amounts import Kwh

Seconds = Annotated[int, msgspec.Meta(ge=0)]


class _Window(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"
):
    from_s: Seconds | None = None
    until_s: Seconds | None = None

    def __post_init__(self) -> None:
        if self.until_s is not None and self.until_s <= (self.from_s or 0):
            raise ValueError("expected until_s after from_s")


class Silence(_Window, frozen=True, tag="silence"):
    """The meter does not answer."""


class Crc(_Window, frozen=True, tag="crc"):
    """A bit is flipped in every `every`-th reply on its way."""

    every: Annotated[int, msgspec.Meta(ge=1)] = 1


class Drop(_Window, frozen=True, tag="drop"):
    """A byte is lost from every `every`-th reply on its way."""

    every: Annotated[int, msgspec.Meta(ge=1)] = 1


class ExceptionReply(_Window, frozen=True, tag="exception"):
    """The meter answers every request with this Modbus exception code."""

    code: Annotated[int, msgspec.Meta(ge=1, le=255)] = 4


class Slow(_Window, frozen=True, tag="slow"):
    """Every reply comes `delay_ms` (real time) late."""

    delay_ms: Annotated[int, msgspec.Meta(ge=1)] = 1000


class Frozen(_Window, frozen=True, tag="frozen"):
    """All registers stand still; afterwards they show what was counted meanwhile."""


class Rollback(_Window, frozen=True, tag="rollback", kw_only=True):
    """The counters stand `kwh` lower than what was counted (never below zero)."""

    kwh: Kwh


class ClockOff(_Window, frozen=True, tag="clock_off", kw_only=True):
    """The meter's time base is `seconds` ahead (or behind, if negative), and its counters too."""

    seconds: int


class Undefined(_Window, frozen=True, tag="undefined"):
    """Energy and power read as the model's raw value for "not available"."""


class Busy(_Window, frozen=True, tag="busy"):
    """A DLMS meter puts each frame off `times` times (RNR) before it takes it."""

    times: Annotated[int, msgspec.Meta(ge=1)] = 3


class Refused(_Window, frozen=True, tag="refused"):
    """A DLMS meter refuses every association, for the time being."""


class CounterReset(_Window, frozen=True, tag="counter_reset"):
    """A DLMS meter's invocation counters fall back to zero when this begins."""


class ClockJump(_Window, frozen=True, tag="clock_jump", kw_only=True):
    """A DLMS meter's own clock is `seconds` further ahead (or back, if negative)."""

    seconds: int


class BlocksInterrupted(_Window, frozen=True, tag="blocks_interrupted"):
    """A DLMS meter drops the rest of every long value after its first block."""


class Unplugged(_Window, frozen=True, tag="unplugged"):
    """The whole bus is pulled out: the serial adapter vanishes, a TCP gateway refuses."""


MeterFault = Silence | Crc | Drop | ExceptionReply | Slow | Frozen | Rollback | ClockOff | Undefined
DlmsFault = (
    Silence
    | Crc
    | Drop
    | Slow
    | Frozen
    | Rollback
    | Busy
    | Refused
    | CounterReset
    | ClockJump
    | BlocksInterrupted
)
AnyMeterFault = MeterFault | DlmsFault
BusFault = Unplugged
WIRE_FAULTS = (Crc, Drop)


def kind_of(fault: AnyMeterFault | BusFault) -> str:
    """Return the fault's `kind` in a config file."""
    return str(fault.__struct_config__.tag)


Fault = TypeVar("Fault", bound=_Window)


class Scheduled(msgspec.Struct, Generic[Fault], frozen=True):
    """A fault with its window in milliseconds since the site's start."""

    fault: Fault
    from_ms: int
    until_ms: int | None

    def holds(self, elapsed_ms: int) -> bool:
        return self.from_ms <= elapsed_ms and (self.until_ms is None or elapsed_ms < self.until_ms)


def schedule(fault: Fault, default_from_ms: int = 0) -> Scheduled[Fault]:
    return Scheduled(
        fault,
        default_from_ms if fault.from_s is None else fault.from_s * 1000,
        None if fault.until_s is None else fault.until_s * 1000,
    )


def seen_ms(active: Iterable[Scheduled[AnyMeterFault]], elapsed_ms: int) -> int:
    """Return which moment of the true registers a meter with these faults shows at `elapsed_ms`."""
    standing = elapsed_ms
    shift_ms = 0
    for scheduled in active:
        match scheduled.fault:
            case Frozen():
                standing = min(standing, scheduled.from_ms)
            case ClockOff(seconds=seconds):
                shift_ms += seconds * 1000
    return standing + shift_ms


def lost_uwh(active: Iterable[Scheduled[AnyMeterFault]]) -> int:
    """Return how far the counters of a meter with these faults have jumped back."""
    return sum(scheduled.fault.kwh for scheduled in active if isinstance(scheduled.fault, Rollback))


def corrupt(data: bytes, fault: AnyMeterFault) -> bytes:
    """Return a reply as it leaves a bad wire: one bit in its middle flipped, or that byte lost."""
    middle = len(data) // 2
    match fault:
        case Crc():
            return data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :]
        case Drop():
            return data[:middle] + data[middle + 1 :]
    return data
