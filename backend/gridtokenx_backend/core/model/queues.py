"""Amounts in the order in which they came, each under a key, in 16 bytes a piece.

A month of a community's open import is millions of pairs: as bytes they cost what they weigh, and
a snapshot copies them. A queue is a bytearray of (key, amount), both signed 64-bit little-endian.
None is a queue that never had anything in it: most members of a large community have only those.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_PAIR = struct.Struct("<qq")
_SIZE = _PAIR.size


def add(queue: bytearray | None, key: int, amount: int) -> bytearray:
    """Puts `amount` at the end, or to the last one if that has the same key. The same queue."""
    if not queue:
        queue = bytearray() if queue is None else queue
    else:
        last_key, last = _PAIR.unpack_from(queue, len(queue) - _SIZE)
        if last_key == key:
            _PAIR.pack_into(queue, len(queue) - _SIZE, key, last + amount)
            return queue
    queue += _PAIR.pack(key, amount)
    return queue


def insert(queue: bytearray | None, key: int, amount: int) -> bytearray:
    """Puts `amount` where its key belongs in a queue with ascending keys. The same queue."""
    if queue is None:
        queue = bytearray()
    position = len(queue)
    while position:
        before_key, before = _PAIR.unpack_from(queue, position - _SIZE)
        if before_key == key:
            _PAIR.pack_into(queue, position - _SIZE, key, before + amount)
            return queue
        if before_key < key:
            break
        position -= _SIZE
    queue[position:position] = _PAIR.pack(key, amount)
    return queue


def pairs(queue: bytearray | None) -> Iterator[tuple[int, int]]:
    """Every (key, amount), oldest first."""
    return _PAIR.iter_unpack(queue or b"")


def total(queue: bytearray | None) -> int:
    return sum(amount for _, amount in pairs(queue))


def first(queue: bytearray | None) -> tuple[int, int]:
    """The oldest (key, amount) of a queue that has one."""
    assert queue
    return _PAIR.unpack_from(queue, 0)


def take_first(queue: bytearray | None, amount: int) -> None:
    """Takes `amount` of the oldest, which has as much."""
    assert queue
    key, whole = _PAIR.unpack_from(queue, 0)
    assert 0 < amount <= whole
    if amount == whole:
        del queue[:_SIZE]
    else:
        _PAIR.pack_into(queue, 0, key, whole - amount)


def join_older_half(queue: bytearray) -> None:
    """Makes one of the older half, under the key of its youngest."""
    size = len(queue) // _SIZE // 2 * _SIZE
    if size:
        older = queue[:size]
        key, _ = _PAIR.unpack_from(older, size - _SIZE)
        queue[:size] = _PAIR.pack(key, total(older))


def drop_below(queue: bytearray, key: int) -> None:
    """Forgets the oldest while their keys are below `key`."""
    while queue and _PAIR.unpack_from(queue, 0)[0] < key:
        del queue[:_SIZE]


def take_between(queue: bytearray | None, from_key: int, to_key: int, amount: int) -> int:
    """Takes up to `amount` of what has keys in [from_key, to_key), newest first; how much."""
    if not queue:
        return 0
    taken = 0
    for position in range(len(queue) - _SIZE, -1, -_SIZE):
        key, whole = _PAIR.unpack_from(queue, position)
        if not from_key <= key < to_key or taken == amount:
            continue
        part = min(whole, amount - taken)
        taken += part
        if part == whole:
            del queue[position : position + _SIZE]
        else:
            _PAIR.pack_into(queue, position, key, whole - part)
    return taken
