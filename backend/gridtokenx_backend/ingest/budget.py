"""A budget of bytes and of work for each gateway and each member, so that none slows down others.

A bucket holds so much at most and fills at a steady rate. A frame is taken as long as the buckets
that it is counted in are not empty; it may overdraw them. Then frames of that gateway are left
unacked until there is something in the bucket again. Nothing is lost: the gateway keeps its frames,
is told how long to wait, and sends them again.

Work is counted in readings, since the core judges each. The member of a gateway is the owner of the
meters that it may send; a gateway that reads for several members counts for itself only.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping

from gridtokenx_backend.config.settings import BudgetSection
from gridtokenx_backend.core.model.registry import Device, Meter

_KIB, _MIB = 1 << 10, 1 << 20
_SHORTEST_WAIT_S = 1.0
"""A gateway that has overdrawn waits until its buckets have filled for so long above zero."""


class Bucket:
    """A quantity that is spent and fills again. Times are seconds of a clock that goes forward."""

    __slots__ = ("_at_s", "_left", "_most", "_rate")

    def __init__(self, *, most: float, rate: float, now_s: float) -> None:
        self._most = self._left = most
        self._rate = rate
        self._at_s = now_s

    def spend(self, amount: float, now_s: float) -> float:
        """Take an amount out, and return for how many seconds nothing more may be spent.

        Less than nothing may be left then. It is 0 if something is left.
        """
        self._left = min(self._most, self._left + (now_s - self._at_s) * self._rate) - amount
        self._at_s = now_s
        return 0.0 if self._left > 0 else _SHORTEST_WAIT_S - self._left / self._rate


class Budgets:
    """The buckets of all gateways and members that have sent something since the start."""

    def __init__(
        self,
        section: BudgetSection,
        owners: Callable[[], Owners],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._section = section
        self._owners = owners
        self._now_s = now_s
        self._buckets: dict[bytes | str, tuple[Bucket, Bucket]] = {}
        self._blocked_until_s: dict[bytes, float] = {}

    def spend(self, device: Device, size: int, readings: int) -> None:
        """Count frames whose signatures were good: their bytes and their readings."""
        now_s, wait_s = self._now_s(), 0.0
        names: list[tuple[bytes | str, int]] = [(device.id, 1)]
        if owner := self._owners().of(device):
            names.append((owner, self._section.member_factor))
        for name, factor in names:
            of_bytes, of_readings = self._pair(name, factor, now_s)
            wait_s = max(wait_s, of_bytes.spend(size, now_s), of_readings.spend(readings, now_s))
        if wait_s:
            self._blocked_until_s[device.id] = now_s + wait_s

    def wait_ms(self, device: bytes) -> int:
        """Return how long a gateway should send nothing; 0 if its frames are taken now."""
        until_s = self._blocked_until_s.get(device)
        if until_s is None:
            return 0
        left_s = until_s - self._now_s()
        if left_s <= 0:
            del self._blocked_until_s[device]
            return 0
        return math.ceil(1000 * left_s)

    def _pair(self, name: bytes | str, factor: int, now_s: float) -> tuple[Bucket, Bucket]:
        """Return the buckets of bytes and of readings of a gateway or a member."""
        known = self._buckets.get(name)
        if known is None:
            section = self._section
            most = factor * section.device_burst_mib * _MIB
            rate = factor * section.device_kib_per_s * _KIB
            of_bytes = Bucket(most=most, rate=rate, now_s=now_s)
            most = factor * section.device_burst_readings
            rate = factor * section.device_readings_per_s
            known = of_bytes, Bucket(most=most, rate=rate, now_s=now_s)
            self._buckets[name] = known
        return known


class Owners:
    """The member for whom each gateway reads, by the gateway, its line or its site."""

    def __init__(self, meters: Iterable[Meter]) -> None:
        self._by_device: dict[bytes, set[str]] = {}
        self._by_site: dict[str, set[str]] = {}
        for meter in meters:
            if meter.site:
                self._by_site.setdefault(meter.site, set()).add(meter.owner)
            else:
                self._by_device.setdefault(meter.device, set()).add(meter.owner)

    def of(self, device: Device) -> str:
        """Return the wallet of the member whose meters a gateway reads; empty if it is not one."""
        found = {
            *self._by_device.get(device.id, ()),
            *self._by_device.get(device.line, ()),
            *(self._by_site.get(device.site, ()) if device.site else ()),
        }
        return found.pop() if len(found) == 1 else ""


class OwnersInForce:
    """Owners of a community's meters, looked up anew when its terms change."""

    def __init__(self, meters: Mapping[str, Meter], terms: Callable[[], object]) -> None:
        self._meters = meters
        self._terms = terms
        self._known: tuple[object, Owners] | None = None

    def __call__(self) -> Owners:
        terms = self._terms()
        if self._known is None or self._known[0] is not terms:
            self._known = (terms, Owners(self._meters.values()))
        return self._known[1]
