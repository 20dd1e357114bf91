"""The periods of polls and trades in community time, such that people see one every
second or two.
"""

from __future__ import annotations

import msgspec

_ROUND_S = (5, 10, 15, 20, 30, 60, 120, 180, 240, 300, 600, 900, 1200, 1800, 3600, 7200, 14_400)
"""Periods that a clock's hands like; all but one divide the day."""
_POLL_EVERY_REAL_S = 1.3
_TRADE_EVERY_REAL_S = 1.6
_DELIVERY_REAL_S = 0.3
_SHORTEST_ORDER_WINDOW_S = 3600
_ORDER_WINDOW_REAL_S = 120


class Periods(msgspec.Struct, frozen=True, kw_only=True):
    """Periods in seconds of community time.

    An auction waits for `grace_s` after its interval: until the next poll of every meter is in.
    """

    poll_s: int
    tick_s: int
    order_window_s: int
    grace_s: int


def periods_for(speed: float) -> Periods:
    """Return the periods for a community whose clock runs `speed` times as fast as the wall's."""
    poll_s = _round(speed * _POLL_EVERY_REAL_S)
    return Periods(
        poll_s=poll_s,
        tick_s=_round(speed * _TRADE_EVERY_REAL_S),
        order_window_s=max(_SHORTEST_ORDER_WINDOW_S, round(speed * _ORDER_WINDOW_REAL_S)),
        grace_s=_round(poll_s + speed * _DELIVERY_REAL_S),
    )


def _round(seconds: float) -> int:
    return next((period for period in _ROUND_S if period >= seconds), _ROUND_S[-1])
