"""A year of one site, compressed: power cuts, restarts, outages, a clock without a battery,
registers that roll over. At its end every µWh that was exported has been minted, once.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.backend.village import assert_sound
from tests.simulation.site import DAY_MS, HOUR_MS, ROLLOVER_UWH, STEP_MS, Site

from gridtokenx_backend.core.model.ledger import GRID
from gridtokenx_wire.reading import Reading
from gridtokenx_wire.verdict import Reason

YEAR_STEPS = 365 * DAY_MS // STEP_MS
# What a gateway may be told of readings that it timed: a summary brings some of what the backend
# had already taken, while its ack was lost.
EXPECTED = {Reason.NOT_AFTER_LAST}


class Year:
    """Decides what happens next; counts what did."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.happened: dict[str, int] = {}
        self._off_steps = 0
        self._unset_steps = 0
        self._outage_steps = 0

    def _note(self, event: str) -> None:
        self.happened[event] = self.happened.get(event, 0) + 1

    async def before_step(self) -> None:
        await self._power()
        self._network()
        self._clock()

    async def _power(self) -> None:
        site, luck = self.site, self.site.luck
        if not site.is_on:
            self._off_steps -= 1
            if self._off_steps <= 0:
                # It goes on with the time at which it was cut; the network sets it later.
                stopped_ms = site.machine.wall_ms - self._was_off * STEP_MS
                site.machine.start(site.machine.true_ms, stopped_ms)
                self._unset_steps = luck.choice([0, 1, 5, 30])
                site.is_on = True
                await site.boot()
            return
        if luck.random() < 1 / 400:
            self._note("power cut")
            await site.lose_power()
            self._off_steps = self._was_off = luck.choice([1, 2, 10, 60])
        elif luck.random() < 1 / 300:
            self._note("restart")
            await site.stop()
            await site.boot()

    def _network(self) -> None:
        site, luck = self.site, self.site.luck
        if self._outage_steps:
            self._outage_steps -= 1
            if not self._outage_steps:
                site.connect(is_connected=True)
        elif luck.random() < 1 / 250:
            self._note("outage")
            self._outage_steps = luck.choice([1, 4, 48, 48 * 20])
            site.connect(is_connected=False)
        if luck.random() < 1 / 500:
            self._note("backend restart")
            site.backend.restart()

    def _clock(self) -> None:
        machine = self.site.machine
        if not self.site.is_on or machine.is_synchronised:
            return
        self._unset_steps -= 1
        if self._unset_steps < 0:
            self._note("clock set")
            machine.synchronise()

    async def recover(self) -> None:
        """Power, network and clock are there again, and stay."""
        if not self.site.is_on:
            self._off_steps = 1
            await self._power()
        self.site.machine.synchronise()
        self.site.connect(is_connected=True)
        for _ in range(10):
            await self.site.step()
        await self.site.stop()
        await self.site.boot()
        await self.site.step()
        for _ in range(20):
            await self.site.step()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
async def test_after_a_year_every_microwatthour_is_accounted_for(tmp_path: Path, seed: int) -> None:
    site = Site(tmp_path, seed)
    year = Year(site)
    await site.boot()
    for _ in range(YEAR_STEPS):
        await year.before_step()
        await site.step()
    await year.recover()
    backend = site.backend
    for event in ("power cut", "restart", "outage", "backend restart", "clock set"):
        assert year.happened.get(event, 0) >= 5, year.happened
    assert set(backend.reasons) <= EXPECTED, backend.reasons
    assert backend.reasons_unset[Reason.CLOCK_UNSYNCHRONISED], "some waited too long for a clock"
    assert Reason.ACCEPTED not in backend.reasons_unset
    exported = imported = 0
    for meter in site.meters:
        times = backend.accepted_at[meter.name]
        assert times == sorted(times)
        first, last = _truth(meter.by_time, times[0]), _truth(meter.by_time, times[-1])
        imported += last[0] - first[0]
        exported += last[1] - first[1]
        assert last[1] - first[1] > 3 * ROLLOVER_UWH, "the register rolled over"
        assert times[-1] >= site.machine.true_ms - 4 * HOUR_MS
    member = backend.core.members[backend.ann.wallet]
    assert backend.core.ledger.posted(backend.ann.wallet, GRID) == exported
    assert backend.core.counters.minted_uwh == exported
    assert member.imported_uwh == imported
    counters = backend.core.counters
    sealed = site.read - site.lost_in_memory - len(site._held)
    judged = counters.accepted + counters.rejected + counters.quarantined
    assert counters.thinned > 0
    # What a summary leaves out after its frames were taken all the same is counted twice.
    assert judged + counters.thinned >= sealed
    assert_sound(backend.core)
    await site.outbox.close()


def _truth(by_time: dict[int, tuple[int, int]], time_ms: int) -> tuple[int, int]:
    """Return the true registers at an accepted reading's time: exact, for its time was
    worked out.
    """
    return by_time[time_ms]


def test_a_reading_has_the_registers_that_the_table_of_truth_has(tmp_path: Path) -> None:
    meter = Site(tmp_path, 1).meters[0]
    meter.flow()
    reading = meter.read(10, 20)
    assert isinstance(reading, Reading)
    assert meter.by_time[10][0] % ROLLOVER_UWH == reading.import_uwh
