"""A community that shares, with real programs: frames over Mosquitto, clearings by the backend's
own clock, a late meter, the statement over HTTP, and the journal verified afterwards.

A quarter of an hour of the community takes a quarter of a second.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import pytest
from bench.rig.community import BackendProcess, write_configs
from bench.rig.processes import Broker, python, wait_for
from bench.rig.site import CLOCK
from tests.backend.gateway_link import linked
from tests.backend.statements.shared_month import local_ms
from tests.backend.village import KWH, Gateway, Resident, reading

from gridtokenx_backend.config.settings import Settings, load_settings
from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_wire.keys import load_private_key
from gridtokenx_wire.read_token import LONGEST_MS, ReadToken, sign_read_token
from gridtokenx_wire.reading import Reading

SPEED = 3600
QUARTER_MS = 900_000
MONTH = "2026-06"
START_MS = local_ms(f"{MONTH}-15T08:00")
WH = KWH // 1000
ANNA, BEN, CLEO = Resident("anna"), Resident("ben"), Resident("cleo")
NORTH, SOUTH = Gateway("north"), Gateway("south")
ENERGIES = {
    "plant": [600, 1000, 0, 300, 0],
    "flat-b": [300, 100, 500, 200, 0],
    "flat-c": [900, 100, 400, 400, 0],
}
"""Of each quarter of an hour, in Wh."""
COMMUNITY = """
[community]
name = "lane"
time_zone = "Europe/Vienna"
mode = "dynamic"
[oracle]
future_tolerance_s = 86400
[sharing]
price_grx_per_kwh = "0.12"
settle = "grx"
[[sharing.key]]
version = 1
valid_from = "2026-01-01T00:00:00+01:00"
[[tariff]]
name = "household"
valid_from = "2026-01-01"
energy_grx_per_kwh = "0.3"
feed_in_grx_per_kwh = "0.07"
""" + "".join(
    f'[[member]]\nname = "{who.name}"\nwallet = "{who.wallet}"\nopening_grx = "100"\n'
    for who in (ANNA, BEN, CLEO)
)
METERS = (("plant", NORTH, ANNA), ("flat-b", NORTH, BEN), ("flat-c", SOUTH, CLEO))


def community() -> str:
    devices = [f'[[device]]\npublic_key = "{each.public_key}"\n' for each in (NORTH, SOUTH)]
    meters = [
        f'[[meter]]\nid = "{meter}"\ndevice = "{gateway.name}"\nowner = "{owner.name}"\n'
        'max_power_kw = "10"\nmax_production_ratio = 0\nstarts_at_zero = true\n'
        for meter, gateway, owner in METERS
    ]
    return COMMUNITY + "".join([*devices, *meters])


def readings(meter: str, begin_ms: int) -> list[Reading]:
    """Return the meter at every bound of an interval from `begin_ms` on."""
    found, counted = [], 0
    for number, energy_wh in enumerate([0, *ENERGIES[meter]]):
        counted += energy_wh * WH
        registers = (counted, 0) if meter == "plant" else (0, counted)
        found.append(reading(meter, begin_ms + number * QUARTER_MS, *registers))
    return found


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[tuple[BackendProcess, int]]:
    """Yield a backend whose clock begins at START_MS, and its broker's port."""
    with Broker(tmp_path) as broker:
        assert isinstance(broker, Broker)
        wall_ms = time.time_ns() // 1_000_000
        clock = CLOCK.format(wall_ms=wall_ms, community_ms=START_MS, speed=SPEED)
        config = write_configs(tmp_path, broker.port, community(), after=clock)
        with BackendProcess(tmp_path, config) as process:
            assert isinstance(process, BackendProcess)
            yield process, broker.port


def allocations(api: str, token: str) -> dict[int, dict[str, Any]]:
    """By interval, the newest allocation, as the API lists them."""
    headers = {"Authorization": f"Bearer {token}"}
    told = httpx.get(f"{api}/v1/operator/allocations", headers=headers, timeout=20)
    assert told.status_code == 200, told.text
    found: dict[int, Any] = {}
    for each in told.json()["allocations"]:
        interval_ms, revision = each[0], each[1]
        if revision >= found.get(interval_ms, [0, 0])[1]:
            found[interval_ms] = each
    return found


