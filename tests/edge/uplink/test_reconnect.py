"""The waits between a gateway's attempts to connect."""

from __future__ import annotations

import pytest

from gridtokenx_edge.uplink.broker_faults import BrokerFault
from gridtokenx_edge.uplink.reconnect import STEADY_S, Reconnect


def least() -> float:
    """Entropy that shortens nothing."""
    return 0.0


@pytest.mark.parametrize(
    ("longest_s", "waits"), [(60.0, [1, 2, 4, 8, 16, 32, 60, 60]), (3.0, [1, 2, 3, 3])]
)
def test_waits_double_up_to_the_longest(longest_s: float, waits: list[float]) -> None:
    reconnect = Reconnect(longest_s, least)
    assert [reconnect.wait_s(BrokerFault.CLOSED, 0.0) for _ in waits] == waits


def test_only_a_connection_that_lasted_makes_the_next_wait_short_again() -> None:
    reconnect = Reconnect(60.0, least)
    found = [reconnect.wait_s(BrokerFault.CLOSED, s) for s in (0.0, STEADY_S - 1, STEADY_S, 0.0)]
    assert found == [1, 2, 1, 2]


def test_a_rival_with_our_key_is_left_alone_for_longer_whatever_the_longest_wait() -> None:
    reconnect = Reconnect(1.0, least)
    assert reconnect.wait_s(BrokerFault.CLOSED, 0.0) == 1
    assert reconnect.wait_s(BrokerFault.TAKEN_OVER, 0.0) == 60
