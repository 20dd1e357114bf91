"""Queues of amounts in the order in which they came, each with a key, in 16 bytes each.

A month of a community's open import is millions of pairs: as bytes they take little memory, and a
snapshot copies them as they are. A queue is a bytearray of pairs (key, amount), both signed 64-bit
little-endian. None is a queue that was never used, as most are in a large community.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_PAIR = struct.Struct("<qq")
_SIZE = _PAIR.size


def add(queue: bytearray | None, key: int, amount: int) -> bytearray:
    """Append `amount`, or add it to the last pair if that has the same key; return the queue."""
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
    """Insert `amount` where its key belongs in a queue with ascending keys; return the queue."""
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
    """Return an iterator over every (key, amount), oldest first."""
    return _PAIR.iter_unpack(queue or b"")


def total(queue: bytearray | None) -> int:
    """Return the sum of all amounts."""
    return sum(amount for _, amount in pairs(queue))


def first(queue: bytearray | None) -> tuple[int, int]:
    """Return the oldest (key, amount) of a queue that is not empty."""
    assert queue
    return _PAIR.unpack_from(queue, 0)


def take_first(queue: bytearray | None, amount: int) -> None:
    """Take `amount` from the oldest pair, which must have as much."""
    assert queue
    key, whole = _PAIR.unpack_from(queue, 0)
    assert 0 < amount <= whole
    if amount == whole:
        del queue[:_SIZE]
    else:
        _PAIR.pack_into(queue, 0, key, whole - amount)


def join_older_half(queue: bytearray) -> None:
    """Replace the older half of the pairs by their sum, under the key of the youngest of them."""
    size = len(queue) // _SIZE // 2 * _SIZE
    if size:
        older = queue[:size]
        key, _ = _PAIR.unpack_from(older, size - _SIZE)
        queue[:size] = _PAIR.pack(key, total(older))


def drop_below(queue: bytearray, key: int) -> None:
    """Drop the oldest pairs as long as their keys are below `key`."""
    while queue and _PAIR.unpack_from(queue, 0)[0] < key:
        del queue[:_SIZE]


def take_between(queue: bytearray | None, from_key: int, to_key: int, amount: int) -> int:
    """Take up to `amount` from pairs with keys in [from_key, to_key), newest first.

    Returns how much was taken.
    """
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
