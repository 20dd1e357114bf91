"""month: a neighbourhood's month through the real broker and the whole backend.

80 meters, 30 days, 96 readings a day each. Every gateway is a day late: it publishes a day's
readings after midnight, signed, and each interval is cleared 24 hours after its end. Members have
standing orders for the auction, and trade what is left over in the realtime market. At the end come
retirement, certificates and statements, and a reader of its own checks what the journal holds.
"""

from __future__ import annotations

import http.client
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench.rig.community import NAME, BackendProcess, Gateway, Member, make_members, write_configs
from bench.rig.load import LoadedGateway, add, drive, prepare
from bench.rig.month_audit import Month, run_checks
from bench.rig.month_checks import CHECKS
from bench.rig.month_world import DAY_MS, END_MS, SLOT_MS, SLOTS, MeterHistory, Scale, build_world
from bench.rig.processes import Broker, python, wait_for
from gridtokenx_wire.clock import write_stepped
from gridtokenx_wire.keys import public_key_text
from gridtokenx_wire.order import Instruction, Order, Standing, sign_instruction
from gridtokenx_wire.units import UWH_PER_KWH

MONTH = "2026-06"
_MINUTE_MS = 60_000
_GRACE_S = 86_400
_EVENING = 68  # the slot that begins at 17:00 UTC, when the auction's leftovers are offered
_TIMEOUT_S = 60.0
_SEED = 11
_LOT_UWH = 1_000_000
_QOS = 1


@dataclass(kw_only=True, slots=True)
class MonthRig:
    """The meters with their owners and gateways, and the way to the backend."""

    scale: Scale
    histories: list[MeterHistory]
    members: list[Member]
    gateways: list[Gateway]
    loads: list[LoadedGateway]
    api: http.client.HTTPConnection
    chance: random.Random


@dataclass(kw_only=True, frozen=True, slots=True)
class FinishedMonth:
    """A month that is over: what it left in its folder, and what it took."""

    month: Month
    wall_s: float
    live_s: float
    refused: int


def run() -> dict[str, object]:
    """Return one month on fresh data, and what a reader of its own says of it."""
    scale = Scale()
    with tempfile.TemporaryDirectory(prefix="gridtokenx-bench-") as name:
        lived = live(scale, Path(name))
        checks = run_checks(lived.month, CHECKS)
    for check in checks:
        if not check.passed:
            sys.stderr.write(f"{check.name}: {check.detail}\n")
    month = lived.month
    readings = sum(len(day) for history in month.histories for day in history.days)
    return {
        "readings": readings,
        "wall_s": round(lived.wall_s, 2),
        "readings_per_s": round(readings / lived.wall_s),
        "live_s": round(lived.live_s, 2),
        "trades": month.trades,
        "orders": month.orders,
        "orders_refused": lived.refused,
        "statements": len(month.statements),
        "certificates": month.certificates,
        "checks_passed": sum(check.passed for check in checks),
        "checks_total": len(CHECKS),
        "minted_uwh": month.minted_uwh,
        "retired_uwh": month.retired_uwh,
    }


def live(scale: Scale, folder: Path) -> FinishedMonth:
    """Let a month pass in `folder`. The world (sun, loads, registers) is made before time runs."""
    histories = build_world(scale)
    clock = folder / "clock"
    write_stepped(clock, scale.start_ms)
    members = make_members(len(histories))
    gateways = [
        _gateway(history, member) for history, member in zip(histories, members, strict=True)
    ]
    with Broker(folder) as broker:
        assert isinstance(broker, Broker)
        config = write_configs(
            folder,
            broker.port,
            _community(histories, members, gateways),
            qos=_QOS,
            after=f'[clock]\nsource = "stepped"\npath = "{clock}"\n',
        )
        with BackendProcess(folder, config) as backend:
            assert isinstance(backend, BackendProcess)
            address = backend.api()
            loads = [prepare(gateway, [], broker.port, _QOS) for gateway in gateways]
            chance = random.Random(_SEED)
            rig = MonthRig(
                scale=scale,
                histories=histories,
                members=members,
                gateways=gateways,
                loads=loads,
                api=_connect(address),
                chance=chance,
            )
            started = time.perf_counter()
            refused = _live(rig, clock, folder / "data" / "journal.db")
            live_s = time.perf_counter() - started
            rig.api.close()
            documents = _close_the_month(config, address, folder / "statements")
            wall_s = time.perf_counter() - started
    month = Month(folder, histories, members, gateways, documents, config)
    return FinishedMonth(month=month, wall_s=wall_s, live_s=live_s, refused=refused)


