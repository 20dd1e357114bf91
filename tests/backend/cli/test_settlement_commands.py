"""Money, corrections and certificates by the commands of members and operator, against a backend.

The backend is a process with a clock of its own, started in June and again in July. It needs no
broker: what the gateways sent is brought over the API.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bench.rig.processes import Process, free_port, python
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.backend.commands import Command, Ran
from tests.backend.settling import MWH, NOON_MS, QUARTER_MS, roof_meters
from tests.backend.village import (
    HOUR_MS,
    Gateway,
    Village,
    member_terms,
    reading,
    toml_of,
)

from gridtokenx_backend.cli.operator_api import OperatorApi
from gridtokenx_backend.config.settings import load_settings
from gridtokenx_client.__main__ import main as client_main
from gridtokenx_wire.keys import write_secret

JUNE_MS = NOON_MS + 2 * HOUR_MS
JULY_MS = NOON_MS + 40 * 24 * HOUR_MS
Run = Callable[..., Ran]


def write_config(folder: Path, community_ms: int) -> Path:
    """Write a config with a clock that starts at that time; return its path."""
    path = folder / "backend.toml"
    now_ms = time.time_ns() // 1_000_000
    path.write_text(
        f"[backend]\nverify_workers = 0\n[broker]\nport = {free_port()}\ninsecure = true\n"
        f'[api]\nport = 0\n[clock]\nsource = "scaled"\nwall_ms = {now_ms}\n'
        f"community_ms = {community_ms}\nspeed = 1.0\n"
    )
    return path


@contextmanager
def backend(folder: Path, community_ms: int) -> Iterator[str]:
    """Run a backend and yield the address of its API."""
    config = write_config(folder, community_ms)
    command = python("gridtokenx_backend", "run", "--config", str(config))
    with Process("backend", command, folder) as process:
        yield process.ready(60)["api"]


@pytest.fixture(name="village")
def _village(tmp_path: Path) -> Village:
    """Anna's roof and ben's house, in Vienna; their key files are in the folder."""
    village = Village(meter=roof_meters())
    village.document["community"] = {"name": "lane", "time_zone": "Europe/Vienna"}
    village.document["member"] = [member_terms(village.anna, "100"), member_terms(village.ben)]
    (tmp_path / "community.toml").write_text(toml_of(village.document))
    for who in (village.anna, village.ben):
        pem = who.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_secret(tmp_path / f"{who.name}.key", pem)
    return village


def bring(folder: Path, api: str, gateway: Gateway, *readings: Any) -> None:
    """Put a frame of a gateway to the backend, as `import` does."""
    settings = load_settings(folder / "backend.toml")
    path = f"/v1/devices/{gateway.name}/frames"
    assert OperatorApi(settings, api).post_frames(path, gateway.next(readings))["accepted"] == 1


@pytest.fixture(name="member")
def _member(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run `gridtokenx` in this process as the member whose name comes first."""

    def run(name: str, api: str, *words: str) -> Ran:
        monkeypatch.setenv("GRIDTOKENX_API", api)
        monkeypatch.setenv("GRIDTOKENX_KEY", str(tmp_path / f"{name}.key"))
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["gridtokenx", *words])
        capsys.readouterr()
        try:
            client_main()
            status = 0
        except SystemExit as ended:
            status = int(ended.code or 0)
        return Ran(status, *capsys.readouterr())

    return run


@pytest.fixture(name="operator")
def _operator(tmp_path: Path, command: Command) -> Run:
    """Run `gridtokenx-backend`, with the config and the API's address behind the arguments."""

    def run(api: str, *words: str) -> Ran:
        return command(*words, "--config", str(tmp_path / "backend.toml"), "--api", api)

    return run


def done(ran: Ran, out: str = "") -> str:
    assert (ran.status, out in ran.out) == (0, True), ran
    return ran.out


def refused(ran: Ran, status: int, detail: str) -> None:
    """Return the one line with which a command was refused."""
    assert (ran.status, ran.out, len(ran.lines)) == (status, "", 1), ran
    assert detail in ran.err


