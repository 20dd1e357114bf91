"""What comes on a push line and is no message, or none with registers: told, and what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.edge.dlms.dlms_meter import PtyLine
from tests.edge.dlms.test_dlms_push import (
    Sink,
    ciphered,
    hdlc,
    listener_of,
    mbus,
    pushed_now,
    t210d,
)
from tests.edge.meters.pushed_messages import AIDON, P1, SML, T210D

from gridtokenx_dlms import data
from gridtokenx_dlms.hdlc.address import HdlcAddress
from gridtokenx_dlms.hdlc.frame import FrameKind, HdlcFrame
from gridtokenx_dlms.mode_e import with_parity
from gridtokenx_dlms.xdlms.notification import DataNotification
from gridtokenx_edge.dlms.listener import PushedFrames
from gridtokenx_edge.meters.dlms_push import contents_text
from gridtokenx_edge.meters.foreign_bytes import recognise
from gridtokenx_edge.polling.faults import BusFault

WaitUntil = Callable[..., Awaitable[None]]
MESSAGE = ciphered(T210D)


def damaged(frames: bytes) -> bytes:
    """Change a byte in the middle of each frame."""
    at = len(frames) // 2
    return frames[:at] + bytes((frames[at] ^ 0x55,)) + frames[at + 1 :]


def without_parity(sent: bytes) -> bytes:
    """What 8N1 makes of bytes that are sent with even parity: a 0 of every framing error."""
    return bytes(byte if byte.bit_count() & 1 else 0 for byte in sent)


def records() -> bytes:
    """A wired M-Bus telegram with data records (EN 13757-3, CI field 72)."""
    content = bytes.fromhex("080172 78563412 2423 02 07 55000000 0413 35 01 00 00")
    head = bytes((0x68, len(content), len(content), 0x68))
    return head + content + bytes((sum(content) & 0xFF, 0x16))


def asked() -> bytes:
    frame = HdlcFrame(
        destination=HdlcAddress.server(1, 17), source=HdlcAddress.client(16), kind=FrameKind.SNRM
    )
    return frame.to_bytes()


@pytest.mark.parametrize(
    ("heard", "what", "do"),
    [
        pytest.param(SML, "SML", "switch DLMS on", id="SML"),
        pytest.param(SML[20:] + SML, "SML", "switch DLMS on", id="SML from its middle"),
        pytest.param(P1, "DSMR P1", "switch DLMS on", id="P1"),
        pytest.param(P1[40:], "DSMR P1", "switch DLMS on", id="P1 from its middle"),
        pytest.param(with_parity(P1), "7E1", "mode_e", id="text of an optical head"),
        pytest.param(records(), "M-Bus telegrams with data", "not read", id="M-Bus records"),
        pytest.param(damaged(mbus(MESSAGE)), "wrong checksums", "parity", id="damaged M-Bus"),
        pytest.param(damaged(hdlc(MESSAGE)), "wrong check sequences", "parity", id="damaged HDLC"),
        pytest.param(without_parity(hdlc(MESSAGE)), "parity bit", 'parity = "E"', id="parity"),
        pytest.param(asked(), "conversation", "line of its own", id="another client"),
        pytest.param(hdlc(T210D), "DLMS in HDLC frames", "wrapper", id="HDLC without a wrapper"),
        pytest.param(mbus(T210D), "DLMS in M-Bus frames", "wrapper", id="M-Bus to a network port"),
        pytest.param(b"\xff" * 40, "nothing but ff", "A and B", id="wires exchanged"),
        pytest.param(b"\x00" * 40, "nothing but 00", "A and B", id="a break"),
        pytest.param(b"login: admin\r\n", "text", "no meter's", id="a console"),
        pytest.param(bytes(range(128, 256)), "without any form", "baud", id="another baud rate"),
        pytest.param(b"", "without any form", "baud", id="nothing"),
    ],
)
def test_bytes_that_are_no_message_are_called_what_they_look_like(
    heard: bytes, what: str, do: str
) -> None:
    seen = recognise(heard)
    assert what in seen.what
    assert do in seen.do


def test_bytes_are_foreign_only_once_no_message_can_be_in_them() -> None:
    now_s = 0.0
    frames = PushedFrames(lambda: now_s)
    assert [*frames.feed(SML)] == []
    assert frames.foreign() is None, "a message may still begin"
    now_s = 20.0
    assert [*frames.feed(SML)] == []
    assert frames.foreign() == SML * 2
    assert frames.foreign() is None, "the next ones are collected anew"
    assert [*frames.feed(SML * 50)] == []
    assert frames.foreign() is not None, "so many bytes are no frame"
    for part in (b"\x00" * 20, hdlc(MESSAGE)):
        assert list(frames.feed(part)) in ([], [MESSAGE])
    now_s = 60.0
    assert frames.foreign() is None, "noise before a message is noise"


async def test_a_meter_that_speaks_another_language_is_told_of_once_and_is_no_fault_later(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    meter, sink, faults = PtyLine(tmp_path / "tty"), Sink(), list[BusFault]()
    with capture_logs() as logs:
        listener = listener_of(tmp_path, str(tmp_path / "tty"), t210d(tmp_path), sink)
        listener.open_meter(t210d(tmp_path).meter, sink).failed = faults.append
        listening = asyncio.create_task(listener.run())
        try:
            await wait_until(lambda: listener.is_up)
            while len(faults) < 3:
                await meter.write(SML * 8)
                await asyncio.sleep(0)
            await meter.write(mbus(ciphered(pushed_now())))
            await wait_until(lambda: sink.readings)
            of_sml = [str(fault) for fault in faults]
            faults.clear()
            while not faults:
                await meter.write(P1 * 8)
                await asyncio.sleep(0)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            meter.close()
    told = [event for event in logs if event["event"] == "push_not_understood"]
    assert [event["what"].split()[0] for event in told] == ["SML", "a"]
    assert all(event["bus"] == "push" and event["do"] and event["heard"] for event in told)
    assert "SML telegrams; such a meter is not read" in of_sml[0]
    assert "DSMR P1" in str(faults[0])


def test_lists_without_the_profiles_registers_are_told_once_with_what_they_hold(
    tmp_path: Path,
) -> None:
    sink, faults = Sink(), list[BusFault]()
    access = t210d(tmp_path, protection="none", encryption_key="")
    with capture_logs() as logs:
        listener = listener_of(tmp_path, "/dev/null", access, sink)
        pushed = listener.open_meter(access.meter, sink)
        pushed.failed = faults.append
        for _ in range(3):
            listener.received(AIDON)
    (told,) = [event for event in logs if event["event"] == "push_without_registers"]
    assert told["holds"] == "the codes 1-0:1.7.0.255"
    assert len(faults) == 3
    assert "none with the import register of the profile: they hold the codes" in str(faults[0])


def test_a_list_without_registers_between_two_readings_is_no_fault(tmp_path: Path) -> None:
    sink, faults = Sink(), list[BusFault]()
    access = t210d(tmp_path, protection="none", encryption_key="")
    listener = listener_of(tmp_path, "/dev/null", access, sink)
    listener.open_meter(access.meter, sink).failed = faults.append
    listener.received(pushed_now())
    listener.received(AIDON)
    assert (len(sink.readings), faults) == (1, [])


def test_a_list_without_codes_is_told_by_its_length() -> None:
    value = data.structure(*(data.double_long_unsigned(n) for n in range(5)))
    assert contents_text(DataNotification(1, None, value)) == "5 values without codes"
    assert contents_text(DataNotification(1, None, data.octet_string(b"x"))) == (
        "one value without a code"
    )