def _gateway(history: MeterHistory, member: Member) -> Gateway:
    return Gateway(key=Ed25519PrivateKey.generate(), meters=[history.meter], owners=[member.name])


def _community(
    histories: list[MeterHistory], members: list[Member], gateways: list[Gateway]
) -> str:
    lines = [
        f'[community]\nname = "{NAME}"',
        f"[interval]\ngrace_s = {_GRACE_S}",
        '[[tariff]]\nname = "household"\nvalid_from = 2026-01-01\nenergy_grx_per_kwh = "0.30"\n'
        'feed_in_grx_per_kwh = "0.06"',
    ]
    for history, member, gateway in zip(histories, members, gateways, strict=True):
        lines.append(
            f'[[member]]\nname = "{member.name}"\nwallet = "{member.wallet}"\nopening_grx = "1000"'
        )
        lines.append(f'[[device]]\npublic_key = "{public_key_text(gateway.key.public_key())}"')
        lines.append(
            f'[[meter]]\nid = "{history.meter}"\ndevice = "{gateway.name}"\n'
            f'owner = "{member.name}"\nmax_power_kw = "30"\nmax_production_ratio = 0\n'
            "starts_at_zero = true\n"
            + ('renewable = true\ntechnology = "solar"' if history.is_prosumer else "")
        )
    return "\n".join(lines) + "\n"


def _live(rig: MonthRig, clock: Path, journal: Path) -> int:
    """Return the month and the day after it, by quarter hours; how many orders were refused."""
    _set_standing_orders(rig)
    database = sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)
    refused = 0
    days = rig.scale.days + 1
    with _progress(days) as told:
        for day in range(days):
            midnight_ms = rig.scale.start_ms + day * DAY_MS
            write_stepped(clock, midnight_ms + _MINUTE_MS)
            if day > 0:
                _publish(rig, day - 1)
            for slot in range(SLOTS):
                now_ms = midnight_ms + slot * SLOT_MS + _MINUTE_MS
                write_stepped(clock, now_ms)
                if day > 0 and slot >= _EVENING:
                    refused += _trade(rig, day, slot, now_ms)
                _wait_for_clearings(rig, database, now_ms)
            told.advance(told.task_ids[0])
    for load in rig.loads:
        load.sock.close()
    end_ms = END_MS + DAY_MS + _MINUTE_MS
    write_stepped(clock, end_ms)
    _wait_for_clearings(rig, database, end_ms)
    database.close()
    return refused


