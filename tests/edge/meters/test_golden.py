"""Raw frames of every model to the values that its sources promise.

A file of `golden/` holds requests and replies as they go over the wire and the values that they
mean. They are a double entry for the profiles: whoever wrote them read function code, address,
type, word order, scale, unit and sign in the sources named at the top of the file, and took from
the profile no more than its name, the names of its values and the longest request. Beside each
register stand the value on the display, its raw form and its bytes; a script packed the floats
and the checksums. None was recorded at a meter.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from msgspec.structs import replace

from gridtokenx_edge.config.edge_config import MeterConfig, TcpBus
from gridtokenx_edge.log import FaultLog, start_logging
from gridtokenx_edge.meters.identity import decode_serial
from gridtokenx_edge.meters.plan import Block, decode_points, plan_blocks, register_block
from gridtokenx_edge.meters.point import Point, WordOrder, join_words
from gridtokenx_edge.meters.profile import load_profile, profile_names
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.register_reader import RegisterReader
from gridtokenx_wire.clock import ClockConfig, make_clock
from gridtokenx_wire.config import load_toml
from gridtokenx_wire.reading import ReadingFlag

FOLDER = Path(__file__).with_name("golden")
MODELS = profile_names()

Registers = dict[tuple[int, int], int]


class Exchange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    request: str
    reply: str


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    serial: str
    model: int | None = None


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    transport: Literal["rtu", "tcp"]
    address: int
    exchange: list[Exchange]
    expected: dict[str, int]
    identity: Named | None = None

    def pdus(self) -> Iterator[tuple[bytes, bytes]]:
        """Request and reply without what the line adds."""
        bare = of_rtu if self.transport == "rtu" else of_tcp
        for exchange in self.exchange:
            yield (
                bare(bytes.fromhex(exchange.request), self.address),
                bare(bytes.fromhex(exchange.reply), self.address),
            )

    def registers(self) -> Registers:
        """What the meter holds, by function code and address."""
        held: Registers = {}
        for request, reply in self.pdus():
            start = int.from_bytes(request[1:3], "big")
            data = reply[2:]
            for at in range(0, len(data), 2):
                held[request[0], start + at // 2] = int.from_bytes(data[at : at + 2], "big")
        return held


def of_rtu(frame: bytes, address: int) -> bytes:
    """Modbus over serial line V1.02, 2.5.1: address, PDU, checksum with its low byte first."""
    assert frame[0] == address
    assert crc16(frame[:-2]) == int.from_bytes(frame[-2:], "little")
    return frame[1:-2]


def of_tcp(frame: bytes, address: int) -> bytes:
    """Modbus on TCP/IP V1.0b, 3.1.3: transaction, protocol 0, length, unit, PDU."""
    assert frame[2:4] == b"\0\0"
    assert int.from_bytes(frame[4:6], "big") == len(frame) - 6
    assert frame[6] == address
    return frame[7:]


def crc16(octets: bytes) -> int:
    """Modbus over serial line V1.02, 6.2.2, bit by bit."""
    crc = 0xFFFF
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


@cache
def golden_of(model: str) -> Golden:
    return load_toml(FOLDER / f"{model}.toml", Golden)


def words_at(registers: Registers, point: Point) -> list[int] | None:
    """The registers of a point, None if the frames do not have all of them."""
    words = [registers.get((point.fc, point.address + at)) for at in range(point.count)]
    return None if None in words else [word for word in words if word is not None]


def decoded(registers: Registers, point: Point) -> int | None:
    words = words_at(registers, point)
    return None if words is None else point.decode(words)


def test_every_model_has_its_frames() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.toml")) == list(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_raw_frames_become_the_values_that_the_sources_promise(model: str) -> None:
    profile, golden = load_profile(model), golden_of(model)
    registers = golden.registers()
    points = profile.all_points()
    assert golden.expected.keys() == points.keys()
    assert all(words_at(registers, point) for point in points.values())
    replies = [
        (block, [registers.get((block.fc, block.address + at), 0) for at in range(block.count)])
        for block in plan_blocks(profile, points=points)
    ]
    assert decode_points(profile, replies) == golden.expected


@pytest.mark.parametrize("model", MODELS)
def test_the_frames_are_ones_that_the_meter_takes_and_gives(model: str) -> None:
    profile, golden = load_profile(model), golden_of(model)
    assert golden.transport in profile.transports
    for request, reply in golden.pdus():
        count = int.from_bytes(request[3:5], "big")
        assert len(request) == 5
        assert 1 <= count <= profile.max_registers
        assert (reply[0], reply[1]) == (request[0], 2 * count)
        assert len(reply) == 2 + 2 * count


@pytest.mark.parametrize("model", [name for name in MODELS if load_profile(name).identity])
def test_raw_frames_tell_the_serial_number_and_the_model(model: str) -> None:
    identity, golden = load_profile(model).identity, golden_of(model)
    assert identity is not None
    assert golden.identity is not None

    def read(block: Block) -> list[int]:
        held = golden.registers()
        return [held[block.fc, block.address + at] for at in range(block.count)]

    assert decode_serial(identity, read(register_block(identity))) == golden.identity.serial
    if identity.model:
        code = join_words(read(register_block(identity.model)), "msw_first")
        assert code == golden.identity.model
        assert code in identity.model.values


def answer(registers: Registers, request: bytes) -> bytes:
    """What a meter with these registers, and zeros between them, answers on a serial line."""
    fc, start, count = request[1], *struct.unpack(">HH", request[2:6])
    words = [registers.get((fc, start + at), 0) for at in range(count)]
    frame = struct.pack(f">BBB{count}H", request[0], fc, 2 * count, *words)
    return frame + crc16(frame).to_bytes(2, "little")


@pytest.mark.parametrize("model", MODELS)
async def test_a_meter_that_holds_these_registers_is_read_as_they_say(
    model: str, rtu_server: Any
) -> None:
    profile, golden = replace(load_profile(model), min_gap_ms=0), golden_of(model)
    registers = golden.registers()
    serial = golden.identity.serial if golden.identity else "1"
    meter = MeterConfig(id=f"{profile.maker}-{serial}", profile=model, address=golden.address)
    async with rtu_server(lambda request: [(0, answer(registers, request))]) as server:
        bus = TcpBus(
            name="bench", host="127.0.0.1", meter=[meter], port=server.port, rtu_over_tcp=True
        )
        line = Line(bus, FaultLog(start_logging()))
        await line.connect()
        try:
            reading = await RegisterReader(line, meter, profile, make_clock(ClockConfig())).poll()
        finally:
            line.close()
    expected = golden.expected
    assert (reading.import_uwh, reading.export_uwh, reading.power_w) == (
        expected["energy_import"],
        expected.get("energy_export", 0),
        expected["active_power"],
    )
    flags = ReadingFlag(0) if profile.energy_export else ReadingFlag.NO_EXPORT
    flags |= ReadingFlag(0) if profile.identity else ReadingFlag.CONFIGURED_ID
    assert ReadingFlag(reading.flags) == flags


@pytest.mark.parametrize("model", MODELS)
def test_power_flows_back_in_the_frames_of_a_meter_that_can_say_so(model: str) -> None:
    unsigned = load_profile(model).active_power.type.startswith("uint")
    assert (golden_of(model).expected["active_power"] < 0) is not unsigned


def _swapped(point: Point) -> Point:
    other: WordOrder = "lsw_first" if point.word_order == "msw_first" else "msw_first"
    return replace(point, word_order=other)


def _always(_: Point) -> bool:
    return True


# A slip in a profile, whether a point can have it, and what makes it.
SLIPS: list[tuple[str, Callable[[Point], bool], Callable[[Point], Point]]] = [
    ("words swapped", lambda point: point.count > 1, _swapped),
    (
        "ten times the scale",
        _always,
        lambda point: replace(point, scale=str(10 * Decimal(point.scale))),
    ),
    (
        "a thousandth of the scale",
        lambda point: point.type.startswith("float") or not point.is_energy,
        lambda point: replace(point, scale=str(Decimal(point.scale) / 1000)),
    ),
    (
        "the other sign",
        lambda point: not point.is_energy,
        lambda point: replace(point, scale=str(-Decimal(point.scale))),
    ),
    ("one register further", _always, lambda point: _moved(point, 1)),
    ("one register before", lambda point: point.address > 0, lambda point: _moved(point, -1)),
]


def _moved(point: Point, by: int) -> Point:
    return replace(point, address=point.address + by)


@pytest.mark.parametrize(("slip", "possible", "make"), SLIPS, ids=[slip[0] for slip in SLIPS])
@pytest.mark.parametrize("model", MODELS)
def test_a_slip_in_a_profile_does_not_survive_the_frames(
    model: str, slip: str, possible: Callable[[Point], bool], make: Callable[[Point], Point]
) -> None:
    golden = golden_of(model)
    registers = golden.registers()
    survivors = [
        name
        for name, point in load_profile(model).all_points().items()
        if possible(point) and decoded(registers, make(point)) == golden.expected[name]
    ]
    assert survivors == [], slip


@pytest.mark.parametrize("model", MODELS)
def test_a_signed_power_read_as_unsigned_does_not_survive_the_frames(model: str) -> None:
    golden = golden_of(model)
    registers = golden.registers()
    powers = {
        name: point
        for name, point in load_profile(model).all_points().items()
        if point.is_power and point.type.startswith("int")
    }
    wrong = {
        name: msgspec.convert(msgspec.to_builtins(point) | {"type": f"u{point.type}"}, Point)
        for name, point in powers.items()
    }
    told = [name for name in powers if decoded(registers, wrong[name]) != golden.expected[name]]
    assert bool(told) is bool(powers)
