"""The status page, its JSON and the metrics: what they say, and whom they say it to."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from html.parser import HTMLParser
from typing import Any, cast

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gridtokenx_edge.status.kernel_clock import read_kernel_clock
from gridtokenx_edge.status.metrics import metrics_text
from gridtokenx_edge.status.page import PAGE_POLICY, page_html
from gridtokenx_edge.status.server import StatusServer, answer
from gridtokenx_edge.status.state import (
    BusState,
    ClockState,
    GatewayState,
    MeterState,
    OutboxState,
    UplinkState,
)
from gridtokenx_edge.uplink.troubles import Trouble

GOOD = MeterState(
    id="ABB-1", profile="abb_b23", address=1, poll_every_s=10, readings=12, polls_missed=1,
    errors={"meter_silent": 3}, error="", round_trip_ms=42, answers=13, answers_s=0.546,
    time_ms=1_780_000_000_000, age_s=2.5, is_late=False, import_uwh=1_234_567_890_123,
    export_uwh=0, clock_ahead_ms=-2500, power_w=-1530,
)  # fmt: skip
NEVER = MeterState(
    id='EASTRON-"<2>\\', profile="eastron_sdm630", address=2, poll_every_s=10, readings=0,
    polls_missed=0, errors={}, error="no reply within <500> ms", round_trip_ms=0, answers=0,
    answers_s=0.0,
)  # fmt: skip
STATE = GatewayState(
    version="1.2.3",
    device="quklnhpxgrcyvf6hpnl4bjyxna",
    community="sonnenweg",
    site="Sonnenweg 3 <script>",
    up_s=93_784,
    cpu_s=12.5,
    memory_bytes=43 * 2**20,
    clock=ClockState(
        is_synchronised=True,
        source="ntp",
        time_ms=1_780_000_002_500,
        max_error_ms=31.5,
        drift_ppm=-4.25,
    ),
    buses=[
        BusState(
            name="cellar",
            where="/dev/ttyUSB0 9600 N",
            is_up=True,
            utilisation=0.125,
            requests=30,
            busy_s=1.5,
            meters=[GOOD, NEVER],
        )
    ],
    outbox=OutboxState(
        is_open=True,
        frames=33,
        bytes=40_960,
        readings_held=2,
        readings_sealed=12,
        readings_dropped=0,
    ),
    uplink=UplinkState(
        broker="broker:8883",
        is_connected=True,
        frames_unacked=4,
        frames_sent=40,
        frames_resent=3,
        frames_acked=33,
        verdicts={"rate": 2},
        last_ack_age_s=61.0,
    ),
)


def test_registers_are_counters_as_prometheus_wants_them() -> None:
    families = {each.name: each for each in text_string_to_metric_families(metrics_text(STATE))}
    for name in ("import_kwh", "export_kwh"):
        family = families[f"gridtokenx_edge_{name}"]
        assert family.type == "counter"
        assert {sample.name for sample in family.samples} == {f"gridtokenx_edge_{name}_total"}


TROUBLED = msgspec.structs.replace(
    STATE,
    uplink=msgspec.structs.replace(
        STATE.uplink,
        trouble=Trouble(name="revoked", reason="revoked <b>", do="enrol with a new key"),
    ),
)


def test_what_keeps_readings_from_being_acked_stands_first_on_the_page_and_in_the_metrics() -> None:
    page = page_html(TROUBLED)
    assert page.index("revoked &lt;b&gt;") < page.index("Last ack")
    assert "enrol with a new key" in page
    assert "<b>revoked" not in page
    assert 'class="good">connected' not in page, "nothing is green about it"
    assert samples(TROUBLED)["trouble", (("name", "revoked"),)] == 1
    assert not [key for key in samples(STATE) if key[0] == "trouble"]


def samples(state: GatewayState) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics_text(state))
    return {
        (sample.name.removeprefix("gridtokenx_edge_"), tuple(sorted(sample.labels.items()))): (
            sample.value
        )
        for family in families
        for sample in family.samples
    }


def test_prometheus_reads_every_metric() -> None:
    found = samples(STATE)
    abb = (("bus", "cellar"), ("meter", "ABB-1"))
    strange = (("bus", "cellar"), ("meter", 'EASTRON-"<2>\\'))
    expected: dict[Any, float] = {
        ("info", (("version", "1.2.3"),)): 1,
        ("readings_total", abb): 12,
        ("readings_total", strange): 0,
        ("poll_errors_total", (*abb[:1], ("kind", "meter_silent"), *abb[1:])): 3,
        ("polls_missed_total", abb): 1,
        ("value_age_seconds", abb): 2.5,
        ("power_watts", abb): -1530,
        ("meter_clock_ahead_seconds", abb): -2.5,
        ("import_kwh_total", abb): 1234.567890123,
        ("export_kwh_total", abb): 0,
        ("round_trip_seconds_sum", abb): 0.546,
        ("round_trip_seconds_count", abb): 13,
        ("bus_up", (("bus", "cellar"),)): 1,
        ("bus_utilisation_ratio", (("bus", "cellar"),)): 0.125,
        ("bus_requests_total", (("bus", "cellar"),)): 30,
        ("bus_busy_seconds_total", (("bus", "cellar"),)): 1.5,
        ("outbox_open", ()): 1,
        ("outbox_frames", ()): 33,
        ("outbox_bytes", ()): 40_960,
        ("readings_held", ()): 2,
        ("readings_sealed_total", ()): 12,
        ("readings_dropped_total", ()): 0,
        ("broker_connected", ()): 1,
        ("frames_unacked", ()): 4,
        ("frames_sent_total", ()): 40,
        ("frames_resent_total", ()): 3,
        ("frames_acked_total", ()): 33,
        ("last_ack_age_seconds", ()): 61,
        ("verdicts_total", (("reason", "rate"),)): 2,
        ("clock_synchronised", ()): 1,
        ("clock_max_error_seconds", ()): 0.0315,
        ("clock_drift_ppm", ()): -4.25,
        ("resident_memory_bytes", ()): 43 * 2**20,
        ("cpu_seconds_total", ()): 12.5,
        ("up_seconds", ()): 93_784,
    }
    for key, value in expected.items():
        assert found[key] == pytest.approx(value), key
    assert ("value_age_seconds", strange) not in found, "what was never read has no age"
    assert found.keys() - expected.keys() == {
        ("polls_missed_total", strange),
        ("round_trip_seconds_sum", strange),
        ("round_trip_seconds_count", strange),
    }


class Reader(HTMLParser):
    """The page's text, its tags, and whether they close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)
        assert not {name for name, _ in attrs} & {"style", "onclick", "src"}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] != "style":
            self.words.append(data)


