"""`gridtokenx-edge read` and `watch` beside real lines: widths, bytes, faults, a running agent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gridtokenx_edge.commissioning.check import format_quantity
from gridtokenx_edge.commissioning.check.meter_session import ModbusSession
from gridtokenx_edge.commissioning.check.ports import agent_runs
from gridtokenx_edge.commissioning.check.visit import site_view
from gridtokenx_edge.commissioning.check.watch import Watch
from gridtokenx_edge.config.config_check import load_config
from gridtokenx_sim.config.faults import ExceptionReply, Silence
from gridtokenx_wire.clock import SystemClock

ACK_KEY = "FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z"
PROGRAM = (sys.executable, "-m", "gridtokenx_edge")
ENVIRONMENT = {"COLUMNS": "80", "PATH": "/usr/bin"}


@asynccontextmanager
async def started(*arguments: str | Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command; ended at the latest with the context."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=ENVIRONMENT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def edge(*arguments: str | Path) -> tuple[int | None, str, str]:
    async with started(*arguments) as process:
        output, errors = await process.communicate()
        return process.returncode, output.decode(), errors.decode()


def cabinet(meters: Any) -> Any:
    return meters.serial(
        meters.meter("eastron_sdm630", 1, "12345678"),
        meters.meter("carlo_gavazzi_em340", 2, "KY1234567890"),
        name="cabinet",
    )


async def test_everything_that_a_meter_tells_fits_80_columns(
    meters: Any, site: Any, rtu: Any
) -> None:
    async with meters.serve(cabinet(meters)) as running:
        site.write(running, ACK_KEY, 1)
        code, output, _ = await edge("read", "--config", site.config, "--raw")
    assert code == 0
    lines = output.splitlines()
    assert max(map(len, lines)) <= 80
    assert "CARLO-GAVAZZI-KY1234567890" in output
    values = [line.split() for line in lines]
    (voltage,) = [words for words in values if words[:2] == ["voltage", "L3"]][:1]
    assert 220 < float(voltage[2]) < 240
    assert voltage[3] == "V"
    assert any(words[:1] == ["import"] and float(words[1]) > 1234 for words in values)
    assert "  fc 3, 2 registers from 0xFC00: identity" in lines
    assert f"    sent  {rtu('01 03 fc 00 00 02').hex(' ')}" in lines
    assert f"    got   {rtu('01 03 04 00 bc 61 4e').hex(' ')}" in lines


async def test_an_inverted_meters_phases_are_inverted_too(meters: Any, site: Any) -> None:
    async with meters.serve(cabinet(meters)) as running:
        site.write(running, ACK_KEY, 1)
        text = site.config.read_text()
        site.config.write_text(text.replace("address = 1", "address = 1\ninvert = true"))
        _, output, _ = await edge(
            "read", "--config", site.config, "--meter", "EASTRON-12345678", "--json"
        )
    (meter,) = json.loads(output)["meters"]
    assert meter["invert"] is True
    assert meter["power_w"] < 0
    assert float(meter["values"]["power_l1"]["value"]) < 0
    assert float(meter["values"]["voltage_l1"]["value"]) > 220
    assert (meter["import_kwh"], float(meter["export_kwh"]) > 1234) == ("567.000000000", True)


def test_the_phases_of_an_inverted_meter_are_exchanged_by_name() -> None:
    values = {"energy_import_l1": 5, "energy_export_l1": 7, "power_l1": 3, "voltage_l1": 230_000}
    assert site_view(values, invert=True) == {
        "energy_export_l1": 5,
        "energy_import_l1": 7,
        "power_l1": -3,
        "voltage_l1": 230_000,
    }
    assert site_view(values | {"power_l1": None}, invert=True)["power_l1"] is None
    assert site_view(values, invert=False) == values


@pytest.mark.parametrize(
    ("name", "value", "shown", "exact"),
    [
        ("voltage_l1", 229_850, "229.9", "229.850"),
        ("current_l1", -2_345, "-2.345", "-2.345"),
        ("frequency", 49_994, "49.99", "49.994"),
        ("power_factor", 998, "0.998", "0.998"),
        ("power_l1", -523, "-523", "-523"),
        ("energy_import_l1", 1_234_567_899_999, "1234.567", "1234.567899999"),
        ("reactive_power", 12, "12", "12"),
        ("apparent_power", 524, "524", "524"),
    ],
)
def test_values_are_shown_in_their_units(name: str, value: int, shown: str, exact: str) -> None:
    assert (format_quantity.shown(name, value), format_quantity.exact(name, value)) == (
        shown,
        exact,
    )


async def test_what_a_meter_lacks_takes_nothing_else_with_it(meters: Any, site: Any) -> None:
    """The simulated B23 refuses what its document does not list, such as reactive power."""
    bus = meters.serial(meters.meter("abb_b23", 1))
    async with meters.serve(bus) as running:
        site.write(running, ACK_KEY, 1)
        code, output, _ = await edge("read", "--config", site.config, "--json")
    (meter,) = json.loads(output)["meters"]
    assert (code, meter["ok"]) == (0, True)
    values = {name: each["value"] for name, each in meter["values"].items()}
    assert 220 < float(values["voltage_l2"]) < 240
    assert None in values.values()


async def test_a_port_that_the_running_agent_has_is_told_in_one_line(
    meters: Any, site: Any, broker: Any, backend: Any, ack_key: str, wait_until: Any
) -> None:
    async with meters.serve(cabinet(meters)) as running:
        site.write(running, ack_key, broker.port)
        assert not agent_runs(site.outbox)
        agent = site.start()
        await wait_until(lambda: backend.readings)
        assert agent_runs(site.outbox)
        port = str(running.buses[0].path)
        for command in ("read", "watch"):
            code, output, errors = await edge(command, "--config", site.config)
            text = " ".join((output + errors).split())
            assert code in {1, 2}
            expected = f"the agent runs and has {port}; stop it first, then {command}"
            assert expected.replace(" ", "") in text.replace(" ", "")
        agent.send_signal(signal.SIGTERM)
        await wait_until(lambda: agent.poll() is not None)
    assert not agent_runs(site.outbox)


async def test_watching_prints_one_object_a_round_and_old_values_stay_old(
    meters: Any, site: Any
) -> None:
    async with meters.serve(cabinet(meters)) as running:
        site.write(running, ACK_KEY, 1)
        arguments = ("watch", "--config", site.config, "--every", "0.2", "--json")
        async with started(*arguments, "--rounds", "8") as process:
            assert process.stdout
            rounds = [json.loads(await process.stdout.readline()) for _ in range(2)]
            running.meter("EASTRON-12345678").inject(Silence())
            while line := await process.stdout.readline():
                rounds.append(json.loads(line))
            await process.wait()
    assert [each["round"] for each in rounds] == list(range(1, 9))
    assert process.returncode == 1, "a meter was failing at the end"
    first, last = (each["meters"][0] for each in (rounds[0], rounds[-1]))
    assert (first["stale"], last["stale"]) == (False, True)
    assert last["error"] == "no reply within 150 ms"
    assert last["errors"] >= 5
    kept = [each["meters"][0] for each in rounds if each["meters"][0]["stale"]]
    assert {each["time_ms"] for each in kept} == {kept[0]["time_ms"]}, "never a new time"
    ages = [each["age_ms"] for each in kept]
    assert ages == sorted(ages)
    assert ages[-1] > 800
    assert rounds[-1]["meters"][1]["stale"] is False
    assert 0 < rounds[-1]["load_percent"] <= 100


async def test_watching_ends_at_ctrl_c_without_a_word_too_many(meters: Any, site: Any) -> None:
    async with meters.serve(cabinet(meters)) as running:
        site.write(running, ACK_KEY, 1)
        async with started("watch", "--config", site.config, "--json") as process:
            assert process.stdout
            await process.stdout.readline()
            os.kill(process.pid, signal.SIGINT)
            began = time.monotonic()
            _, errors = await process.communicate()
    assert process.returncode == 130
    assert errors == b""
    assert time.monotonic() - began < 3


async def test_the_picture_fits_80_columns_and_names_the_fault(meters: Any, site: Any) -> None:
    async with meters.serve(cabinet(meters)) as running:
        running.meter("EASTRON-12345678").inject(ExceptionReply(code=6))
        site.write(running, ACK_KEY, 1)
        code, output, _ = await edge("watch", "--config", site.config, "--rounds", "1")
    assert code == 1
    assert max(map(len, output.splitlines())) <= 80
    assert "cabinet, round 1, line busy" in output
    assert "EASTRON-12345678: answered exception 6 (device busy)" in output
    assert "567.000" in output, "the other meter's export register"


async def test_an_adapter_that_is_pulled_out_is_watched_until_it_is_back(
    meters: Any, site: Any
) -> None:
    async with meters.serve(cabinet(meters)) as running:
        site.write(running, ACK_KEY, 1)
        bus = load_config(site.config).bus[0]
        asking = ModbusSession(bus, bus.meter, SystemClock())
        watch = Watch(bus, bus.meter, asking, 0.05)
        seen: list[tuple[str, bool]] = []
        replugged = False

        async def on_round() -> None:
            nonlocal replugged
            if watch.rounds == 2:
                await running.buses[0].unplug()
            if watch.down and not replugged:
                replugged = True
                await running.buses[0].replug()

        rounds = 0

        def note(_: Watch) -> None:
            nonlocal rounds
            rounds += 1
            seen.append((watch.down, watch.is_stale(watch.meters[0], time.monotonic())))

        watching = asyncio.create_task(watch.run(20, note))
        while not watching.done():
            await on_round()
            await asyncio.sleep(0.005)
        await watching
    downs = [down for down, _ in seen]
    assert any(downs)
    assert downs[0] == downs[-1] == ""
    assert seen[-1][1] is False


@pytest.mark.parametrize(
    ("command", "option", "expected"),
    [("watch", "--bus", "expected a bus"), ("check", "--meter", "expected a meter")],
)
async def test_a_name_that_the_config_lacks_is_one_line(
    meters: Any, site: Any, command: str, option: str, expected: str
) -> None:
    async with meters.serve(cabinet(meters)) as running:
        site.write(running, ACK_KEY, 1)
    code, _, errors = await edge(command, "--config", site.config, option, "nobody")
    assert code == 2
    assert expected in errors
    assert len(errors.splitlines()) == 1
