"""The state machine as a whole: entries, time, what the journal keeps, snapshots."""

from __future__ import annotations

import msgspec
import pytest
from tests.backend.village import (
    KWH,
    START_MS,
    Village,
    convert_terms,
    frame_input,
    order_input,
    reading,
)

from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.inputs import OracleCommand, TickInput, kind_of, parse
from gridtokenx_backend.core.messages.outcomes import (
    OracleSwitched,
    OrderRefused,
    Repeated,
    Ticked,
    movements_of,
    trades_of,
)
from gridtokenx_backend.core.state.community import Community, restore
from gridtokenx_backend.core.state.snapshot import digest
from gridtokenx_backend.journal.entry import decode_outcome, make_entry
from gridtokenx_wire.errors import WireError


def test_an_outcome_is_an_entry_and_a_refusal_is_none(village: Village) -> None:
    entries = village.community.entries
    village.send(village.north, reading("ABB-1", START_MS))
    assert village.community.entries == entries + 1
    order = village.anna.order("a", "buy", "1", "0.2")
    village.tell(order)
    assert village.community.entries == entries + 2
    assert isinstance(village.tell(order), Repeated)
    assert isinstance(village.tell(village.anna.order("b", "sell", "1", "0.2")), OrderRefused)
    village.apply(frame_input(village.north.seal([reading("ABB-1", START_MS)], seq=0)))
    assert village.community.entries == entries + 2
    assert isinstance(village.tick(), Ticked)
    assert village.community.entries == entries + 3


def test_time_stands_with_the_newest_entry_and_never_runs_backwards(village: Village) -> None:
    village.tick(START_MS + 5)
    village.tell(village.anna.order("a", "sell", "1", "0.2"), START_MS + 9)  # refused
    assert village.community.at_ms == START_MS + 5
    with pytest.raises(AssertionError):
        village.tick(START_MS + 4)
    village.tick(START_MS + 5)


def test_the_oracle_is_paused_and_resumed_as_often_as_one_likes(village: Village) -> None:
    for paused in (True, True, False, False, True):
        assert village.pause(paused) == OracleSwitched(paused)
        assert village.community.paused is paused


def test_a_paused_oracle_leaves_the_market_alone(village: Village) -> None:
    village.give_grid(village.north, "ABB-1", KWH)
    village.pause()
    village.accept(village.anna.order("a", "sell", "1", "0.2"))
    assert village.accept(village.ben.order("b", "buy", "1", "0.2")).status == "filled"


def every_kind(village: Village) -> list[inputs.Input]:
    """An input of each kind, signed where it is signed, that will not be refused."""
    village.give_grid(village.north, "ABB-1", KWH)
    return [
        frame_input(village.north.next([reading("ABB-1", START_MS + 1000, KWH)])),
        order_input(village.anna.sign(village.anna.order("a", "sell", "0.5", "0.2"))),
        order_input(village.ben.sign(village.ben.order("b", "buy", "0.2", "0.2"))),
        order_input(village.anna.sign(village.anna.cancel("c", "a"))),
        order_input(village.anna.sign(village.anna.standing("s", "sell", "0.2"))),
        TickInput(),
        inputs.oracle_input(OracleCommand(True, "wartung")),
        inputs.configuration_input(convert_terms(village.document | {"market": {"fee_bps": 7}})),
    ]


def test_every_input_is_read_back_from_what_is_kept_of_it(village: Village) -> None:
    kinds = []
    for input_ in every_kind(village):
        kinds.append(kind_of(input_))
        assert parse(kind_of(input_), input_.raw) == input_
    assert set(kinds) == {"frame", "order", "configure", "oracle", "tick"}


