"""The agent as a process: everything wired, until SIGTERM.

Started as `python -m gridtokenx_edge.agent CONFIG VERSION` by `gridtokenx-edge run`, so that
nothing of the command line stays in memory.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pymodbus import ModbusException

from gridtokenx_edge.clock_status import ClockWatch
from gridtokenx_edge.config import BusConfig, EdgeConfig, Paths, resolve_paths
from gridtokenx_edge.config_check import load_config
from gridtokenx_edge.former import Formers
from gridtokenx_edge.log import FaultLog, Logger, start_logging
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.poller import MeterPoller
from gridtokenx_edge.modbus.readers import Readers, load_any
from gridtokenx_edge.outbox import Outbox, OutboxRefusedError, OutboxUnavailableError
from gridtokenx_edge.sealer import Sealer
from gridtokenx_edge.uplink import Uplink
from gridtokenx_wire.clock import make_clock
from gridtokenx_wire.errors import ConfigError, KeyFileError
from gridtokenx_wire.keys import device_text, load_private_key

USER_ERROR = 2
_REPORT_EVERY_S = 300.0
# A stop takes at most 5 s: these, and what little is left.
_STOP_POLLS_S = 1.0
_STOP_SEALER_S = 1.5
_STOP_UPLINK_S = 1.5


class Agent:
    """One gateway: lines and pollers, sealer, outbox, uplink."""

    def __init__(
        self, config: EdgeConfig, paths: Paths, key: Ed25519PrivateKey, version: str, log: Logger
    ) -> None:
        self._config = config
        self._log = log
        self._clock = make_clock(config.clock)
        self._outbox = Outbox(paths.outbox, key, config.outbox)
        self._uplink = Uplink(config, paths, self._outbox, self._clock, version, log)
        self._formers = Formers(config, paths, self._clock, version, log)
        self._sealer = Sealer(
            self._outbox,
            config.uplink,
            self._clock,
            ClockWatch(config.clock),
            log,
            self._uplink.sealed,
        )
        self._profiles = {name: load_any(name) for name in _profiles_of(config)}

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop`. Raises OutboxRefusedError at once where the outbox is not ours."""
        await self._open_outbox()
        self._report_start()
        sealing = asyncio.create_task(self._sealer.run(), name="sealer")
        sending = asyncio.create_task(self._send(), name="uplink")
        polling = asyncio.create_task(self._poll_all(), name="polls")
        reporting = asyncio.create_task(self._report(), name="report")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        everything: list[asyncio.Task[Any]] = [sealing, sending, polling, reporting, stopping]
        await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
        for task in (reporting, stopping, polling):
            task.cancel()
        await asyncio.wait([polling], timeout=_STOP_POLLS_S)
        self._sealer.stop()
        await asyncio.wait([sealing], timeout=_STOP_SEALER_S)
        self._uplink.stop()
        await self._formers.stop()
        await asyncio.wait([sending], timeout=_STOP_UPLINK_S)
        for task in everything:
            task.cancel()
        results = await asyncio.gather(*everything, return_exceptions=True)
        await self._outbox.close()
        self._log.info("stopped", held=self._sealer.held, unacked=self._uplink.unacked)
        for result in results:
            if isinstance(result, Exception):
                raise result  # a bug of ours: better a restart than half an agent

    async def _send(self) -> None:
        """What former keys of this gateway have left goes first."""
        await self._formers.go_first()
        await self._uplink.run()

    async def _open_outbox(self) -> None:
        try:
            await self._outbox.open()
        except OutboxUnavailableError as fault:
            # Readings are held in memory; the sealer tries again.
            self._log.error("outbox_unavailable", reason=str(fault), held=0)

    async def _poll_all(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for bus in self._config.bus:
                line = Line(bus, FaultLog(self._log))
                tasks.create_task(line.keep_up(), name=f"line {bus.name}")
                for poller in self._pollers(bus, line):
                    tasks.create_task(poller.run())

    def _pollers(self, bus: BusConfig, line: Line) -> list[MeterPoller]:
        readers = Readers(line, self._clock)
        return [
            MeterPoller(
                line,
                meter,
                readers.make(meter),
                self._sealer,
                self._clock,
                self._log,
            )
            for meter in bus.meter
        ]

    def _report_start(self) -> None:
        meters = [meter.id for bus in self._config.bus for meter in bus.meter]
        self._log.info(
            "started",
            device=device_text(self._outbox.device),
            community=self._config.site.community,
            meters=meters,
            outbox_frames=self._outbox.next_seq - self._outbox.oldest_seq,
        )
        for name, profile in self._profiles.items():
            if profile.confidence == "contested":
                self._log.warning("profile_contested", profile=name, notes=list(profile.notes))

    async def _report(self) -> None:
        """What an operator wants to see now and then in the journal."""
        while True:
            await asyncio.sleep(_REPORT_EVERY_S)
            counts = self._uplink.counts
            self._log.info(
                "progress",
                readings_sealed=self._sealer.sealed,
                readings_held=self._sealer.held,
                readings_dropped=self._sealer.dropped,
                frames_sent=counts.sent,
                frames_resent=counts.resent,
                frames_acked=counts.acked,
                frames_unacked=self._uplink.unacked,
                verdicts=dict(counts.verdicts),
            )


def _profiles_of(config: EdgeConfig) -> list[str]:
    return sorted({meter.profile for bus in config.bus for meter in bus.meter})


async def run_agent(config: EdgeConfig, paths: Paths, key: Ed25519PrivateKey, version: str) -> None:
    """Runs an agent until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    bugs: list[Any] = []

    def on_exception(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # pymodbus raises in its reader at bytes that are no frame; the request just times out.
        if not isinstance(context.get("exception"), ModbusException):
            bugs.append(context)
            stop.set()

    loop.set_exception_handler(on_exception)
    await Agent(config, paths, key, version, start_logging()).run(stop)
    if bugs:
        raise RuntimeError(bugs[0]["message"]) from bugs[0].get("exception")


def main(arguments: list[str]) -> int:
    """Runs with the config file and the version in `arguments`; the process's exit code."""
    path, version = Path(arguments[0]), arguments[1]
    try:
        config = load_config(path)
        paths = resolve_paths(config, path)
        if not paths.key.exists():
            hint = f"make it: gridtokenx-edge key --config {path}"
            raise KeyFileError(f"{paths.key}: expected the device's key; {hint}")
        key = load_private_key(paths.key)
        asyncio.run(run_agent(config, paths, key, version))
    except (ConfigError, KeyFileError, OutboxRefusedError) as error:
        sys.stderr.write(f"{error}\n")
        return USER_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
