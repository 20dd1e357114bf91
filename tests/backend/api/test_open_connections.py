"""Whose connection is closed for another's, decided without a socket."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_backend.api.open_connections import OpenConnections, Place


def held(connections: OpenConnections, holder: str, closed: list[Place]) -> Place:
    """Take a place that says so when it is taken away."""
    place = connections.take(holder)
    assert place is not None
    place.close = closer(place, closed)
    return place


def closer(place: Place, closed: list[Place]) -> Callable[[], None]:
    return lambda: closed.append(place)


def test_an_address_that_has_all_it_may_have_gives_up_the_one_that_waited_longest() -> None:
    connections, closed = OpenConnections(most=10, most_each=3), []
    first, second, third = (held(connections, "a", closed) for _ in range(3))
    connections.answered(first)  # it is in use, so it has not waited longest any more
    held(connections, "a", closed)
    assert closed == [second]
    held(connections, "b", closed)
    assert (closed, connections.count) == ([second], 4)
    held(connections, "a", closed)
    assert closed == [second, third]


def test_where_all_places_are_taken_the_address_with_most_gives_one_up() -> None:
    connections, closed = OpenConnections(most=6, most_each=5), []
    honest = held(connections, "honest", closed)
    hostile = [held(connections, "hostile", closed) for _ in range(5)]
    assert connections.count == 6
    held(connections, "another", closed)
    assert closed == hostile[:1]
    assert honest not in closed


def test_who_is_being_answered_keeps_the_place() -> None:
    connections, closed = OpenConnections(most=2, most_each=2), []
    busy = [held(connections, "a", closed) for _ in range(2)]
    for place in busy:
        place.is_busy = True
    assert connections.take("a") is None
    assert connections.take("b") is None
    assert (connections.refused, closed) == (2, [])
    connections.answered(busy[0])
    held(connections, "b", closed)
    assert closed == busy[:1]


def test_a_proxy_has_the_connections_of_all_its_clients() -> None:
    connections = OpenConnections(most=10, most_each=2, is_exempt=lambda each: each == "proxy")
    for _ in range(10):
        assert connections.take("proxy") is not None
    assert connections.closed_for_others == 0
    assert connections.take("client") is not None
    assert (connections.count, connections.closed_for_others) == (10, 1)


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from(["take", "busy", "leave"]))))
def test_no_bound_is_ever_exceeded(steps: list[tuple[str, str]]) -> None:
    connections, places = OpenConnections(most=7, most_each=3), list[Place]()
    closed: list[Place] = []
    for holder, step in steps:
        own = [each for each in places if each.holder == holder and each not in closed]
        if step == "take" and (place := connections.take(holder)):
            place.close = closer(place, closed)
            places.append(place)
        elif own and step == "busy":
            own[0].is_busy = True
        elif own:
            connections.leave(own[0])
            connections.leave(own[0])
            places.remove(own[0])
        open_now = [each for each in places if each not in closed]
        assert connections.count == len(open_now) <= 7
        assert all(sum(each.holder == name for each in open_now) <= 3 for name in "abcde")
    assert not any(each.is_busy for each in closed)
