"""One gateway: buses, sealer, outbox, uplink and views, wired together and kept running."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_edge.agent.drivers import DRIVERS
from gridtokenx_edge.agent.reload import ReloadPlan, plan_reload
from gridtokenx_edge.agent.retired_keys import RetiredKeys
from gridtokenx_edge.agent.sd_notify import Notifier
from gridtokenx_edge.agent.stored_readings import stored_readings
from gridtokenx_edge.agent.watchdog import Watchdog
from gridtokenx_edge.config.config_check import load_config
from gridtokenx_edge.config.edge_config import EdgeConfig, Paths, meter_ids, resolve_paths
from gridtokenx_edge.config.risks import risks
from gridtokenx_edge.log import Logger
from gridtokenx_edge.memory import give_back
from gridtokenx_edge.polling.buses import Buses
from gridtokenx_edge.polling.driver import BusSettings, Surroundings
from gridtokenx_edge.polling.stats import BusStats
from gridtokenx_edge.polling.task_supervisor import Part, TaskSupervisor
from gridtokenx_edge.progress import Beat, Progress
from gridtokenx_edge.store.clock_status import ClockWatch, kernel_synchronised
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.store.outbox_errors import OutboxUnavailableError
from gridtokenx_edge.store.sealer import Sealer
from gridtokenx_edge.uplink.uplink import Uplink
from gridtokenx_wire.clock import make_clock
from gridtokenx_wire.errors import ConfigError, KeyFileError
from gridtokenx_wire.keys import device_id, device_text

_REPORT_EVERY_S = 300.0
# A stop takes at most 5 s: these times and a little for the rest.
_STOP_POLLS_S = 0.5
_STOP_SEALER_S = 1.5
_STOP_UPLINK_S = 1.5
_STOP_VIEWS_S = 0.5
# A reload waits longer for a poll under way, because its reading would be missing.
_FINISH_POLL_S = 5.0
# The uplink and the sealer come round four times as often, unless a disk or name server hangs.
_UPLINK_BOUND_S = 120.0
_SEALER_BOUND_S = 120.0


class Setup(msgspec.Struct, frozen=True):
    """A config file that was read, and the files that it names."""

    path: Path
    config: EdgeConfig
    paths: Paths

    def tls_files(self) -> list[bytes]:
        """Return the content of the broker's files, to see at a reload whether they changed."""
        return [
            _content(path)
            for path in (self.paths.broker_ca, self.paths.broker_cert, self.paths.broker_key)
        ]

    def home_assistant_files(self) -> list[bytes]:
        return [
            _content(path)
            for path in (self.paths.home_assistant_ca, self.paths.home_assistant_password)
        ]


class _Sending:
    """Sends what the retired keys of this gateway have left, and then runs the uplink."""

    def __init__(self, retired_keys: RetiredKeys, uplink: Uplink, beat: Beat) -> None:
        self._retired_keys = retired_keys
        self._uplink = uplink
        self._beat = beat

    async def run(self) -> None:
        await self._retired_keys.go_first(self._beat)
        await self._uplink.run()

    def stop(self) -> None:
        self._uplink.stop()