def _progress(days: int) -> Progress:
    console = Console(stderr=True, markup=False)
    told = Progress(
        TextColumn("{task.completed}/{task.total} days", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    told.add_task("days", total=days)
    return told


def _publish(rig: MonthRig, day: int) -> None:
    """Let each gateway sign its day and send it, and return when all of it is acked."""
    for history, gateway, load in zip(rig.histories, rig.gateways, rig.loads, strict=True):
        add(load, [gateway.seal(history.days[day])], _QOS)
    drive(rig.loads, _TIMEOUT_S, hang_up=False)


def _wait_for_clearings(rig: MonthRig, database: sqlite3.Connection, now_ms: int) -> None:
    """Wait until the journal has the clearing of every interval that is due."""
    due = (now_ms - rig.scale.start_ms - _GRACE_S * 1000) // SLOT_MS
    if due <= 0:
        return
    query = "SELECT count(*) FROM journal WHERE kind = 'clear'"

    def all_cleared() -> bool:
        return bool(database.execute(query).fetchone()[0] >= due)

    wait_for(all_cleared, f"{due} clearings", _TIMEOUT_S, every_s=0.0005)


def _connect(api: str) -> http.client.HTTPConnection:
    where = urlsplit(api)
    return http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)


def _ask(rig: MonthRig, method: str, path: str, body: str | None = None) -> tuple[int, Any]:
    rig.api.request(method, path, body)
    answer = rig.api.getresponse()
    return answer.status, json.loads(answer.read())


def _set_standing_orders(rig: MonthRig) -> None:
    """Set orders by which everybody covers what they draw, and who has a roof sells what
    it gives.
    """
    for index, member in enumerate(rig.members):
        price = rig.chance.randint(180, 260)
        _send(rig, "/v1/standing-orders", _standing(rig, member, "buy", price), member)
        if index < rig.scale.prosumers:
            price = rig.chance.randint(80, 140)
            _send(rig, "/v1/standing-orders", _standing(rig, member, "sell", price), member)


def _standing(
    rig: MonthRig, member: Member, side: Literal["buy", "sell"], milli_grx: int
) -> Standing:
    return Standing(
        v=1,
        community=NAME,
        wallet=member.wallet,
        id=f"month-{side}",
        issued_ms=rig.scale.start_ms,
        side=side,
        price_grx_per_kwh=f"0.{milli_grx:03}",
        segment="interval",
    )


def _send(rig: MonthRig, path: str, instruction: Instruction, member: Member) -> bool:
    status, said = _ask(rig, "POST", path, sign_instruction(instruction, member.key))
    if status >= 500:
        raise AssertionError(f"{path}: {said}")
    return status < 300


def _trade(rig: MonthRig, day: int, slot: int, now_ms: int) -> int:
    """Return an evening's realtime orders, some in each quarter hour; how many were refused.

    At 17:00 the roofs offer a third of what the auction left them. Later the others buy.
    """
    if slot == _EVENING:
        sellers = rig.members[: rig.scale.prosumers]
        return sum(not _sell_leftovers(rig, member, day, now_ms) for member in sellers)
    buyers = rig.members[rig.scale.prosumers + slot - _EVENING - 1 :: SLOTS - _EVENING - 1]
    return sum(not _buy(rig, member, day, now_ms) for member in buyers)


def _sell_leftovers(rig: MonthRig, member: Member, day: int, now_ms: int) -> bool:
    _, said = _ask(rig, "GET", f"/v1/balances/{member.wallet}")
    whole, _, part = said["grid"].partition(".")
    held, _, held_part = said["grid_held"].partition(".")
    free_uwh = int(whole + part) - int(held + held_part)
    quantity_uwh = free_uwh // 3 // _LOT_UWH * _LOT_UWH
    if quantity_uwh <= 0:
        return True
    return _order(rig, member, "sell", quantity_uwh, rig.chance.randint(100, 180), day, now_ms)


def _buy(rig: MonthRig, member: Member, day: int, now_ms: int) -> bool:
    quantity_uwh = rig.chance.randint(300, 1_500) * _LOT_UWH
    return _order(rig, member, "buy", quantity_uwh, rig.chance.randint(140, 240), day, now_ms)


def _order(
    rig: MonthRig,
    member: Member,
    side: Literal["buy", "sell"],
    quantity_uwh: int,
    milli_grx: int,
    day: int,
    now_ms: int,
) -> bool:
    order = Order(
        v=1,
        community=NAME,
        wallet=member.wallet,
        id=f"month-{day}-{side}",
        issued_ms=now_ms,
        side=side,
        quantity_kwh=f"{quantity_uwh // UWH_PER_KWH}.{quantity_uwh % UWH_PER_KWH:09}",
        price_grx_per_kwh=f"0.{milli_grx:03}",
        tif="IOC" if side == "buy" else "GTT",
        expires_ms=0 if side == "buy" else now_ms + DAY_MS // 2,
    )
    return _send(rig, "/v1/orders", order, member)


def _close_the_month(config: Path, api: str, out: Path) -> list[dict[str, Any]]:
    """Issue certificates, close the period and write everybody's statement, as an
    operator would.
    """
    options = ("--config", str(config), "--api", api)
    _command("rec", "issue", MONTH, *options)
    _command("period", "final", MONTH, *options)
    _command("statement", MONTH, "--format", "json", "--out", str(out), *options[:2])
    return [json.loads(file.read_bytes()) for file in sorted(out.glob("*.json"))]


def _command(*arguments: str) -> None:
    done = subprocess.run(
        python("gridtokenx_backend", *arguments),
        capture_output=True,
        timeout=120,
        check=False,
        text=True,
    )
    assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr}"