def test_money_comes_and_goes_and_energy_is_corrected_and_certified(
    tmp_path: Path, village: Village, member: Run, operator: Run
) -> None:
    anna, ben = village.anna.wallet, village.ben.wallet
    with backend(tmp_path, JUNE_MS) as api:
        _money(api, anna, member, operator)
        bring(
            tmp_path,
            api,
            village.north,
            reading("ABB-1", NOON_MS),
            reading("ABB-1", NOON_MS + HOUR_MS, 3 * MWH),
            reading("ABB-1", NOON_MS + 2 * HOUR_MS - QUARTER_MS, 3 * MWH),
        )
        _correction(api, anna, operator)
        _standing(api, member)
    with backend(tmp_path, JULY_MS) as api:
        _certificates(tmp_path, api, ben, member, operator)


def _money(api: str, anna: str, member: Run, operator: Run) -> None:
    words = ("deposit", anna, "50", "--reference", "SEPA 1")
    first = done(operator(api, *words), f"{anna}: 50.000000 GRX credited (entry ")
    assert done(operator(api, *words)) == first
    refused(operator(api, "deposit", anna, "51", "--reference", "SEPA 1"), 2, "another payment")
    refused(operator(api, "deposit", "x", "1", "--reference", "n"), 2, "the wallet of a member")
    asked = json.loads(
        done(member("anna", api, "wallet", "withdraw", "25", "--reference", "June", "--json"))
    )
    assert (asked["status"], asked["amount_grx"]) == ("asked", "25.000000")
    told = done(member("anna", api, "wallet", "withdraw", "1", "--reference", "more"))
    assert told.startswith(f"withdrawal {asked['number'] + 1}: 1 GRX asked (entry ")
    refused(
        member("anna", api, "wallet", "withdraw", "999", "--reference", "all"),
        1,
        "insufficient_balance: expected 999.000000 GRX available, got 124.000000",
    )
    refused(member("anna", api, "wallet", "withdraw", "0", "--reference", "x"), 2, "more than 0")
    listed = done(operator(api, "withdrawal", "list"))
    assert "June" in listed
    assert "anna" in listed
    number = str(asked["number"])
    confirm = ("withdrawal", "confirm", number, "--reference", "SEPA 2")
    paid = done(operator(api, *confirm), f"withdrawal {number}: 25.000000 GRX paid (entry ")
    assert done(operator(api, *confirm)) == paid
    refused(operator(api, *confirm[:-1], "SEPA 3"), 2, "the number of an open withdrawal")
    other = str(asked["number"] + 1)
    done(operator(api, "withdrawal", "refuse", other, "--reason", "no account"), "GRX refused")
    assert json.loads(done(operator(api, "withdrawal", "list", "--json"))) == []
    balance = json.loads(done(member("anna", api, "wallet", "balance", "--json")))
    assert (balance["grx"], balance["grx_held"]) == ("125.000000", "0.000000")


def _correction(api: str, anna: str, operator: Run) -> None:
    span = ("--from", "2026-06-01T12:00Z", "--to", "2026-06-01T15:00+02:00")
    moved = ("--import", "0", "--export", "2500", "--reason", "meter counted double")
    corrected = done(operator(api, "correct", "ABB-1", *span, *moved))
    assert corrected.split() == [
        *("import", "0.000000000", "kWh", "export", "-500.000000000", "kWh"),
        *("surplus", "-500.000000000", "kWh", "owed", "0.000000000", "kWh"),
        *("of", "the", "owner's", "next", "mints"),
        *("owner", anna, "in", "this", "time"),
    ]
    again = json.loads(done(operator(api, "correct", "ABB-1", *span, *moved, "--json")))
    assert (again["surplus_kwh"], again["intervals"]) == ("0.000000000", 4)
    refused(operator(api, "correct", "ABB-9", *span, *moved), 2, "the id of a meter")
    late = ("--from", "2026-06-01T12:00Z", "--to", "2026-06-01T14:00Z")
    refused(operator(api, "correct", "ABB-1", *late, *moved), 2, "ends at 2026-06-01T15:45+02:00")
    local = ("--from", "2026-06-01T12:00", "--to", "2026-06-01T13:00Z")
    refused(operator(api, "correct", "ABB-1", *local, *moved), 2, "a time with its offset")
    for year, expected in (("2025", "where the meter was first read"), ("0026", "after 1970")):
        wrong = ("--from", f"{year}-06-01T12:00Z", "--to", f"{year}-06-01T13:00Z")
        refused(operator(api, "correct", "ABB-1", *wrong, *moved), 2, expected)