def read(state: GatewayState) -> tuple[str, list[str]]:
    reader = Reader()
    reader.feed(page_html(state))
    assert reader.open == []
    return " ".join(reader.words), reader.tags


def test_the_page_says_what_an_installer_asks() -> None:
    text, tags = read(STATE)
    for expected in (
        "Sonnenweg 3 <script>", "quklnhpxgrcyvf6hpnl4bjyxna", "connected", "1 min 1 s ago",
        "4 frames", "33 frames", "40 KiB", "synchronised", "rate 2", "cellar", "12% busy",
        "ABB-1", "-1,530 W", "1,234.567 kWh", "2 s old", "42 ms", "-2.5 s", 'EASTRON-"<2>\\',
        "no reply within <500> ms", "no reading yet", "1 d 2 h", "43.0 MiB", "1.2.3",
    ):  # fmt: skip
        assert expected in text, expected
    assert "script" not in tags


def test_a_value_that_is_old_is_not_shown_as_if_it_were_true_now() -> None:
    late = msgspec.structs.replace(GOOD, is_late=True, age_s=300.0)
    bus = msgspec.structs.replace(STATE.buses[0], meters=[late])
    text, _ = read(msgspec.structs.replace(STATE, buses=[bus]))
    assert "1,530" not in text
    assert "5 min 0 s old" in text


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET / HTTP/1.1\r\nHost: localhost:9480", "200 OK"),
        ("GET / HTTP/1.0\r\nhost: 127.0.0.1", "200 OK"),
        ("HEAD /metrics HTTP/1.1\r\nHost: [::1]:9480", "200 OK"),
        ("GET /status.json?now HTTP/1.1\r\nHost: LOCALHOST", "200 OK"),
        ("GET /etc/passwd HTTP/1.1\r\nHost: localhost", "404 Not Found"),
        ("POST / HTTP/1.1\r\nHost: localhost", "405 Method Not Allowed"),
        ("GET / HTTP/2\r\nHost: localhost", "405 Method Not Allowed"),
        ("nonsense", "405 Method Not Allowed"),
        ("", "405 Method Not Allowed"),
        ("GET / HTTP/1.1", "421 Misdirected Request"),
        ("GET / HTTP/1.1\r\nHost: evil.example:9480", "421 Misdirected Request"),
        ("GET / HTTP/1.1\r\nHost: localhost.evil.example", "421 Misdirected Request"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example", "421 Misdirected Request"),
    ],
)
def test_only_get_and_only_under_our_own_name(head: str, status: str) -> None:
    looks = []

    def look() -> GatewayState:
        looks.append(1)
        return STATE

    assert answer(head, look)[0] == status
    assert bool(looks) == (status == "200 OK"), "nothing is worked out for a stranger"


