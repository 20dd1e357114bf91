"""bus: how near the gateway comes to what a serial line can carry.

The real bus code of the agent (one MeterPoller a meter, on one Line) polls sixteen simulated
meters that stand in another process, behind a pseudo-terminal paced to the line's speed. Every
poll is due before the one before has ended, so the line is never idle for want of work.

The limit is the protocol's own, from Modbus over Serial Line V1.02: the characters of request
and reply at the line's bits a character (8N1: ten), and after each of the two a silence of 3.5
characters (2.5.1.1; 1.75 ms above 19,200 baud). It allows neither meter nor gateway any time to
think. `ratio` is what the requests that were answered need by that limit, over the time they
took. The simulator's own work hides behind the silence before a reply; what does not fit there
is counted against the gateway.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from bench.rig.processes import Process, python
from gridtokenx_edge.agent import loop
from gridtokenx_edge.config.edge_config import MeterConfig, SerialBus
from gridtokenx_edge.log import FaultLog, start_logging
from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.meters.profile import load_profile
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.register_reader import RegisterReader
from gridtokenx_edge.polling.driver import PolledMeter
from gridtokenx_edge.polling.poller import MeterPoller
from gridtokenx_wire.clock import ClockConfig, make_clock
from gridtokenx_wire.reading import Reading

BAUDS = (9_600, 38_400)
MODELS = ("eastron_sdm630", "eastron_sdm120", "abb_b23", "schneider_iem3155")
_MAKERS = {"eastron": "EASTRON", "abb": "ABB", "schneider": "SCHNEIDER"}
_METERS = 16
_BITS_PER_CHARACTER = 10
_REQUEST_CHARACTERS = 8
_REPLY_OVERHEAD = 5  # address, function code, length, checksum
_SETTLE_S = 3.0


class _Counted(Line):
    """A line that counts the answers on it."""

    requests = 0
    failed = 0
    limit_s = 0.0

    async def read(self, address: int, block: Block, *more: Any) -> list[int]:
        try:
            words = await super().read(address, block, *more)
        except Exception:
            self.failed += 1
            raise
        self.requests += 1
        self.limit_s += limit_s(block, self._config.baud)
        return words


def limit_s(block: Block, baud: int) -> float:
    """Return the shortest time that the protocol allows for a request and its reply."""
    characters = _REQUEST_CHARACTERS + _REPLY_OVERHEAD + 2 * block.count
    silence_s = 3.5 * _BITS_PER_CHARACTER / baud if baud <= 19_200 else 0.00175
    return characters * _BITS_PER_CHARACTER / baud + 2 * silence_s


def run(seconds: float, bauds: Sequence[int] = BAUDS) -> dict[str, object]:
    """Return `seconds` at each speed; the keys without a speed are those of the speed with the
    lowest ratio.
    """
    each = {baud: _at_speed(baud, seconds) for baud in bauds}
    worst = min(bauds, key=lambda baud: cast(float, each[baud]["ratio"]))
    report: dict[str, object] = {**each[worst], "baud": worst, "meters": _METERS}
    for baud, figures in each.items():
        report |= {f"{key}_{baud}": value for key, value in figures.items()}
    return report


def _at_speed(baud: int, seconds: float) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="gridtokenx-bench-") as name:
        folder = Path(name)
        config = folder / "sim.toml"
        config.write_text(_sim_toml(baud))
        simulator = Process("sim", python("gridtokenx_sim", "run", str(config)), folder)
        with simulator:
            simulator.ready()
            return loop.run(_measure(folder / "tty", baud, seconds))


async def _measure(port: Path, baud: int, seconds: float) -> dict[str, object]:
    log = start_logging()
    meters = [
        MeterConfig(id=_meter_id(n), profile=_model(n), address=n + 1, poll_every_s=0.1)
        for n in range(_METERS)
    ]
    line = _Counted(SerialBus(name="bench", port=str(port), meter=meters, baud=baud), FaultLog(log))
    clock = make_clock(ClockConfig())
    sink = _Sink()
    tasks = [asyncio.create_task(line.keep_up())]
    for meter in meters:
        reader = RegisterReader(line, meter, load_profile(meter.profile), clock)
        polled = PolledMeter(
            line=line,
            reader=reader,
            sink=sink,
            address=meter.address,
            retries=line.retries_of(meter),
        )
        poller = MeterPoller(meter, polled, clock, _Quiet())
        tasks.append(asyncio.create_task(poller.run()))
    await asyncio.sleep(_SETTLE_S)
    began, limit_before, requests_before = time.monotonic(), line.limit_s, line.requests
    readings_before = sink.readings
    await asyncio.sleep(seconds)
    elapsed_s = time.monotonic() - began
    needed_s, requests = line.limit_s - limit_before, line.requests - requests_before
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "requests_per_s": round(requests / elapsed_s, 2),
        "limit_requests_per_s": round(requests / needed_s, 2),
        "ratio": round(needed_s / elapsed_s, 4),
        "polls_per_s": round((sink.readings - readings_before) / elapsed_s, 2),
        "failed": line.failed,
    }


class _Sink:
    readings = 0

    def begin(self) -> None: ...

    def add(self, _reading: Reading) -> None:
        self.readings += 1

    def end(self) -> None: ...


class _Quiet:
    """A log that drops every message, as polls are missed on purpose here."""

    def __getattr__(self, level: str) -> Any:
        return lambda *_, **__: None


def _model(number: int) -> str:
    return MODELS[number % len(MODELS)]


def _meter_id(number: int) -> str:
    return f"{_MAKERS[_model(number).partition('_')[0]]}-{1000 + number}"


def _sim_toml(baud: int) -> str:
    lines = ['[site]\nlatitude = 48.2\nlongitude = 16.37\nstart = "2026-06-01T00:00:00Z"']
    lines.append(f'[[bus]]\nname = "bench"\nkind = "serial"\nlink = "tty"\nbaud = {baud}')
    lines.append("paced = true")
    lines += [
        f'[[bus.meter]]\nmodel = "{_model(number)}"\naddress = {number + 1}\n'
        f'serial = "{1000 + number}"\nannual_load_kwh = "3500"'
        for number in range(_METERS)
    ]
    return "\n".join(lines) + "\n"
