"""`gridtokenx energy` against a real backend process, on a journal that it finds."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tests.backend.village import Gateway, frame_input, reading

from gridtokenx_backend.config.data_folder import prepare_data_folder
from gridtokenx_backend.config.settings import load_settings
from gridtokenx_backend.config.terms_file import load_terms
from gridtokenx_backend.config.time_zones import look_up
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.engine.writer import Writer
from gridtokenx_backend.journal.sqlite_journal import open_journal
from gridtokenx_backend.replay.replay import rebuild
from gridtokenx_client.wallet import Wallet
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.reading import Reading

BIN = Path(sys.executable).parent
DAY_MS = 1_782_000_000_000 // 86_400_000 * 86_400_000  # 21 June 2026
NOW_MS = DAY_MS + 16 * 3_600_000 + 420_000
METER = "EASTRON-12345678"
MINUTE_MS = 60_000


class _Standing:
    def now_ms(self) -> int:
        return NOW_MS

    def real_seconds(self, duration_ms: int) -> float:
        return duration_ms / 1000


def day() -> list[Reading]:
    """Return a roof and a household every five minutes from six on; nothing from 11:05 to 12:40."""
    readings = []
    imported = exported = 0
    for minute in range(360, 16 * 60 + 6, 5):
        sun_w = max(0, round(5_000 * math.sin(math.pi * (minute - 330) / 900)))
        net_w = sun_w - (2_500 if 17 * 60 <= minute + 600 < 23 * 60 else 400)
        imported += max(0, -net_w) * 5 * 10**6 // 60
        exported += max(0, net_w) * 5 * 10**6 // 60
        if not 665 < minute < 760:
            at_ms = DAY_MS + minute * MINUTE_MS
            readings.append(reading(METER, at_ms, exported, imported))
    return readings


def make_community(folder: Path) -> None:
    """Keys, configs, and a journal that holds the day."""
    address = Wallet.create(folder / "anna.key").address
    gateway = Gateway("sonnenweg 3")
    (folder / "community.toml").write_text(
        '[community]\nname = "sonnenweg"\ntime_zone = "Europe/Vienna"\n'
        f'[[member]]\nname = "Anna"\nwallet = "{address}"\n'
        f'[[device]]\npublic_key = "{gateway.public_key}"\nsite = "Sonnenweg 3"\n'
        f'[[meter]]\nid = "{METER}"\nsite = "Sonnenweg 3"\nowner = "Anna"\nmax_power_kw = "17"\n'
        "max_production_ratio = 0\n"
    )
    (folder / "backend.toml").write_text(
        "[backend]\nverify_workers = 0\n[broker]\nport = 1\ninsecure = true\n[api]\nport = 0\n"
        f'[clock]\nsource = "scaled"\nwall_ms = {time.time_ns() // 10**6}\n'
        f"community_ms = {NOW_MS}\nspeed = 1.0\n"
    )
    asyncio.run(_store(folder, gateway))


async def _store(folder: Path, gateway: Gateway) -> None:
    settings = load_settings(folder / "backend.toml")
    prepare_data_folder(settings)
    journal = await open_journal(settings.journal)
    clock: Clock = _Standing()
    writer = Writer(await rebuild(journal), journal, clock, 10**9)
    running = asyncio.create_task(writer.run())
    terms = load_terms(settings.community)
    await writer.submit(
        [inputs.configuration_input(terms, zone=look_up(terms.community.time_zone))]
    )
    await writer.submit([frame_input(gateway.next(day()))])
    writer.stop()
    await running
    await journal.close()


@pytest.fixture(name="api", scope="module")
def _api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Yield the folder, and the address of the running backend."""
    folder = tmp_path_factory.mktemp("energy")
    make_community(folder)
    command = [str(BIN / "gridtokenx-backend"), "run", "--config", str(folder / "backend.toml")]
    with (
        (folder / "backend.log").open("wb") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        watchdog = threading.Timer(300, process.kill)
        watchdog.start()
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())["api"]
        yield folder, address
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        watchdog.cancel()


def run(api: tuple[Path, str], *arguments: str, code: int = 0) -> str:
    folder, address = api
    command = [str(BIN / "gridtokenx"), "energy", METER, *arguments]
    environment = os.environ | {
        "GRIDTOKENX_API": address,
        "TZ": "Asia/Tokyo",
        "COLUMNS": "110",
    }
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_a_member_sees_the_day_with_its_picture(api: tuple[Path, str]) -> None:
    out = run(api, "--day", "2026-06-21", "--time-zone", "UTC", "--key", "anna.key")
    lines = {line.split()[1]: line for line in out.splitlines() if ":00 +0000" in line}
    assert list(lines) == [f"{hour:02}:00" for hour in range(17)]
    assert "missing" in lines["05:00"]
    assert "measured" in lines["08:00"]
    assert "interpolated" in lines["11:00"]
    assert "provisional" in lines["16:00"]
    assert "█" in lines["10:00"]


@pytest.mark.parametrize(("asked", "days"), [("--month=2026-06", 30), ("--day=2026-06-21", 1)])
def test_days_and_months_are_the_communitys_wherever_the_member_is(
    api: tuple[Path, str], asked: str, days: int
) -> None:
    found = json.loads(run(api, asked, "--key", "anna.key", "--json"))
    assert found["to_ms"] - found["from_ms"] == days * 86_400_000
    start = datetime.fromtimestamp(found["from_ms"] / 1000, ZoneInfo("Europe/Vienna"))
    assert (start.hour, start.minute) == (0, 0)
    assert found["intervals"][0]["start"] == start.isoformat(timespec="minutes")
    shown = run(api, "--day=2026-06-21", "--key", "anna.key")
    assert "18:00 +0200" in shown


def test_json_and_csv_hold_every_interval_and_its_sum(api: tuple[Path, str]) -> None:
    asked = ("--day", "2026-06-21", "--time-zone", "UTC", "--key", "anna.key")
    found = json.loads(run(api, *asked, "--json"))
    rows = list(csv.DictReader(io.StringIO(run(api, *asked, "--csv"))))
    assert [row["start_ms"] for row in rows] == [str(one["start_ms"]) for one in found["intervals"]]
    first, last = day()[0], day()[-1]
    for name, counted in (
        ("import_kwh", last.import_uwh - first.import_uwh),
        ("export_kwh", last.export_uwh - first.export_uwh),
    ):
        assert round(sum(float(row[name] or 0) for row in rows) * 10**9) == counted
        assert found[name] == f"{counted / 10**9:.9f}"


def test_the_operator_sees_the_month(api: tuple[Path, str]) -> None:
    token = str(Path("data") / "operator.token")
    out = run(api, "--month", "2026-06", "--time-zone", "UTC", "--operator-token", token)
    assert "Sun 21 Jun" in out
    assert "missing" in out


def test_a_strangers_meter_is_no_meter(api: tuple[Path, str]) -> None:
    folder, _ = api
    Wallet.create(folder / "stranger.key")
    said = run(api, "--day", "2026-06-21", "--key", "stranger.key", code=1)
    assert "expected the id of a meter of yours" in said
