"""A DLMS meter read on a gateway: associations, identity, registers, clock, invocation counters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.edge.dlms.dlms_meter import (
    IMPORT,
    KEYS,
    METER,
    PASSWORD,
    PROTECTED,
    TestedMeter,
)

from gridtokenx_dlms.acse import Mechanism
from gridtokenx_dlms.aio.mode_e_opening import OpeningTiming, open_in_mode_e
from gridtokenx_dlms.aio.server import Conduct
from gridtokenx_edge.config.dlms_config import DlmsMeter, DlmsSerial, DlmsTcp
from gridtokenx_edge.dlms.line import DlmsLine
from gridtokenx_edge.dlms.meter_access import DlmsFiles, access_of
from gridtokenx_edge.dlms.reader import DlmsReader
from gridtokenx_edge.polling.faults import (
    BusFault,
    LineDown,
    MeterDenied,
    MeterSilent,
    MeterStrange,
)
from gridtokenx_wire.clock import SystemClock
from gridtokenx_wire.reading import ReadingFlag

SECURE = {"mechanism": Mechanism.HIGH_GMAC, "keys": KEYS, "protection": PROTECTED}
SECURE_CONFIG = {"authentication": "gmac", "protection": "authenticated_encrypted"}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture(name="setting")
def _setting(tmp_path: Path) -> DlmsFiles:
    for name, text in (
        ("password", PASSWORD.decode()),
        ("ek", KEYS.encryption.hex()),
        ("ak", KEYS.authentication.hex()),
    ):
        file = tmp_path / name
        file.touch(0o600)
        file.write_text(f"{text}\n")
    return DlmsFiles(folder=tmp_path, state=tmp_path, seed=b"gateway")


def meter_config(**more: Any) -> DlmsMeter:
    secrets = {"password": "password", "encryption_key": "ek", "authentication_key": "ak"}
    open_terms = {"authentication": "none", "protection": "none"}
    return DlmsMeter(id=METER, profile="iskraemeco_am550", **{**secrets, **open_terms, **more})


ReaderOn = Callable[..., DlmsReader]


@pytest.fixture(name="reader_on")
async def _reader_on(setting: DlmsFiles) -> AsyncIterator[ReaderOn]:
    lines: list[DlmsLine] = []

    def make(
        port: int | Path, *, synchronised: bool = True, opening: Any = None, **more: Any
    ) -> DlmsReader:
        meter = meter_config(**more)
        quick: Any = {"timeout_ms": 400, "retries": 0}
        if isinstance(port, Path):
            line = DlmsLine(
                DlmsSerial(name="bus", port=str(port), meter=[meter], opening=opening, **quick)
            )
        else:
            line = DlmsLine(
                DlmsTcp(name="tcp", host="127.0.0.1", meter=[meter], port=port, **quick)
            )
        lines.append(line)
        return DlmsReader(line, access_of(meter, setting), SystemClock(), lambda: synchronised)

    yield make
    for line in lines:
        line.close()
    await asyncio.sleep(0.01)  # transports close in the loop's next lock


@pytest.mark.parametrize(
    ("served", "configured"),
    [
        pytest.param({}, {}, id="in the open"),
        pytest.param(
            {"mechanism": Mechanism.LOW, "secret": PASSWORD},
            {"authentication": "low"},
            id="password",
        ),
        pytest.param(SECURE, SECURE_CONFIG, id="GMAC, ciphered"),
        pytest.param(
            {"mechanism": Mechanism.HIGH_GMAC, "keys": KEYS}, {"authentication": "gmac"}, id="GMAC"
        ),
    ],
)
async def test_a_meters_registers_become_a_reading(
    served: dict[str, Any], configured: dict[str, Any], reader_on: ReaderOn
) -> None:
    meter = TestedMeter(now_ms, **served)
    async with meter.on_tcp() as port:
        reader = reader_on(port, **configured)
        before_ms = now_ms()
        reading = await reader.poll()
        assert before_ms <= reading.time_ms <= now_ms()
        assert reading.meter == METER
        assert reading.import_uwh // 10**6 == pytest.approx(meter.wh_at(3600, now_ms()), abs=1)
        assert reading.export_uwh // 10**6 == pytest.approx(meter.wh_at(360, now_ms()), abs=1)
        assert (reading.power_w, reading.flags) == (3240, 0)
        await reader.close()


@pytest.mark.parametrize("opening", ["hdlc", "mode_e"])
async def test_a_meter_on_a_serial_line_is_read_in_one_association(
    opening: Any, reader_on: ReaderOn, tmp_path: Path
) -> None:
    meter = TestedMeter(now_ms, **SECURE)
    async with meter.on_serial(tmp_path / "tty", mode_e=opening == "mode_e") as port:
        reader = reader_on(port, **SECURE_CONFIG, opening=opening)
        first = await reader.poll()
        associations = len(meter.associations)
        meter.requests.clear()
        second = await reader.poll()
        assert second.import_uwh >= first.import_uwh
        assert len(meter.associations) == associations == 2  # the public one told the counter
        # The registers and the clock, and nothing else.
        assert len(meter.requests) == 5
        assert reader.association.openings == 1
        await reader.close()


async def test_an_association_that_the_meter_dropped_is_opened_again_in_the_same_poll(
    reader_on: ReaderOn, tmp_path: Path
) -> None:
    meter = TestedMeter(now_ms)
    async with meter.on_serial(tmp_path / "tty") as port:
        reader = reader_on(port)
        await reader.poll()
        meter.station.close()  # as after a power cut
        assert (await reader.poll()).meter == METER
        assert reader.association.openings == 2


async def test_a_meter_that_was_left_in_hdlc_is_taken_up_there(
    reader_on: ReaderOn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Mode E's own time-outs are seconds long.
    quick = OpeningTiming(reply_s=0.3, gap_s=0.1, confirmation_s=0.3, retries=0)
    opening = partial(open_in_mode_e, timing=quick)
    monkeypatch.setattr("gridtokenx_edge.dlms.association.open_in_mode_e", opening)
    meter = TestedMeter(now_ms)
    async with meter.on_serial(tmp_path / "tty", mode_e=True) as port:
        first = reader_on(port, opening="mode_e")
        await first.poll()
        first._line.close()  # its gateway's power is cut
        assert (await reader_on(port, opening="mode_e").poll()).meter == METER


async def test_a_silent_meter_is_a_silent_meter_and_comes_back(reader_on: ReaderOn) -> None:
    meter = TestedMeter(now_ms)
    async with meter.on_tcp() as port:
        reader = reader_on(port)
        await reader.poll()
        meter.conduct = Conduct(is_silent=True)
        with pytest.raises(MeterSilent, match="no reply within 400 ms"):
            await reader.poll()
        meter.conduct = Conduct()
        assert (await reader.poll()).meter == METER


async def test_nobody_there_is_a_line_down(reader_on: ReaderOn) -> None:
    reader = reader_on(1)
    with pytest.raises(LineDown, match=r"127\.0\.0\.1:1"):
        await reader.poll()


async def test_another_meter_than_the_configs_is_refused(reader_on: ReaderOn) -> None:
    meter = TestedMeter(now_ms)
    meter.serial = "40099999"
    async with meter.on_tcp() as port:
        reader = reader_on(port)
        with pytest.raises(
            MeterStrange, match=f"expected {METER}, but the meter says it is ISKRAEMECO-40099999"
        ):
            await reader.poll()


async def test_a_wrong_key_and_a_wrong_password_are_told_apart_from_silence(
    reader_on: ReaderOn,
    setting: DlmsFiles,
) -> None:
    meter = TestedMeter(now_ms, mechanism=Mechanism.LOW, secret=b"another")
    async with meter.on_tcp() as port:
        with pytest.raises(MeterDenied, match="refused the association: authentication failure"):
            await reader_on(port, authentication="low").poll()
    (setting.folder / "ek").write_text("00" * 16)
    meter = TestedMeter(now_ms, **SECURE)
    async with meter.on_tcp() as port:
        with pytest.raises(BusFault, match=r"authentication failure|keys"):
            await reader_on(port, **SECURE_CONFIG).poll()


async def test_the_meters_clock_is_compared_and_used_while_the_gateways_is_not_set(
    reader_on: ReaderOn,
) -> None:
    meter = TestedMeter(now_ms)
    meter.ahead_ms = 45_000
    async with meter.on_tcp() as port:
        reader = reader_on(port)
        assert (await reader.poll()).flags == 0
        assert reader.clock_drift_ms == pytest.approx(45_000, abs=200)
        reading = await reader_on(port, synchronised=False).poll()
        assert reading.flags == ReadingFlag.METER_TIME
        assert reading.time_ms == pytest.approx(now_ms() + 45_000, abs=500)


async def test_an_inverted_meter_has_import_and_export_exchanged(reader_on: ReaderOn) -> None:
    meter = TestedMeter(now_ms)
    async with meter.on_tcp() as port:
        reading = await reader_on(port, invert=True).poll()
        assert reading.import_uwh < reading.export_uwh
        assert reading.power_w == -3240


async def test_no_counter_is_used_twice_over_restarts_and_crashes(reader_on: ReaderOn) -> None:
    meter = TestedMeter(now_ms, **SECURE)
    used: list[int] = []
    async with meter.on_tcp() as port:
        for _ in range(3):  # never closed in good order
            reader = reader_on(port, **SECURE_CONFIG)
            await reader.poll()
            ciphering = reader.association._ciphering
            assert ciphering
            used.append(ciphering.counter)
    assert used == sorted(used)
    assert used[1] - used[0] >= 900
    assert used[2] - used[1] >= 900


async def test_a_meter_that_has_seen_higher_counters_is_asked_which(reader_on: ReaderOn) -> None:
    meter = TestedMeter(now_ms, **SECURE)
    meter.newest_heard = 1_000_000  # a reading head with the same keys was here
    async with meter.on_tcp() as port:
        reader = reader_on(port, **SECURE_CONFIG)
        assert (await reader.poll()).meter == METER
        ciphering = reader.association._ciphering
        assert ciphering
        assert ciphering.counter > 1_000_000


async def test_registers_are_asked_for_by_name(reader_on: ReaderOn) -> None:
    meter = TestedMeter(now_ms)
    async with meter.on_tcp() as port:
        await reader_on(port).poll()
        assert str(IMPORT) in meter.requests
