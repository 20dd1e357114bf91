"""The chain of models: found by its marker, walked to its end. A generator, without I/O.

    base      "SunS", two registers
    base + 2  id, length, that many registers; the next id, length, ...; 0xFFFF ends it

Devices break this rule in known ways: the end is missing, or a length is wrong. What was found
before the break is good, so the walk ends there and says why.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import msgspec

from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.meters.sunspec.models import COMMON, OF_KIND, STANDARD_LENGTHS, Kind

BASES = (40_000, 50_000, 0)
_MARKER = [0x5375, 0x6E53]
_END = 0xFFFF
_HEADER = 2
_LAST_REGISTER = 0xFFFF
# SMA's longest known chain has 20; each model costs a request.
_MOST_MODELS = 100
# Ids of the standard's models so far, with room for more, and those set aside for makers.
_IDS = (range(1, 30), range(101, 1000), range(63_000, _END))

Walk = Generator[Block, Sequence[int] | None, "Chain | None"]
"""Yields what to read; takes its registers, or None where they were refused."""


class ModelAt(msgspec.Struct, frozen=True, kw_only=True):
    """A model in a device's registers: its id stands at `address`, its length after it."""

    id: int
    address: int
    length: int

    @property
    def header(self) -> list[int]:
        return [self.id, self.length]


class Chain(msgspec.Struct, frozen=True):
    """The models from `base` on. `broken` says why the walk ended before the end of the chain."""

    base: int
    models: tuple[ModelAt, ...]
    broken: str = ""


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """A meter or inverter of a unit: its model, and the common model that names its device.

    `suffix` tells apart devices that share one common model, and so one serial number.
    """

    common: ModelAt
    model: ModelAt
    suffix: str = ""


def walk(bases: Sequence[int] = BASES) -> Walk:
    """Find the marker and the models behind it. A generator: it yields requests and is sent their
    registers. It returns None where there is no marker.
    """
    for base in bases:
        words = yield Block(fc=3, address=base, count=len(_MARKER))
        if words is not None and list(words) == _MARKER:
            return (yield from _walk_models(base))
    return None


def _walk_models(base: int) -> Generator[Block, Sequence[int] | None, Chain]:
    models: list[ModelAt] = []
    address = base + _HEADER
    while len(models) < _MOST_MODELS:
        header = yield from _header_at(address)
        if isinstance(header, str) and models:
            header = (yield from _header_elsewhere(models[-1])) or header
        if isinstance(header, str):
            return Chain(base, tuple(models), header)
        if header.id == _END:
            return Chain(base, tuple(models))
        models.append(header)
        address = header.address + _HEADER + header.length
    return Chain(base, tuple(models), f"expected at most {_MOST_MODELS} models")


def _header_at(address: int) -> Generator[Block, Sequence[int] | None, ModelAt | str]:
    """Return the model at `address`, or the chain's end, or a text where there is neither."""
    if address + _HEADER - 1 > _LAST_REGISTER:
        return "expected the chain of models to end within the registers"
    words = yield Block(fc=3, address=address, count=_HEADER)
    if words is None:
        return f"expected a model at register {address}, which was refused"
    number, length = words
    if number == _END:
        return ModelAt(id=number, address=address, length=0)
    if not length or not any(number in ids for ids in _IDS):
        return f"expected a model at register {address}, found id {number} and length {length}"
    if address + _HEADER + length > _LAST_REGISTER:
        return f"expected model {number} at register {address} to end, but it is {length} long"
    return ModelAt(id=number, address=address, length=length)


def _header_elsewhere(last: ModelAt) -> Generator[Block, Sequence[int] | None, ModelAt | None]:
    """Return the model that follows if `last` has its standard length instead of the one it
    says.
    """
    for length in STANDARD_LENGTHS.get(last.id, ()):
        if length != last.length:
            header = yield from _header_at(last.address + _HEADER + length)
            if not isinstance(header, str):
                return header
    return None


def instances(chain: Chain, kind: Kind) -> list[Instance]:
    """Return a unit's meters or inverters, in the chain's order.

    A common model begins a device. Of the models that say the same of it, one is chosen. A device's
    second meter, and a meter that shares its inverter's common model, have a suffix.
    """
    found: list[Instance] = []
    for device in _devices(chain):
        models = device[1:]
        chosen = next((number for number in OF_KIND[kind] if _has(models, number)), None)
        shared = kind == "meter" and any(_has(models, number) for number in OF_KIND["inverter"])
        same = [model for model in models if model.id == chosen]
        for place, model in enumerate(same, start=1):
            number = str(place) if place > 1 else ""
            suffix = f"-{kind.upper()}{number}" if shared or number else ""
            found.append(Instance(common=device[0], model=model, suffix=suffix))
    return found


def _devices(chain: Chain) -> list[list[ModelAt]]:
    devices: list[list[ModelAt]] = []
    for model in chain.models:
        if model.id == COMMON:
            devices.append([model])
        elif devices:
            devices[-1].append(model)
    return devices


def _has(models: Sequence[ModelAt], number: int) -> bool:
    return any(model.id == number for model in models)