class Gateway:
    """The running agent. It works until it is told to stop."""

    def __init__(
        self, setup: Setup, key: Ed25519PrivateKey, version: str, log: Logger, notifier: Notifier
    ) -> None:
        self._setup = setup
        self._version = version
        self._log = log
        self._notifier = notifier
        self._fault: BaseException | None = None
        self._stop = asyncio.Event()
        self._supervisor = TaskSupervisor(self._failed)
        self._progress = Progress()
        self._seen = setup.tls_files(), setup.home_assistant_files()
        self.clock = make_clock(setup.config.clock)
        self.outbox = Outbox(setup.paths.outbox, key, setup.config.outbox)
        self.uplink = self._make_uplink(setup)
        self._retired_keys = RetiredKeys(setup.config, setup.paths, self.clock, version, log)
        self.sealer = Sealer(
            self.outbox,
            setup.config.uplink,
            self.clock,
            ClockWatch(setup.config.clock),
            log,
            self._sealed,
            self._progress.expect("sealer", _SEALER_BOUND_S),
        )
        is_scaled = setup.config.clock.source == "scaled"
        surroundings = Surroundings(
            clock=self.clock,
            log=log,
            is_synchronised=(lambda: True) if is_scaled else kernel_synchronised,
            folder=setup.paths.folder,
            state=setup.paths.outbox.parent,
            device=device_id(key.public_key()),
            stored_readings=lambda: stored_readings(self.outbox, key.public_key()),
        )
        self._buses = Buses(DRIVERS, surroundings, self.sealer, self._progress, self._supervisor)
        self.sealer.on_stored = self._buses.stored

    @property
    def version(self) -> str:
        return self._version

    @property
    def config(self) -> EdgeConfig:
        """The config that the agent runs with."""
        return self._setup.config

    @property
    def outbox_bytes(self) -> int:
        """The size of the outbox on the disk, with its write-ahead log."""
        file = self._setup.paths.outbox
        return sum(_size(path) for path in (file, file.with_name(f"{file.name}-wal")))

    async def run(self, stop: asyncio.Event, reload: asyncio.Event) -> None:
        """Work until `stop`, and read the config again at `reload`.

        Raises OutboxRefusedError at once where the outbox belongs to another gateway, and
        ConfigError where a file that the config names cannot be used.
        """
        self._stop = stop
        home_assistant, status = (
            self._make_home_assistant(self._setup),
            self._make_status(self._setup),
        )
        await self._open_outbox()
        self._report_start()
        self._supervisor.start("sealer", self.sealer)
        self._start_uplink()
        await self._apply_buses()
        for name, part in (("home_assistant", home_assistant), ("status", status)):
            if part:
                self._supervisor.start(name, part)
        self._notifier.ready()
        give_back()
        watchdog = Watchdog(self._notifier, self._progress, self.status_line, self._log)
        self._supervisor.spawn(watchdog.run(), "watchdog")
        self._supervisor.spawn(self._report(), "report")
        reloading = self._supervisor.spawn(self._reload_when_asked(reload), "reload")
        await stop.wait()
        self._notifier.stopping()
        reloading.cancel()
        await self._end()

    async def _end(self) -> None:
        await self._buses.stop(_STOP_POLLS_S)
        await self._supervisor.stop("sealer", _STOP_SEALER_S)
        self._buses.close()
        await asyncio.gather(
            self._supervisor.stop("uplink", _STOP_UPLINK_S),
            self._retired_keys.stop(),
            self._supervisor.stop("home_assistant", _STOP_VIEWS_S),
            self._supervisor.stop("status", _STOP_VIEWS_S),
        )
        await self._supervisor.close()
        await self.outbox.close()
        self._log.info("stopped", held=self.sealer.held, unacked=self.uplink.unacked)
        if self._fault:
            raise self._fault  # a bug of ours: better a restart than half an agent

    @property
    def bus_stats(self) -> dict[str, BusStats]:
        """What is counted of each bus, in the config's order."""
        return self._buses.stats

    def status_line(self) -> str:
        """Return the line that `systemctl status` shows."""
        meters = [meter for bus in self.bus_stats.values() for meter in bus.meters.values()]
        answer = sum(meter.last is not None and not meter.error for meter in meters)
        broker = "connected" if self.uplink.is_connected else "not connected"
        trouble = f"; {self.uplink.trouble.reason}" if self.uplink.trouble else ""
        return (
            f"{answer} of {len(meters)} meters answer; broker {broker};"
            f" {self.uplink.unacked} frames unacked{trouble}"
        )

    def _failed(self, fault: BaseException) -> None:
        self._fault = self._fault or fault
        self._stop.set()

    def _sealed(self, head: int) -> None:
        self.uplink.sealed(head)

    def _make_uplink(self, setup: Setup) -> Uplink:
        beat = self._progress.expect("uplink", _UPLINK_BOUND_S)
        return Uplink(
            setup.config, setup.paths, self.outbox, self.clock, self._version, self._log, beat
        )

    def _make_status(self, setup: Setup) -> Part | None:
        if not setup.config.status.port:
            return None
        # Imported where it is wanted: memory is dear on a Pi.
        from gridtokenx_edge.status.server import StatusServer  # noqa: PLC0415

        return StatusServer(setup.config.status.port, self, self._log)

    def _make_home_assistant(self, setup: Setup) -> Part | None:
        if not setup.config.home_assistant.enabled:
            return None
        from gridtokenx_edge.home_assistant.link import HomeAssistantLink  # noqa: PLC0415

        return HomeAssistantLink(setup.config.home_assistant, setup.paths, self, self._log)

    async def _open_outbox(self) -> None:
        try:
            await self.outbox.open()
        except OutboxUnavailableError as fault:
            # Readings are held in memory; the sealer tries again.
            self._log.error("outbox_unavailable", reason=str(fault), held=0)

    async def _reload_when_asked(self, reload: asyncio.Event) -> None:
        while True:
            await reload.wait()
            reload.clear()
            self._notifier.reloading()
            await self._reload()
            self._notifier.ready()

    async def _reload(self) -> None:
        """Read the config again and apply it. A config that is wrong, or that a running agent
        cannot take, changes nothing.
        """
        path = self._setup.path
        try:
            config = load_config(path)
            new = Setup(path, config, resolve_paths(config, path))
            seen = new.tls_files(), new.home_assistant_files()
            plan = plan_reload(
                self.config,
                config,
                tls_files=seen[0] != self._seen[0],
                home_assistant_files=seen[1] != self._seen[1],
            )
            if plan.refused:
                raise ConfigError(list(plan.refused))
            await self._apply(new, plan)
        except (ConfigError, KeyFileError) as error:
            for line in str(error).splitlines():
                self._log.error("reload_refused", reason=line)
            return
        self._seen = seen
        self._log.info("reloaded", changed=list(plan.sections))

    async def _apply(self, new: Setup, plan: ReloadPlan) -> None:
        # The parts whose files may be refused are made before anything is changed.
        uplink = self._make_uplink(new) if plan.uplink else None
        home_assistant = self._make_home_assistant(new) if plan.home_assistant else None
        self._setup = new
        self.sealer.configure(new.config.uplink)
        await self._apply_buses()
        if uplink:
            await self._replace_uplink(uplink)
        if plan.home_assistant:
            await self._replace("home_assistant", home_assistant)
        if plan.status:
            await self._replace("status", self._make_status(new))

    async def _apply_buses(self) -> None:
        sections: dict[str, Sequence[BusSettings]] = {
            section: getattr(self.config, section) for section in DRIVERS
        }
        await self._buses.apply(sections, _FINISH_POLL_S)
        self._warn_of_contested()

    async def _replace_uplink(self, uplink: Uplink) -> None:
        await self._supervisor.stop("uplink", _STOP_UPLINK_S)
        uplink.go_on_from(self.uplink)
        self.uplink = uplink
        self._start_uplink()

    def _start_uplink(self) -> None:
        beat = self._progress.expect("uplink", _UPLINK_BOUND_S)
        self._supervisor.start("uplink", _Sending(self._retired_keys, self.uplink, beat))

    async def _replace(self, name: str, part: Part | None) -> None:
        await self._supervisor.stop(name, _STOP_VIEWS_S)
        if part:
            self._supervisor.start(name, part)

    def _report_start(self) -> None:
        for risk in risks(self.config, self._setup.path):
            self._log.warning("config_risk", reason=risk)
        self._log.info(
            "started",
            device=device_text(self.outbox.device),
            community=self.config.site.community,
            meters=meter_ids(self.config),
            outbox_frames=self.outbox.next_seq - self.outbox.oldest_seq,
        )

    def _warn_of_contested(self) -> None:
        meters = [meter for bus in self.bus_stats.values() for meter in bus.meters.values()]
        models = {meter.config.profile: meter.model for meter in meters}
        for name, model in sorted(models.items()):
            if model.is_contested:
                self._log.warning("profile_contested", profile=name, notes=list(model.notes))

    async def _report(self) -> None:
        """Log the counts now and then, for an operator who reads the journal."""
        while True:
            await asyncio.sleep(_REPORT_EVERY_S)
            counts = self.uplink.counts
            self._log.info(
                "progress",
                readings_sealed=self.sealer.sealed,
                readings_held=self.sealer.held,
                readings_dropped=self.sealer.dropped,
                frames_sent=counts.sent,
                frames_resent=counts.resent,
                frames_acked=counts.acked,
                frames_unacked=self.uplink.unacked,
                verdicts=dict(counts.verdicts),
            )


def _content(path: Path) -> bytes:
    """Return what a file holds, or nothing if it cannot be read."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError:
        return b""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