def _standing(api: str, member: Run) -> None:
    words = ("wallet", "standing", "sell", "--price", "0.12", "--curve", "7:0.3,20:0.2")
    done(member("anna", api, *words, "--segment", "interval", "--pause"), "active (entry ")
    shown = done(member("anna", api, "wallet", "orders"))
    assert "0.12, from 7 h 0.3, from 20 h 0.2" in shown
    assert "standing order itself, auction, paused" in shown
    orders = json.loads(done(member("anna", api, "wallet", "orders", "--json")))
    (standing,) = orders["standing"]
    assert standing["curve"] == [[7, "0.300000"], [20, "0.200000"]]
    assert (standing["segment"], standing["paused"]) == ("interval", True)
    bad = member("anna", api, *words[:-1], "20:0.2,7:0.3")
    refused(bad, 2, "--curve: expected ascending hours, got '20:0.2,7:0.3'")
    refused(member("anna", api, *words[:-1], "noon"), 2, "expected HOUR:GRX,...")
    refused(member("anna", api, "wallet", "standing", "sell", "--off", "--pause"), 2, "--off alone")
    done(member("anna", api, "wallet", "standing", "sell", "--off"), "ended")


def _certificates(folder: Path, api: str, ben: str, member: Run, operator: Run) -> None:
    refused(operator(api, "rec", "issue", "2026-07"), 2, "expected a month that is over")
    refused(operator(api, "rec", "issue", "June"), 2, "expected a month such as 2026-05")
    first, second = (f"lane-2026-06-ABB-1-{number}" for number in (1, 2))
    issued = operator(api, "rec", "issue", "2026-06")
    assert [line.partition(":")[0] for line in issued.out.splitlines()] == [first, second]
    assert issued.err == "2026-06: 2 certificates issued\n"
    assert operator(api, "rec", "issue", "2026-06").err == "2026-06: 0 certificates issued\n"
    moved = done(member("anna", api, "rec", "transfer", first, ben))
    assert moved.startswith(f"{first}: transferred to {ben} (entry ")
    used = member("ben", api, "rec", "retire", first, "--for", "=Bakery")
    assert done(used).startswith(f"{first}: retired for =Bakery (entry ")
    again = member("ben", api, "rec", "retire", first, "--for", "me")
    refused(again, 1, f"unknown_certificate: expected a certificate that is not retired; {first}")
    refused(member("ben", api, "rec", "transfer", second, ben), 1, "a certificate of this wallet")
    refused(member("ben", api, "rec", "transfer", second, "x"), 2, "address: expected")
    assert second in done(member("anna", api, "rec", "list"))
    mine = json.loads(done(member("anna", api, "rec", "list", "--json")))
    assert [each["serial"] for each in mine] == [second]
    everyones = json.loads(done(member("anna", api, "rec", "list", "--all", "--json")))
    assert [each["status"] for each in everyones] == ["retired", "issued"]
    balance = json.loads(done(member("anna", api, "wallet", "balance", "--json")))
    assert balance["rec"] == "1"
    _export(folder, api, (first, second), operator)


def _export(folder: Path, api: str, serials: tuple[str, str], operator: Run) -> None:
    out = folder / "certificates.csv"
    assert operator(api, "rec", "export", "--out", str(out)).err == f"{out}: 2 certificates\n"
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["serial_number"] for row in rows] == list(serials)
    assert rows[0]["beneficiary"] == "'=Bakery"  # so that no spreadsheet takes it for a formula
    assert (rows[1]["energy_mwh"], rows[1]["technology"]) == ("1", "solar")
    assert (rows[1]["surplus_from_kwh"], rows[1]["surplus_to_kwh"]) == ("1000", "2000")
    assert rows[0]["issued_at"].startswith("2026-07-11T")
    assert done(operator(api, "rec", "export")) == out.read_bytes().decode()
    assert done(operator(api, "rec", "export", "--month", "2026-05")).count("\n") == 1
    refused(operator(api, "rec", "export", "--month", "May"), 2, "expected a month such as")
    refused(operator(api, "rec", "export", "--out", str(folder)), 2, "cannot be written")
