"""A meter that sends by itself, heard by a real agent: its page, check, read and watch tell."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.edge.conftest import free_port
from tests.edge.meters.pushed_messages import SML, T210D

from gridtokenx_dlms.date_time import CosemDateTime
from gridtokenx_dlms.wrapper import WrapperMessage
from gridtokenx_dlms.xdlms.notification import DataNotification, parse_data_notification
from gridtokenx_edge.commissioning.check.dlms_findings import judge_pushed
from gridtokenx_edge.commissioning.check.pushed_meter import PushedMeterStatus

METER = "SAGEMCOM-178210015165"
AHEAD_MS = 11 * 60_000


def pushed_now() -> bytes:
    notification = parse_data_notification(T210D)
    moment = CosemDateTime.from_unix_ms(time.time_ns() // 1_000_000 + AHEAD_MS, -60)
    message = DataNotification(notification.invoke, moment, notification.value).to_bytes()
    return WrapperMessage(source=1, destination=1, message=message).to_bytes()


def told(site: Any, command: str, *options: str) -> str:
    call = [sys.executable, "-m", "gridtokenx_edge", command, "--config", str(site.config)]
    done = subprocess.run(
        [*call, *options], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


async def test_what_the_agent_hears_is_told_by_status_check_read_and_watch(
    site: Any, broker: Any, backend: Any, ack_key: str, wait_until: Callable[..., Any]
) -> None:
    push, status = free_port(), free_port()
    now_ms = time.time_ns() // 1_000_000
    site.config.write_text(
        f'site = {{community = "lane"}}\ndevice = {{key = "edge.key", outbox = "outbox.db"}}\n'
        f'backend = {{ack_key = "{ack_key}"}}\n'
        f'broker = {{host = "127.0.0.1", port = {broker.port}, insecure = true}}\n'
        "uplink = {seal_after_s = 0, hold_unsynchronised_s = 0}\n"
        f"status = {{port = {status}}}\n"
        # A scaled clock counts as synchronised, which the clock of a test's machine may not be.
        f'[clock]\nsource = "scaled"\nwall_ms = {now_ms}\ncommunity_ms = {now_ms}\nspeed = 1\n'
        f'[[dlms]]\nname = "head"\nkind = "push"\nport = "tcp:{push}"\n'
        f'[[dlms.meter]]\nid = "{METER}"\nprofile = "sagemcom_t210d"\nprotection = "none"\n'
    )
    site.start()

    def heard() -> dict[str, Any]:
        with urlopen(f"http://127.0.0.1:{status}/status.json", timeout=5) as answer:
            (meter,) = json.load(answer)["buses"][0]["meters"]
        return dict(meter)

    await wait_until(lambda: site.has_log() and site.events("broker_connected"))
    with socket.create_connection(("127.0.0.1", push), 5) as line:
        line.sendall(SML)
        await wait_until(lambda: site.events("push_not_understood"))
        assert "SML" in heard()["error"]
        for command in (("check", "--duration", "5"), ("read",), ("watch",)):
            text = await asyncio.to_thread(told, site, *command)
            assert "no DLMS message: SML telegrams" in " ".join(text.split()), text
    with socket.create_connection(("127.0.0.1", push), 5) as line:
        line.sendall(pushed_now())
        await wait_until(lambda: site.events("meter_clock"))
        state = heard()
        assert state["import_uwh"] == 4_406_538 * 10**6
        (event,) = site.events("meter_clock")
        assert event["level"] == "warning"
        for ahead_ms in (event["ahead_ms"], state["clock_ahead_ms"]):
            assert abs(ahead_ms - AHEAD_MS) < 2000
        checked, read, watched = [
            await asyncio.to_thread(told, site, *command)
            for command in (("check", "--duration", "5"), ("read",), ("watch",))
        ]
    assert "import 4406.538" in checked, checked
    assert f"meter_clock: {METER}: its clock is off by 6" in checked, checked
    for text in (read, watched):
        assert "import 4406.538" in " ".join(text.split()), text
        assert "s ahead" in " ".join(text.split()), text


def test_a_meter_that_is_not_heard_is_an_error_with_the_reason() -> None:
    silent = PushedMeterStatus(id=METER, error="expected a ciphered message")
    (finding,) = judge_pushed(METER, silent)
    assert finding.name == "no_value"
    assert "expected a ciphered message" in finding.seen
    (unasked,) = judge_pushed(METER, None)
    assert "[status] port" in unasked.do


def test_a_late_value_is_told_as_late(tmp_path: Path) -> None:
    late = PushedMeterStatus(id=METER, age_s=4000, import_uwh=10**9, clock_ahead_ms=-688_000)
    value, clock = judge_pushed(METER, late)
    assert "4000 s old" in value.seen
    assert "688 s" in clock.seen
