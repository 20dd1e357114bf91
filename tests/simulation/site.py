"""A site over a year: the gateway's own parts, on a machine and a network that misbehave.

Real: the clock watch, the held readings, the outbox with its file, the window, frames and acks,
and the backend's core. Made up, from one seed: time, meters, power cuts, network and clock.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path

from tests.backend.village import (
    HOUR_MS,
    KWH,
    NAME,
    Resident,
    convert_terms,
    frame_input,
    private_key,
)

from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.inputs import TickInput
from gridtokenx_backend.core.messages.outcomes import FrameAccepted
from gridtokenx_backend.core.state.community import Community, restore
from gridtokenx_edge.config.edge_config import OutboxConfig
from gridtokenx_edge.store.clock_status import ClockWatch, Run
from gridtokenx_edge.store.held_readings import HeldReadings, Limits
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.uplink.window import Window
from gridtokenx_wire.ack import Ack, open_ack, seal_ack
from gridtokenx_wire.clock import ClockConfig
from gridtokenx_wire.frame import ClockStatus
from gridtokenx_wire.keys import device_text, public_key_text
from gridtokenx_wire.reading import Reading
from gridtokenx_wire.verdict import Reason

START_MS = 1_790_000_000_000
STEP_MS = 30 * 60_000
DAY_MS = 24 * HOUR_MS
ROLLOVER_UWH = 1000 * KWH
_GROUP_S = 2 * 3600.0
_HOLD_S = 6 * 3600.0
_ACK_TIMEOUT_S = 600.0


class TrueMeter:
    """What really flowed. Its registers begin again at zero after 1000 kWh."""

    def __init__(self, name: str, luck: random.Random) -> None:
        self.name = name
        self._luck = luck
        self.import_uwh = luck.randrange(ROLLOVER_UWH)
        self.export_uwh = luck.randrange(ROLLOVER_UWH)
        self.by_time: dict[int, tuple[int, int]] = {}

    def flow(self) -> None:
        """Half an hour passes."""
        self.import_uwh += self._luck.randrange(KWH // 2)
        self.export_uwh += self._luck.randrange(KWH)

    def read(self, true_ms: int, shown_ms: int) -> Reading:
        self.by_time[true_ms] = (self.import_uwh, self.export_uwh)
        return Reading(
            meter=self.name,
            time_ms=shown_ms,
            import_uwh=self.import_uwh % ROLLOVER_UWH,
            export_uwh=self.export_uwh % ROLLOVER_UWH,
        )


class Machine:
    """A computer without a battery behind its clock: after a boot it goes on where it stopped."""

    def __init__(self, true_ms: int) -> None:
        self.boots = 0
        self.offset_ms = 0
        self.start(true_ms, true_ms)

    def start(self, true_ms: int, wall_ms: int) -> None:
        self.boots += 1
        self.booted_ms = true_ms
        self.true_ms = true_ms
        self.offset_ms = wall_ms - true_ms
        self.is_synchronised = wall_ms == true_ms

    def synchronise(self) -> None:
        self.offset_ms = 0
        self.is_synchronised = True

    @property
    def wall_ms(self) -> int:
        return self.true_ms + self.offset_ms

    @property
    def uptime_ms(self) -> int:
        return self.true_ms - self.booted_ms

    def watch(self) -> ClockWatch:
        return ClockWatch(
            ClockConfig(),
            lambda: self.is_synchronised,
            lambda: self.wall_ms,
            lambda: self.uptime_ms,
            f"boot {self.boots}",
        )


class Backend:
    """The core behind a network; acks are signed as the backend signs them."""

    def __init__(self, device_key: str, device: str, meters: list[str]) -> None:
        self.ann = Resident("ann")
        self.key = private_key("backend")
        self.core = Community()
        self.reasons: Counter[Reason] = Counter()
        self.reasons_unset: Counter[Reason] = Counter()
        """Of readings whose frame says that the clock was not set."""
        self.accepted_at: dict[str, list[int]] = {name: [] for name in meters}
        of_meter = {
            "device": device,
            "owner": "ann",
            "max_power_kw": "5",
            "rollover_kwh": "1000",
            "max_production_ratio": 0,
            "starts_at_zero": True,
            "first_energy_kwh": "1000",
        }
        terms = {
            "community": {"name": NAME},
            "oracle": {"oldest_reading_s": 60 * 86_400},
            "member": [{"name": "ann", "wallet": self.ann.wallet}],
            "device": [{"public_key": device_key}],
            "meter": [{"id": name, **of_meter} for name in meters],
        }
        self._apply(inputs.configuration_input(convert_terms(terms)), START_MS)

    def _apply(self, input_: inputs.Input, at_ms: int) -> object:
        return machine.apply(self.core, input_, max(at_ms, self.core.at_ms))

    def tick(self, at_ms: int) -> None:
        self._apply(TickInput(), at_ms)

    def receive(self, message: bytes, at_ms: int) -> bytes:
        """Return the ack for a frame."""
        input_ = frame_input(message)
        outcome = self._apply(input_, at_ms)
        if isinstance(outcome, FrameAccepted):
            refused = dict(outcome.verdicts)
            counts = self.reasons if input_.frame.clock.synchronised else self.reasons_unset
            counts.update(Reason(reason) for reason in refused.values())
            for index, reading in enumerate(input_.frame.readings()):
                if index not in refused:
                    self.accepted_at[reading.meter].append(reading.time_ms)
        (device,) = self.core.devices.values()
        return seal_ack(
            Ack(device=device.id, chain=device.chain, next_seq=device.next_seq, verdicts=[]),
            self.key,
        )

    def restart(self) -> None:
        self.core = restore(self.core.snapshot())


class Site:
    """The gateway, with what happens to it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.luck = random.Random(seed)
        self.meters = [
            TrueMeter(f"ABB-{number}", random.Random(seed + number)) for number in (1, 2)
        ]
        self.machine = Machine(START_MS)
        self.key = private_key("gateway")
        self.cuts = 0
        self.lost_in_memory = 0
        self.read = 0
        self._folder = folder
        self._bounds = OutboxConfig(max_age_days=5, thin_to_s=6 * 3600)
        self.outbox = Outbox(folder / "outbox-0.db", self.key, self._bounds)
        names = [meter.name for meter in self.meters]
        public = self.key.public_key()
        self.backend = Backend(public_key_text(public), device_text(self.outbox.device), names)
        self.is_connected = True
        self.is_on = True

    async def boot(self) -> None:
        """The agent starts."""
        await self.outbox.open()
        self._watch = self.machine.watch()
        self._watch.restore(self.outbox.clock_mark)
        self._run = self._watch.look()
        self._told_step = 0
        self._held = HeldReadings(
            Limits(readings=10_000, readings_per_frame=100, group_s=_GROUP_S, hold_s=_HOLD_S)
        )
        self._window = Window(64, _ACK_TIMEOUT_S, self.luck.random)
        self._window.restore(self.outbox.oldest_seq, self.outbox.next_seq)
        if self.is_connected:
            self._window.opened()

    async def stop(self) -> None:
        """SIGTERM: what is held is stored."""
        await self._store(is_last=True)
        await self.outbox.close()

    async def lose_power(self) -> None:
        """What was in memory is gone, and the file is as it was at that moment."""
        self.lost_in_memory += len(self._held)
        before = self.outbox
        path = self._folder / f"outbox-{self.cuts}.db"
        self.cuts += 1
        after = self._folder / f"outbox-{self.cuts}.db"
        shutil.copy(path, after)
        shutil.copy(f"{path}-wal", f"{after}-wal")
        await before.close()
        path.unlink()
        self.outbox = Outbox(after, self.key, self._bounds)
        self.is_on = False

    def connect(self, *, is_connected: bool) -> None:
        self.is_connected = is_connected
        if self.is_on:
            if is_connected:
                self._window.opened()
            else:
                self._window.closed()

    async def step(self) -> None:
        """Half an hour."""
        self.machine.true_ms += STEP_MS
        for meter in self.meters:
            meter.flow()
        self.backend.tick(self.machine.true_ms)
        if self.is_on:
            self._look()
            for meter in self.meters:
                reading = meter.read(self.machine.true_ms, self.machine.wall_ms)
                self._held.add(reading, self._run, self._now_s)
                self.read += 1
            await self._store(is_last=False)
            await self._exchange()

    @property
    def _now_s(self) -> float:
        return self.machine.uptime_ms / 1000

    def _look(self) -> None:
        run = self._watch.look()
        if run != self._run:
            self._run = run
            self._held.retime(run)

    async def _store(self, *, is_last: bool) -> None:
        while len(self._held):
            if self._held.wait_s(self._now_s, is_polling=False) != 0 and not is_last:
                break
            batch, run = self._held.take()
            await self.outbox.append(batch, self._clock(run), self._watch.mark(run))
            self._told_step = max(self._told_step, run.number)
        known_ms = self.machine.wall_ms if self._run.synchronised else None
        while await self.outbox.thin(known_ms):
            pass
        self._window.sealed(self.outbox.next_seq)

    def _clock(self, run: Run) -> ClockStatus:
        is_news = run.stepped and run.number > self._told_step
        return ClockStatus(synchronised=run.synchronised, stepped=is_news, source=run.source)

    async def _exchange(self) -> None:
        """Frames out and acks back, some of which are lost, doubled or late."""
        late: list[bytes] = []
        for _ in range(200):
            if not self.is_connected:
                break
            self._window.expire(self._now_s)
            frames = await self.outbox.frames(self._window.sent, 16) if self._window.room else []
            if not frames:
                break
            for frame in frames:
                if self._window.sending(frame.first_seq, frame.seq, self._now_s):
                    self._deliver(frame.message, late)
            await self.outbox.discard_below(self._window.base)
            self._window.discarded(self.outbox.oldest_seq)
        for message in late:
            self._deliver(message, [])

    def _deliver(self, message: bytes, late: list[bytes]) -> None:
        fate = self.luck.random()
        if fate < 0.03:
            return
        if fate < 0.05:
            late.append(message)
            return
        for _ in range(2 if fate < 0.08 else 1):
            ack = self.backend.receive(message, self.machine.true_ms)
            if self.luck.random() < 0.95:
                opened = open_ack(ack, self.backend.key.public_key())
                self._window.acked(opened.next_seq, self._now_s)
