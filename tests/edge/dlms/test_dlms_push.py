"""Readings that meters push: over HDLC, wired M-Bus and TCP, in the open and ciphered."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from tests.edge.dlms.dlms_meter import KEYS, PtyLine
from tests.edge.meters.pushed_messages import T210D

from gridtokenx_dlms import security
from gridtokenx_dlms.date_time import CosemDateTime
from gridtokenx_dlms.errors import DlmsError, MalformedError, SecurityError
from gridtokenx_dlms.hdlc.address import HdlcAddress
from gridtokenx_dlms.hdlc.frame import FrameKind, HdlcFrame
from gridtokenx_dlms.security import Protection
from gridtokenx_dlms.wrapper import WrapperMessage
from gridtokenx_dlms.xdlms.ciphered_message import GENERAL_GLO_TAG, Ciphered
from gridtokenx_dlms.xdlms.general_block import GeneralBlock
from gridtokenx_dlms.xdlms.notification import DataNotification, parse_data_notification
from gridtokenx_edge.config.config_check import load_config
from gridtokenx_edge.config.dlms_config import DlmsMeter, DlmsPush
from gridtokenx_edge.config.dlms_secrets import SecretError, read_secret
from gridtokenx_edge.dlms.listener import Listener, PushedFrames, PushedMeter
from gridtokenx_edge.dlms.meter_access import DlmsFiles, MeterAccess, access_of
from gridtokenx_wire.clock import SystemClock
from gridtokenx_wire.errors import ConfigError
from gridtokenx_wire.reading import Reading, ReadingFlag

WaitUntil = Callable[..., Awaitable[None]]
AUTHENTICATED = Protection.AUTHENTICATED_ENCRYPTED
TITLE = b"SAG\x59\x05\xe6\xd9\xfd"


def setting(tmp_path: Path) -> DlmsFiles:
    for name, key in (("ek", KEYS.encryption), ("ak", KEYS.authentication)):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(key.hex())
    return DlmsFiles(folder=tmp_path, state=tmp_path)


def t210d(tmp_path: Path, **more: Any) -> MeterAccess:
    given = {"encryption_key": "ek", "protection": "encrypted"} | more
    config = DlmsMeter(id="SAGEMCOM-178210015165", profile="sagemcom_t210d", **given)
    return access_of(config, setting(tmp_path), is_pushed=True)


def pushed_now(late_ms: int = 0) -> bytes:
    """The message with its time set to now, or a while ago."""
    notification = parse_data_notification(T210D)
    moment = CosemDateTime.from_unix_ms(time.time_ns() // 1_000_000 - late_ms, -60)
    return DataNotification(notification.invoke, moment, notification.value).to_bytes()


def ciphered(message: bytes, counter: int = 5, how: Protection = Protection.ENCRYPTED) -> bytes:
    content = security.protect(message, KEYS, TITLE, counter, how)
    return Ciphered(tag=GENERAL_GLO_TAG, protected=content, title=TITLE).to_bytes()


def mbus(message: bytes) -> bytes:
    """Wired M-Bus frames as the T210-D cuts them: 250 bytes of content at most."""
    frames = b""
    parts = [message[at : at + 245] for at in range(0, len(message), 245)]
    for number, part in enumerate(parts):
        ci = number | (0x10 if number == len(parts) - 1 else 0)
        content = bytes((0x53, 0xFF, ci, 0x01, 0x67)) + part
        head = bytes((0x68, len(content), len(content), 0x68))
        frames += head + content + bytes((sum(content) & 0xFF, 0x16))
    return frames


def hdlc(message: bytes, size: int = 2000) -> bytes:
    content = bytes.fromhex("E6E700") + message
    parts = [content[at : at + size] for at in range(0, len(content), size)]
    return b"".join(
        HdlcFrame(
            destination=HdlcAddress.client(16),
            source=HdlcAddress.server(1, 17),
            kind=FrameKind.UI,
            poll=False,
            information=part,
            segmented=part is not parts[-1],
        ).to_bytes()
        for part in parts
    )


@pytest.mark.parametrize("form", [mbus, hdlc, lambda message: hdlc(message, 100)])
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_messages_are_found_in_a_stream_with_noise(
    form: Callable[[bytes], bytes], step: int
) -> None:
    message = ciphered(T210D)
    stream = b"\x00\x68\x7e\x16" + form(message) + b"\xff\x68" + form(message)
    frames = PushedFrames()
    found = [
        one for at in range(0, len(stream), step) for one in frames.feed(stream[at : at + step])
    ]
    assert found == [message, message]


def test_a_damaged_or_missing_mbus_frame_costs_its_message_only() -> None:
    message = ciphered(T210D)
    good = mbus(message)
    damaged = bytearray(good)
    damaged[40] ^= 1
    frames = PushedFrames()
    assert list(frames.feed(bytes(damaged) + good + good[:251] + good)) == [message, message]


async def test_an_encrypted_message_becomes_a_reading_of_now(tmp_path: Path) -> None:
    meter = PushedMeter(t210d(tmp_path), SystemClock())
    reading = meter.reading(meter.open(ciphered(pushed_now())))
    assert reading is not None
    assert reading.meter == "SAGEMCOM-178210015165"
    assert (reading.import_uwh, reading.power_w, reading.flags) == (4_406_538 * 10**6, 510, 0)
    assert reading.time_ms == pytest.approx(time.time_ns() // 1_000_000, abs=2000)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        pytest.param(pushed_now(), SecurityError, id="in the open"),
        pytest.param(ciphered(b"\x0f" + b"\xff" * 40), MalformedError, id="nonsense"),
        pytest.param(ciphered(b""), MalformedError, id="nothing"),
        pytest.param(b"\xdb\x08SAG", DlmsError, id="cut off"),
    ],
)
def test_what_is_not_a_message_under_our_key_is_refused(
    message: bytes, error: type[DlmsError], tmp_path: Path
) -> None:
    meter = PushedMeter(t210d(tmp_path), SystemClock())
    with pytest.raises(error):
        meter.open(message)


@pytest.mark.parametrize(
    ("said", "sent", "is_taken"),
    [
        (None, Protection.ENCRYPTED, False),
        (None, AUTHENTICATED, True),
        ("encrypted", Protection.ENCRYPTED, True),
        ("encrypted", AUTHENTICATED, True),
        ("authenticated_encrypted", Protection.ENCRYPTED, False),
        ("authenticated_encrypted", AUTHENTICATED, True),
    ],
)
def test_a_message_that_proves_nothing_is_taken_only_where_the_config_says_so(
    said: str | None, sent: Protection, is_taken: bool, tmp_path: Path
) -> None:
    meter = PushedMeter(t210d(tmp_path, protection=said, authentication_key="ak"), SystemClock())
    message = ciphered(pushed_now(), how=sent)
    if is_taken:
        assert meter.open(message)
    else:
        with pytest.raises(SecurityError, match="expected a message"):
            meter.open(message)


CONFIG = """
[site]
community = "lane"
[device]
key = "device.key"
outbox = "outbox.db"
[backend]
ack_key = "4zvwRjXUKGfvwnParsHAS3HuSVzV5cA4McphgmoCtajS"
[broker]
host = "127.0.0.1"
insecure = true
[[dlms]]
name = "push"
kind = "push"
port = "{port}"
[[dlms.meter]]
id = "SAGEMCOM-1"
profile = "sagemcom_t210d"
encryption_key = "ek"
{more}
"""


@pytest.mark.parametrize(
    ("port", "more", "finding"),
    [
        ("udp:4059", 'protection = "encrypted"', None),
        ("tcp:4059", 'protection = "authenticated_encrypted"\nauthentication_key = "ak"', None),
        (
            "tcp:4059",
            'protection = "authenticated_encrypted"',
            "authentication_key: expected where the secret is",
        ),
        ("/dev/ttyUSB0", "", r'meter\[0\]\.protection: expected "encrypted", to take messages'),
        ("udp:0", 'protection = "encrypted"', r'port: expected a port such as "tcp:4059" or'),
        ("tcp:http", 'protection = "encrypted"', "port: expected a port such as"),
    ],
)
def test_the_config_says_where_pushes_come_from_and_whether_they_need_a_proof(
    port: str, more: str, finding: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "edge.toml"
    file.write_text(CONFIG.format(port=port, more=more))
    if finding is None:
        assert load_config(file).dlms[0].name == "push"
    else:
        with pytest.raises(ConfigError, match=finding):
            load_config(file)


def test_a_message_is_taken_once_and_no_older_one_after_it(tmp_path: Path) -> None:
    meter = PushedMeter(t210d(tmp_path), SystemClock())
    meter.open(ciphered(pushed_now(), counter=9))
    for counter in (9, 8):
        with pytest.raises(SecurityError, match="a replay"):
            meter.open(ciphered(pushed_now(), counter=counter))


def test_a_message_that_was_kept_back_is_no_reading_of_now(tmp_path: Path) -> None:
    meter = PushedMeter(t210d(tmp_path), SystemClock())
    with pytest.raises(MalformedError, match="expected values of now"):
        meter.reading(pushed_now(late_ms=3_600_000))


def test_a_meter_that_talks_all_the_time_is_thinned_out(tmp_path: Path) -> None:
    meter = PushedMeter(t210d(tmp_path, poll_every_s=3600), SystemClock())
    readings = [meter.reading(pushed_now()) for _ in range(3)]
    assert len([one for one in readings if one]) in {1, 2}  # 2 where an hour ends meanwhile


def test_the_meters_time_counts_while_the_gateways_clock_is_not_set(tmp_path: Path) -> None:
    meter = PushedMeter(t210d(tmp_path), SystemClock(), lambda: False)
    reading = meter.reading(pushed_now())
    assert reading is not None
    assert reading.flags == ReadingFlag.METER_TIME


class Sink:
    def __init__(self) -> None:
        self.readings: list[Reading] = []

    def begin(self) -> None: ...

    def add(self, reading: Reading) -> None:
        self.readings.append(reading)

    def end(self) -> None: ...


def listener_of(folder: Path, port: str, access: MeterAccess, sink: Sink) -> Listener:
    config = DlmsPush(name="push", port=port, meter=[access.meter])
    listener = Listener(config, setting(folder), SystemClock(), structlog.get_logger())
    listener.open_meter(access.meter, sink)
    return listener


async def test_pushes_arrive_on_a_serial_port(tmp_path: Path, wait_until: WaitUntil) -> None:
    meter = PtyLine(tmp_path / "tty")
    sink = Sink()
    listening = asyncio.create_task(
        listener_of(tmp_path, str(tmp_path / "tty"), t210d(tmp_path), sink).run()
    )
    try:
        await asyncio.sleep(0.05)  # what is sent before the port is open is nobody's
        await meter.write(mbus(ciphered(pushed_now())))
        await wait_until(lambda: sink.readings)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        meter.close()


async def test_pushes_arrive_over_tcp(tmp_path: Path, wait_until: WaitUntil) -> None:
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    sink = Sink()
    listener = listener_of(tmp_path, f"tcp:{port}", t210d(tmp_path), sink)
    listening = asyncio.create_task(listener.run())
    try:
        await wait_until(lambda: listener.port)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        garbage = WrapperMessage(source=1, destination=16, message=b"\x0f\x00").to_bytes()
        writer.write(
            garbage
            + WrapperMessage(source=1, destination=16, message=ciphered(pushed_now())).to_bytes()
        )
        await wait_until(lambda: sink.readings)
        writer.close()
        await writer.wait_closed()
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_pushes_arrive_over_udp_from_senders_who_do_not_disturb_each_other(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sink = Sink()
    listener = listener_of(tmp_path, f"udp:{port}", t210d(tmp_path), sink)
    listening = asyncio.create_task(listener.run())
    message = ciphered(pushed_now())
    halves = [
        GeneralBlock(number=number, part=part, is_last=number == 2).to_bytes()
        for number, part in enumerate((message[:100], message[100:]), 1)
    ]
    meter, stranger = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    try:
        await wait_until(lambda: listener.is_up)
        meter.sendto(
            WrapperMessage(source=1, destination=16, message=halves[0]).to_bytes(),
            ("127.0.0.1", port),
        )
        stranger.sendto(
            WrapperMessage(source=1, destination=16, message=halves[0]).to_bytes(),
            ("127.0.0.1", port),
        )
        stranger.sendto(b"\x00\x01 is no message", ("127.0.0.1", port))
        stranger.sendto(
            WrapperMessage(source=1, destination=16, message=b"\x0f\x00").to_bytes(),
            ("127.0.0.1", port),
        )
        meter.sendto(
            WrapperMessage(source=1, destination=16, message=halves[1]).to_bytes(),
            ("127.0.0.1", port),
        )
        await wait_until(lambda: sink.readings)
        assert len(sink.readings) == 1
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        meter.close()
        stranger.close()


def test_secrets_are_read_from_owners_files_the_environment_and_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METER_KEY", " 00ff ")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "key").write_text("abc\n")
    (tmp_path / "key").chmod(0o640)
    assert read_secret("env:METER_KEY", tmp_path) == "00ff"
    assert read_secret("credential:key", tmp_path) == "abc"
    with pytest.raises(SecretError, match=r"expected a file for its owner only; run: chmod 600"):
        read_secret("key", tmp_path)
    (tmp_path / "key").chmod(0o600)
    assert read_secret("key", tmp_path) == "abc"
    with pytest.raises(SecretError, match="cannot be read"):
        read_secret("missing", tmp_path)
    with pytest.raises(SecretError, match="environment's NOT_THERE"):
        read_secret("env:NOT_THERE", tmp_path)