async def send(gateway: Gateway, port: int, settings: Settings, rows: list[Reading]) -> None:
    """One signed frame, and the ack for it."""
    ack_key = load_private_key(settings.ack_key).public_key()
    async with linked(gateway, port, ack_key) as link:
        await link.publish(gateway.next(sorted(rows, key=lambda row: row.time_ms)))
        await link.acked(gateway.seq)


def test_energy_is_shared_billed_and_proved_by_real_programs(
    backend: tuple[BackendProcess, int],
) -> None:
    process, port = backend
    api = process.api()
    settings = load_settings(process.config)
    token = settings.operator_token.read_text().strip()
    north, south = Gateway("north"), Gateway("south")
    begin_ms = (now(api) // QUARTER_MS + 2) * QUARTER_MS
    rows = [*readings("plant", begin_ms), *readings("flat-b", begin_ms)]
    asyncio.run(send(north, port, settings, rows))
    wait_for(lambda: begin_ms in allocations(api, token), "the first clearing")
    early = allocations(api, token)[begin_ms]
    assert early[5] == Quality.PROVISIONAL  # flat-c's gateway was not heard yet
    asyncio.run(send(south, port, settings, readings("flat-c", begin_ms)))
    wait_for(lambda: measured(allocations(api, token), begin_ms), "all intervals to be known")

    statement = fetched(api, CLEO)
    data = statement["data"]
    assert [check for check in data["checks"] if not check["holds"]] == []
    received = [
        Fraction(made * used, used + other) if made < used + other else Fraction(used)
        for made, other, used in zip(
            ENERGIES["plant"], ENERGIES["flat-b"], ENERGIES["flat-c"], strict=True
        )
    ]
    bill = {line["text"]: line for line in data["bill"]["lines"]}
    line = bill["energy received by the key"]
    assert round(Fraction(line["quantity_kwh"]) * 1000, 3) == round(sum(received), 3)
    assert data["bill"]["shared_paid_grx"] == data["bill"]["shared_grx"] == line["amount_grx"]
    assert data["allocation"]["slots"]["measured"] == len(received)
    corrected = [each for each in data["allocation"]["lines"] if each["revision"]]
    assert corrected
    assert all(0 < each["corrects"] < each["entry"] for each in corrected)
    headers = {"Authorization": f"Bearer {token}"}
    report = httpx.get(f"{api}/v1/reports/{MONTH}.json", headers=headers, timeout=30).json()["data"]
    assert [check for check in report["checks"] if not check["holds"]] == []

    assert process.stop() == 0
    verified = subprocess.run(
        python("gridtokenx_backend", "replay", "--verify", "--json", "-c", str(process.config)),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert verified.returncode == 0, verified.stderr.decode()
    assert json.loads(verified.stdout)["entries"] > 0


def measured(found: dict[int, Any], begin_ms: int) -> bool:
    """Return whether every interval is allocated of what was measured."""
    wanted = [begin_ms + number * QUARTER_MS for number in range(len(ENERGIES["plant"]))]
    return all(at_ms in found and found[at_ms][5] == Quality.MEASURED for at_ms in wanted)


def now(api: str) -> int:
    """Return the community's time."""
    at_ms: int = httpx.get(f"{api}/v1/health", timeout=20).json()["time_ms"]
    return at_ms


def fetched(api: str, who: Resident) -> Any:
    """Return the member's statement, with a token that they signed.

    The token is good for a quarter of a second of ours, so nothing is set up in between.
    """
    with httpx.Client(base_url=api, timeout=30) as client:
        now_ms = client.get("/v1/health").json()["time_ms"]
        token = ReadToken(
            v=1,
            community="lane",
            wallet=who.wallet,
            issued_ms=now_ms,
            expires_ms=now_ms + LONGEST_MS,
        )
        headers = {"Authorization": f"Bearer {sign_read_token(token, who.key)}"}
        response = client.get(f"/v1/statements/{who.wallet}/{MONTH}.json", headers=headers)
    assert response.status_code == 200, response.text
    return response.json()
