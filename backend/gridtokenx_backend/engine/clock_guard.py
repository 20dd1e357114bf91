"""Watches the server's clock, so that no wrong time gets into the journal.

It compares the clock with the machine's elapsed time whenever an input is applied. A scaled or
stepped clock, as a demo or a test has it, is moved on purpose and has no guard.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gridtokenx_backend.core.model.local_time import TimeZone, local_text
from gridtokenx_backend.engine.clock_judgement import (
    STEP_MS,
    ClockEvidence,
    ClockFault,
    gateways_confirm,
    judge_clock,
)
from gridtokenx_backend.engine.gateway_times import GatewayTimes

LOOK_AGAIN_MS = 1000
"""How often the kernel and the gateways' times are looked at while the clock makes no step."""


class TimeSources(msgspec.Struct, frozen=True, kw_only=True):
    """Where the guard takes times from: the clock, the elapsed time, the kernel's judgement.

    The elapsed time goes on while the machine is suspended and is moved by nobody. The kernel says
    whether a time service keeps the clock right; None means that it may not be asked.
    """

    wall_ms: Callable[[], int]
    elapsed_ms: Callable[[], int]
    is_synchronised: Callable[[], bool | None]


class ClockDoubt(msgspec.Struct, frozen=True):
    """Why the clock is not believed, and what the operator is told of it."""

    fault: ClockFault
    detail: str


class ClockGuard:
    """Says at any moment whether the server's clock can be believed.

    `doubt` is the newest judgement. `gateways` takes the times that gateways sign. `time_zone` is
    that in which the operator reads times.
    """

    def __init__(self, sources: TimeSources) -> None:
        self.doubt: ClockDoubt | None = None
        self.gateways = GatewayTimes()
        self.time_zone = TimeZone()
        self._sources = sources
        self._trusted_ms: int | None = None
        self._is_confirmed = False
        self._is_vouched_for = False
        self._again_ms = 0

    @property
    def is_certain(self) -> bool:
        """Whether a time service, several gateways or the operator vouch for the clock."""
        return self.doubt is None and (self._is_confirmed or self._is_vouched_for)

    def note_frame(self, device: bytes, time_ms: int) -> None:
        """Note the newest time in a verified frame of a gateway whose clock is synchronised."""
        self.gateways.note(device, time_ms, self._sources.elapsed_ms())

    def read_ms(self, newest_ms: int) -> int | None:
        """Return the clock's time if it can be believed, else None.

        `newest_ms` is the time of the journal's newest entry; it is 0 without one.
        """
        now_ms, elapsed_ms = self._sources.wall_ms(), self._sources.elapsed_ms()
        offset_ms = now_ms - elapsed_ms
        is_as_before = (
            self.doubt is None
            and self._trusted_ms is not None
            and abs(offset_ms - self._trusted_ms) <= STEP_MS
            and now_ms >= newest_ms
        )
        if not is_as_before or elapsed_ms >= self._again_ms:
            self._again_ms = elapsed_ms + LOOK_AGAIN_MS
            self._judge(offset_ms, elapsed_ms, newest_ms)
        return now_ms if self.doubt is None else None

    def confirm(self) -> None:
        """Believe the clock as it is now, because the operator says so."""
        self._trusted_ms = self._sources.wall_ms() - self._sources.elapsed_ms()
        self._is_confirmed = True
        self.doubt = None

    def now_ms(self) -> int:
        """Return the clock's time, whether it can be believed or not."""
        return self._sources.wall_ms()

    def is_synchronised(self) -> bool | None:
        """Return what the kernel says of the clock; None if it may not be asked."""
        return self._sources.is_synchronised()

    def gateway_times(self) -> dict[bytes, int]:
        """Return what time it is now according to each gateway that was heard lately."""
        elapsed_ms = self._sources.elapsed_ms()
        fresh = self.gateways.fresh(elapsed_ms)
        return {device: known.offset_ms + elapsed_ms for device, known in fresh.items()}

    def _judge(self, offset_ms: int, elapsed_ms: int, newest_ms: int) -> None:
        trusted_ms = self._trusted_ms
        is_step = trusted_ms is not None and abs(offset_ms - trusted_ms) > STEP_MS
        gateways = self.gateways.fresh(elapsed_ms).values()
        evidence = ClockEvidence(
            offset_ms=offset_ms,
            trusted_ms=trusted_ms,
            newest_ms=newest_ms - elapsed_ms if newest_ms else None,
            gateways=[known.offset_ms for known in gateways],
            is_synchronised=bool(self._sources.is_synchronised()),
            is_confirmed=self._is_confirmed and not is_step,
        )
        self._is_vouched_for = evidence.is_synchronised or gateways_confirm(evidence)
        fault = judge_clock(evidence)
        if fault is not None:
            self.doubt = ClockDoubt(fault, _explain(fault, evidence, elapsed_ms, self.time_zone))
            return
        self.doubt = None
        if trusted_ms is None or is_step or evidence.is_synchronised:
            self._trusted_ms = offset_ms
        if is_step:
            self._is_confirmed = False


_HINT = "if the server's clock is right, run: gridtokenx-backend clock confirm"


def _explain(fault: ClockFault, evidence: ClockEvidence, elapsed_ms: int, zone: TimeZone) -> str:
    """Return the sentence for the operator; times in it do not move on while nothing changes."""
    match fault:
        case ClockFault.STEPPED:
            assert evidence.trusted_ms is not None
            step_ms = evidence.offset_ms - evidence.trusted_ms
            what = f"it was set {_span(step_ms)}, and nobody confirms that"
        case ClockFault.BEHIND_JOURNAL:
            assert evidence.newest_ms is not None
            newest = local_text(zone, evidence.newest_ms + elapsed_ms, "%Y-%m-%dT%H:%M:%S")
            what = f"it is behind the journal's newest entry, which is of {newest}"
        case ClockFault.UNCONFIRMED_START:
            assert evidence.newest_ms is not None
            newest = local_text(zone, evidence.newest_ms + elapsed_ms, "%Y-%m-%dT%H:%M:%S")
            what = f"the journal's newest entry is of {newest}, and nobody confirms the time since"
        case ClockFault.GATEWAYS_AHEAD:
            what = "most gateways sign later times, and no time service keeps it right"
    return f"the clock is in doubt: {what}; {_HINT}"


def _span(step_ms: int) -> str:
    """Return a step as `2 days forward`, in the largest unit that it fills."""
    size_s = abs(step_ms) // 1000
    sizes = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
    unit_s, name = next((each for each in sizes if size_s >= each[0]), sizes[-1])
    count = size_s // unit_s
    plural = "" if count == 1 else "s"
    return f"{count} {name}{plural} {'forward' if step_ms > 0 else 'back'}"
