"""kill -9 of each part at random moments under load: nothing lost, nothing twice."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from bench.rig.processes import Process, python, wait_for
from bench.rig.site import Site
from tests.e2e import stored

from gridtokenx_wire.keys import load_private_key
from gridtokenx_wire.order import Order, sign_instruction

KILLS = 20

pytestmark = pytest.mark.timeout(240)


@pytest.mark.parametrize("victim", ["gateway", "broker", "backend"])
def test_nothing_is_lost_or_doubled_when_a_part_is_killed_at_twenty_random_moments(
    site: Site, victim: str
) -> None:
    chance = random.Random(victim)
    killed = {"gateway": site.edge, "broker": site.broker, "backend": site.backend}[victim]
    with _orders(site) as orders:
        for _ in range(KILLS):
            _wait_for_frames(site, chance.randint(1, 4))
            threading.Event().wait(chance.uniform(0, 0.2))  # anywhere within the next poll
            killed.kill()
            _start_again(site, killed)
        _wait_for_frames(site, 5)
    _stop_all(site)

    journal = stored.read_journal(site.journal)
    assert stored.check_chains(journal, stored.read_outbox(site.outbox)) > KILLS
    assert stored.check_minted(journal) > 0
    stored.check_sums(journal)
    assert journal.orders >= orders.answered
    assert _replay(site, "--verify") == _replay(site)
    for process in (site.edge, site.backend):
        assert b"Traceback" not in process.stderr.read_bytes()


def _wait_for_frames(site: Site, more: int) -> None:
    """Wait until so many more frames are stored than now."""
    wanted = _stored_frames(site.journal) + more
    wait_for(lambda: _stored_frames(site.journal) >= wanted, f"{more} more frames", 60)


def _stored_frames(journal: Path) -> int:
    database = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
    try:
        count: int = database.execute(
            "SELECT count(*) FROM journal WHERE kind = 'frame'"
        ).fetchone()[0]
    finally:
        database.close()
    return count


def _start_again(site: Site, killed: Process) -> None:
    killed.start()
    if killed is site.backend:
        site.backend.api()


def _stop_all(site: Site) -> None:
    for process in (site.edge, site.backend, site.simulator, site.broker):
        assert process.stop() == 0, process.stderr.read_text()[-2000:]


def _replay(site: Site, *options: str) -> tuple[int, str]:
    """Return (entries, digest of the state) as the command says."""
    config = str(site.folder / "backend.toml")
    command = python("gridtokenx_backend", "replay", "--config", config, "--json", *options)
    done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    report = json.loads(done.stdout)
    return report["entries"], report["digest"]


class _orders:  # noqa: N801
    """A member who buys all the while, and counts the answers; unanswered orders may be lost."""

    def __init__(self, site: Site) -> None:
        self.answered = 0
        self._site = site
        self._key = load_private_key(site.wallet_key)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> _orders:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(0.02):
            number += 1
            with suppress(httpx.HTTPError, ValueError, KeyError):
                self._place(number)

    def _place(self, number: int) -> None:
        api = json.loads(self._site.backend.stdout.read_text().partition("\n")[0])["api"]
        with httpx.Client(base_url=api, timeout=5) as client:
            now_ms = client.get("/v1/health").json()["time_ms"]
            order = Order(
                v=1,
                community="bench",
                wallet=self._site.wallet,
                id=f"buy-{number}",
                issued_ms=now_ms,
                side="buy",
                quantity_kwh="0.001",
                price_grx_per_kwh="0.100",
            )
            answer = client.post("/v1/orders", content=sign_instruction(order, self._key))
            assert answer.status_code == 201, answer.text
            self.answered += 1