def test_every_outcome_is_read_back_from_what_is_kept_of_it(village: Village) -> None:
    for seq, input_ in enumerate(every_kind(village)):
        outcome = village.apply(input_)
        again = decode_outcome(make_entry(seq, START_MS, input_, outcome, bytes(16)).outcome)
        assert again == outcome
        assert movements_of(again) == movements_of(outcome)
        assert trades_of(again) == trades_of(outcome)


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("frame", b""),
        ("frame", b"\xd2\x84"),
        ("order", b"a.b.c"),
        ("order", b""),
        ("configure", b"{}"),
        ("configure", b"\xff"),
        ("oracle", b'{"paused":1,"reason":""}'),
        ("oracle", b'{"paused":true,"reason":"","more":1}'),
        ("oracle", b'{"paused":true,"reason":"\xff"}'),
        ("unheard-of", b""),
    ],
)
def test_what_is_no_input_is_not_taken_for_one(kind: str, raw: bytes) -> None:
    with pytest.raises((WireError, ValueError)):
        parse(kind, raw)


# --- snapshots ----------------------------------------------------------------------------------


def busy_village() -> Village:
    """One of everything that a snapshot holds."""
    village = Village()
    village.give_grid(village.north, "ABB-1", 9 * KWH)
    village.send(village.south, reading("ABB-2", START_MS), reading("ABB-1", START_MS))
    village.accept(village.anna.order("a1", "sell", "3", "0.2"))
    village.accept(village.anna.order("a2", "sell", "3", "0.2"))
    village.accept(village.ben.order("b", "buy", "1", "0.2"))
    village.accept(village.ben.order("b2", "buy", "1", "0.1"))
    village.tell(village.anna.cancel("c", "a1"))
    village.tell(village.anna.standing("s", "sell", "0.5", "1"))
    village.tell(village.ben.standing("s", "buy", "0.15"))
    village.tick()
    village.pause()
    return village


def test_a_snapshot_holds_everything() -> None:
    village = busy_village()
    snapshot = village.community.snapshot()
    again = restore(snapshot)
    assert again.snapshot() == snapshot
    assert digest(again.snapshot()) == digest(snapshot)
    assert vars(again).keys() == vars(village.community).keys()
    held = ("ledger", "book", "market", "interval")
    plain = {key: value for key, value in vars(again).items() if key not in held}
    assert plain == {key: getattr(village.community, key) for key in plain}
    assert again.book.orders == village.community.book.orders
    assert again.book.by_key == village.community.book.by_key
    assert again.market.rules == village.community.market.rules


def follow_up(village: Village) -> list[inputs.Input]:
    """What is put to a community and to its double."""
    ben, anna, cleo = village.ben, village.anna, village.cleo
    return [
        inputs.oracle_input(OracleCommand(False, "go on")),
        frame_input(village.north.next([reading("ABB-1", START_MS + 1000, 10 * KWH)])),
        order_input(cleo.sign(cleo.order("x", "buy", "4", "0.9"))),
        order_input(anna.sign(anna.order("a2", "sell", "3", "0.2"))),
        order_input(ben.sign(ben.cancel("y", "b2"))),
        TickInput(),
        inputs.configuration_input(
            convert_terms(village.document | {"market": {"lot_kwh": "0.01"}})
        ),
        TickInput(),
    ]


def test_a_restored_community_goes_on_as_the_first_would_have() -> None:
    village = busy_village()
    double = restore(village.community.snapshot())
    for input_ in follow_up(village):
        assert machine.apply(double, input_, START_MS) == village.apply(input_)
        assert double.snapshot() == village.community.snapshot()


def test_equal_values_of_a_restored_community_are_one_object() -> None:
    """What keeps 100,000 meters small must outlive a restart."""
    community = restore(busy_village().community.snapshot())
    first, second = community.meters.values()
    assert first.rules is second.rules
    assert any(first.owner is wallet for wallet in community.members)
    assert any(first.device is device for device in community.devices)


def test_an_empty_community_has_a_snapshot_too() -> None:
    community = Community()
    assert restore(community.snapshot()).snapshot() == community.snapshot()


@pytest.mark.parametrize("broken", [b"", b"\x00", b"x" * 40])
def test_what_is_no_snapshot_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        restore(broken)


def test_a_snapshot_of_another_version_is_refused(village: Village) -> None:
    fields = msgspec.msgpack.decode(village.community.snapshot())
    fields[0] += 1
    snapshot = msgspec.msgpack.encode(fields)
    with pytest.raises(ValueError, match="expected a snapshot of version"):
        restore(bytes(snapshot))
