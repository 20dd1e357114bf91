"""What to ask a model in one reading, and its replies as values.

A scale factor may change from one moment to the next, so it is read in the request that has its
value; where a model is too long for that, the factors are read before and after the values.
The request begins at the model's id: if another stands there, the device's registers have moved.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.meters.sunspec.chain import ModelAt
from gridtokenx_edge.meters.sunspec.models import MODELS, READING_POINTS
from gridtokenx_edge.meters.sunspec.points import ScaleError, SunSpecPoint


class MovedError(ValueError):
    """The registers are no longer those of the model, or they changed while they were read."""


class ModelPlan(msgspec.Struct, frozen=True):
    """The requests of one reading of a model, and the points that they hold."""

    model: ModelAt
    points: dict[str, SunSpecPoint]
    blocks: tuple[Block, ...]


def plan_model(
    model: ModelAt, max_registers: int, names: Collection[str] = READING_POINTS
) -> ModelPlan:
    """Return how to read those points of `names` that this model has."""
    points = {name: at for name, at in MODELS[model.id].points.items() if name in names}
    last = max(max(point.end, point.scale + 1) for point in points.values())
    if last <= max_registers:
        return ModelPlan(model, points, (Block(fc=3, address=model.address, count=last),))
    scales = [point.scale for point in points.values() if point.scale]
    first, count = min(scales, default=0), max(scales, default=0) + 1
    factors = Block(fc=3, address=model.address + first, count=count - first)
    values = [
        Block(fc=3, address=model.address + start, count=end - start)
        for start, end in _spans(points.values(), max_registers)
    ]
    return ModelPlan(model, points, (factors, *values, factors))


def _spans(points: Collection[SunSpecPoint], most: int) -> list[tuple[int, int]]:
    """Return the model's header and points in spans of at most `most` registers, none cut
    in two.
    """
    spans = [(0, 2)]
    for point in sorted(points, key=lambda point: point.offset):
        start, end = spans[-1]
        if point.end - start <= most:
            spans[-1] = (start, max(end, point.end))
        else:
            spans.append((point.offset, point.end))
    return spans


def is_complete(model: ModelAt) -> bool:
    """Return whether the model is as long as the points of a reading need."""
    needed = MODELS[model.id].points
    return all(
        max(needed[name].end, needed[name].scale + 1) <= model.length + 2
        for name in READING_POINTS
        if name in needed
    )


def decode_model(
    plan: ModelPlan, replies: Sequence[Sequence[int]], *, signed_counters: bool = False
) -> dict[str, int | None]:
    """Return the values by name. Raises MovedError, and ScaleError with the value's name."""
    words: dict[int, int] = {}
    for block, reply in zip(plan.blocks, replies, strict=True):
        for place, word in enumerate(reply, start=block.address - plan.model.address):
            if words.setdefault(place, word) != word:
                raise MovedError("the scale factors changed while they were read")
    header = [words[0], words[1]]
    if header != plan.model.header:
        raise MovedError(
            f"expected model {plan.model.id} at register {plan.model.address}, found {header[0]}"
        )
    return {
        name: _decode(name, point, words, signed_counters=signed_counters)
        for name, point in plan.points.items()
    }


def _decode(
    name: str, point: SunSpecPoint, words: Mapping[int, int], *, signed_counters: bool
) -> int | None:
    own = [words[place] for place in range(point.offset, point.end)]
    scale = words[point.scale] if point.scale else None
    try:
        return point.decode(own, scale, signed_counters=signed_counters)
    except ScaleError as error:
        raise ScaleError(f"{name.replace('_', ' ')}: {error}") from None
