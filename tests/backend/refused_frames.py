"""A gateway that sends frames of which some readings, all or none are refused, on purpose."""

from __future__ import annotations

from typing import Literal, get_args

from tests.backend.village import (
    HOUR_MS,
    KWH,
    NO_NTP,
    NTP,
    Gateway,
    Village,
    frame_input,
    meter_terms,
    reading,
)

from gridtokenx_backend.core.messages.inputs import FrameInput
from gridtokenx_wire.frame import Gap, build_frame, frame_hash, seal_frame
from gridtokenx_wire.reading import Reading

MANY = 200
"""So many readings make a frame that is kept by its hash if all are refused."""
FEW = 5

RefusedKind = Literal[
    "unbound",
    "foreign",
    "future",
    "stale",
    "repeated",
    "frequent",
    "jump",
    "rollback",
    "power",
    "unsynchronised",
    "mixed",
]
Kind = RefusedKind | Literal["partly", "good"]
REFUSED: tuple[RefusedKind, ...] = get_args(RefusedKind)
KINDS: tuple[Kind, ...] = (*REFUSED, "partly", "good")


def village_of_two_meters() -> Village:
    """Like the village, but the gateway in the north has two meters."""
    village = Village()
    meters = village.document["meter"]
    village.configure(meter=[*meters, meter_terms("ABB-3", village.north, village.anna)])
    return village


class Sender:
    """The gateway in the north, which knows what its meters showed when it was believed last."""

    def __init__(self, village: Village) -> None:
        self.gateway = village.north
        self._village = village
        self._last_ms = village.at_ms - 2 * HOUR_MS
        self._export_uwh = 50 * KWH

    def good(self, meter: str = "ABB-1") -> Reading:
        """The next reading that is accepted, unless a jump was refused before."""
        self._last_ms = self._village.at_ms
        self._export_uwh += 1000
        return reading(meter, self._last_ms, self._export_uwh)

    def readings(self, kind: Kind, count: int, step: int = 0) -> list[Reading]:
        """Readings of a kind. `step` makes those that are refused for their registers differ."""
        now_ms = self._village.at_ms
        match kind:
            case "good":
                return [self.good()]
            case "partly":
                return [*self.readings("unbound", count - 1), self.good()]
            case "mixed":
                parts = [self.readings(each, count, step) for each in ("unbound", "jump", "future")]
                return [each for group in zip(*parts, strict=True) for each in group][:count]
        made = {
            "unbound": ("ABB-9", now_ms, 0, 0),
            "foreign": ("ABB-2", now_ms, 0, 0),
            "future": ("ABB-1", now_ms + HOUR_MS, 0, 0),
            "stale": ("ABB-1", now_ms - 200 * HOUR_MS, 0, 0),
            "repeated": ("ABB-1", self._last_ms, self._export_uwh, 0),
            "frequent": ("ABB-1", self._last_ms + 1, self._export_uwh, 0),
            "jump": ("ABB-1", now_ms, self._export_uwh + (1000 + step) * KWH, 0),
            "rollback": ("ABB-3", now_ms, step, 0),
            "power": ("ABB-1", now_ms, self._export_uwh, 100_000),
            "unsynchronised": ("ABB-1", now_ms, self._export_uwh, 0),
        }[kind]
        meter, time_ms, export_uwh, power_w = made
        return [
            reading(meter, time_ms, export_uwh + index % 3, power_w=power_w)
            for index in range(count)
        ]

    def frame(self, kind: Kind, count: int = MANY, step: int = 0) -> FrameInput:
        """The next frame of the gateway's chain."""
        clock = NO_NTP if kind == "unsynchronised" else NTP
        return frame_input(self.gateway.next(self.readings(kind, count, step), clock))

    def first(self) -> FrameInput:
        """A frame with the first reading of each of its meters, which are accepted."""
        both = [self.good("ABB-1"), self.good("ABB-3")]
        return frame_input(self.gateway.next(both))

    def summary(self, kind: Kind, count: int = MANY, step: int = 0) -> FrameInput:
        """A summary that stands for two frames, which are never sent."""
        gateway, clock = self.gateway, NO_NTP if kind == "unsynchronised" else NTP
        readings = self.readings(kind, count, step)
        first_seq, prev = gateway.seq, gateway.prev
        gateway.next([reading("ABB-1", self._last_ms)])
        gateway.next(readings, clock)
        gap = Gap(
            first_seq=first_seq,
            head=gateway.prev,
            meter_index=(0,),
            count=(3,),
            first_ms=(self._last_ms,),
            last_ms=(self._last_ms,),
        )
        message = seal_frame(
            build_frame(gateway.device, gateway.chain, gateway.seq - 1, prev, clock, readings, gap),
            gateway.key,
        )
        gateway.sent[-2:] = [message]
        return frame_input(message)


def other_frame(gateway: Gateway, seq: int) -> FrameInput:
    """Another frame with the number of one that the gateway has sent, as from a copy of its key."""
    forged = gateway.seal([reading("ABB-1", 0, seq)], seq=seq, prev=bytes(32))
    assert frame_hash(forged) not in map(frame_hash, gateway.sent)
    return frame_input(forged)