class Log:
    def __init__(self) -> None:
        self.events: list[str] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **_: self.events.append(event)


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answered = await until_closed(reader)
    writer.close()
    return answered


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the connection ends, whether it is closed or reset."""
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:
        return b""


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_clients_that_are_slow_or_many_or_long_are_let_go(
    port: int, wait_until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridtokenx_edge.status.server._TIMEOUT_S", 0.3)
    monkeypatch.setattr(StatusServer, "_look", lambda _: STATE)
    log = Log()
    with socket.create_server(("127.0.0.1", port)):
        monkeypatch.setattr("gridtokenx_edge.status.server._BIND_AGAIN_S", 0.02)
        server = StatusServer(port, cast(Any, None), cast(Any, log))
        task = asyncio.create_task(server.run())
        await wait_until(lambda: log.events)
    assert log.events == ["status_unavailable"]
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    await wait_until(lambda: _is_open(port))
    slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
    await wait_until(lambda: server._open == 8)
    assert (await ask(port, request)).startswith(b"HTTP/1.0 200 OK\r\n"), "the oldest makes room"
    assert [await until_closed(reader) for reader, _ in slow] == [b""] * 8
    assert (await ask(port, request)).startswith(b"HTTP/1.0 200 OK\r\n")
    assert await ask(port, b"GET /" + b"x" * 9000) == b""
    for endless in (b"a: b\r\n", b"x"):
        assert await ask(port, b"GET / HTTP/1.1\r\n" + endless * 20_000) == b""
    await wait_until(lambda: not server._open)
    for _, writer in slow:
        writer.close()
    server.stop()
    await asyncio.wait_for(task, 5)


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_the_agent_shows_its_own_state_and_a_reload_turns_it_off(
    meters: Any, site: Any, broker: Any, backend: Any, ack_key: str, wait_until: Any, port: int
) -> None:
    bus = meters.tcp(meters.meter("abb_b23", 1), meters.meter("abb_b23", 9), name="hall")
    async with meters.serve(bus) as running:
        extra = f"status = {{port = {port}}}"
        site.write(running, ack_key, broker.port, extra=extra)
        text = site.config.read_text()
        site.config.write_text(text.replace("address = 9", "address = 77"))
        agent = site.start()
        await wait_until(lambda: len(backend.readings) >= 5 and _is_open(port))
        body = await ask(port, b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        state = msgspec.json.decode(body.partition(b"\r\n\r\n")[2], type=GatewayState)
        page = await ask(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        scrape = await ask(port, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        site.config.write_text(text.replace(extra, ""))
        agent.send_signal(1)
        await wait_until(lambda: not _is_open(port))
    check_state(state, backend, broker)
    head, _, html = page.decode().partition("\r\n\r\n")
    assert f"Content-Security-Policy: {PAGE_POLICY}\r\n" in head
    assert "ABB-1001" in html
    body = scrape.partition(b"\r\n\r\n")[2]
    assert len(list(text_string_to_metric_families(body.decode()))) >= 30


def check_state(state: GatewayState, backend: Any, broker: Any) -> None:
    (hall,) = state.buses
    one, dead = hall.meters
    last = next(reading for reading in backend.readings if reading.time_ms == one.time_ms)
    assert (one.import_uwh, one.export_uwh) == (last.import_uwh, last.export_uwh)
    assert one.power_w == last.power_w
    assert one.readings >= 5
    assert 0 <= (one.age_s or 0) < 5
    assert not one.is_late
    assert one.answers > one.readings
    assert dead.is_late
    assert dead.time_ms is None
    assert sum(dead.errors.values()) >= 1
    assert dead.error
    assert hall.is_up
    assert 0 < hall.utilisation <= 1
    assert state.uplink.broker == f"127.0.0.1:{broker.port}"
    assert state.uplink.is_connected
    assert state.uplink.frames_acked >= 1
    assert state.outbox.bytes > 0
    assert 10 * 2**20 < state.memory_bytes < 100 * 2**20
    assert re.fullmatch("[a-z2-7]{26}", state.device)
    assert json.loads(msgspec.json.encode(state))["clock"]["time_ms"] > 1_700_000_000_000


def test_the_kernels_clock_is_read_or_not_but_never_guessed() -> None:
    clock = read_kernel_clock()
    assert clock is None or (clock.max_error_ms >= 0 and -1000 < clock.drift_ppm < 1000)
