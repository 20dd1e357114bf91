"""The command `gridtokenx wallet`, run as its user runs it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from gridtokenx_client import api as api_module
from gridtokenx_client.__main__ import main
from gridtokenx_client.wallet import Wallet
from gridtokenx_wire.order import open_instruction


class Community(Protocol):
    requests: list[tuple[str, str]]
    orders: dict[str, Any]
    standing: dict[str, Any]
    faults: Any
    url: str


HEALTH = json.dumps(
    {
        "status": "ok",
        "community": "sonnenweg",
        "time_ms": 1_782_036_000_000,
        "journal_seq": 1,
        "oracle": "running",
    }
).encode()


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Command(Protocol):
    def __call__(self, *words: str | Path) -> Said: ...


@pytest.fixture
def gridtokenx(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    community: Community,
    key_file: Path,
    tmp_path: Path,
) -> Command:
    """Run the command in this process with the test's server and key."""
    monkeypatch.setenv("GRIDTOKENX_API", community.url)
    monkeypatch.setenv("GRIDTOKENX_KEY", str(key_file))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(api_module, "_FIRST_DELAY_S", 0.0)

    def run(*words: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["gridtokenx", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        assert isinstance(caught.value.code, int | None)
        return Said(caught.value.code or 0, captured.out, captured.err)

    return run


@pytest.fixture
def address(key_file: Path) -> str:
    return Wallet.load(key_file).address


def sent(community: Community) -> Any:
    """Return the last instruction that the server was sent, its signature verified."""
    return open_instruction(community.requests[-1][1].encode())


# -- keys ---------------------------------------------------------------------------------------


def test_a_new_wallet_prints_its_address(gridtokenx: Command, tmp_path: Path) -> None:
    said = gridtokenx("wallet", "new", "--key", tmp_path / "new.key")
    assert said == (0, Wallet.load(tmp_path / "new.key").address + "\n", "")


def test_a_wallet_without_a_name_goes_to_the_users_configuration(
    gridtokenx: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GRIDTOKENX_KEY")
    made = gridtokenx("wallet", "new", "--json")
    file = tmp_path / ".config" / "gridtokenx" / "wallet.key"
    assert made.json == {"wallet": Wallet.load(file).address, "key_file": str(file)}
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert gridtokenx("wallet", "address").out == made.json["wallet"] + "\n"


def test_a_wallet_is_never_replaced(gridtokenx: Command, key_file: Path, address: str) -> None:
    said = gridtokenx("wallet", "new")
    expected = f"gridtokenx: {key_file}: expected no file here; a wallet is never replaced\n"
    assert said == (2, "", expected)
    assert Wallet.load(key_file).address == address


# -- reading ------------------------------------------------------------------------------------


def test_a_balance_is_a_table_for_people(gridtokenx: Command, address: str) -> None:
    said = gridtokenx("wallet", "balance")
    assert (said.code, said.err) == (0, "")
    rows = [line.replace("│", " ").split() for line in said.out.splitlines()]
    assert address.split() in rows
    assert ["GRID", "(kWh)", "4.5", "1", "3.5"] in rows
    assert ["GRX", "9.5", "0", "9.5"] in rows


def test_a_balance_is_json_for_programs(gridtokenx: Command, address: str) -> None:
    found = gridtokenx("wallet", "balance", "--json").json
    assert (found["wallet"], found["grid"], found["grx"]) == (address, "4.500000000", "9.5")


def test_another_wallets_balance_needs_no_key(
    gridtokenx: Command, address: str, tmp_path: Path
) -> None:
    said = gridtokenx(
        "wallet", "balance", "--wallet", address, "--key", tmp_path / "none", "--json"
    )
    assert said.json["wallet"] == address


# -- orders -------------------------------------------------------------------------------------


def test_a_sale_is_signed_and_its_trades_are_shown(
    gridtokenx: Command, community: Community, address: str
) -> None:
    said = gridtokenx("wallet", "sell", "1.5", "--price", "0.25", "--id", "roof-1")
    assert (said.code, said.err) == (0, "")
    assert "order roof-1: partly filled, the rest is open" in said.out
    assert "traded, entry 8" in said.out
    order = sent(community)
    assert (order.wallet, order.side, order.tif, order.id) == (address, "sell", "GTC", "roof-1")
    assert (order.quantity_kwh, order.price_grx_per_kwh) == ("1.5", "0.25")


def test_a_purchase_can_be_immediate_or_cancel(gridtokenx: Command, community: Community) -> None:
    placed = gridtokenx("wallet", "buy", "2", "--price", "0.3", "--ioc", "--json").json
    order = sent(community)
    assert (order.side, order.tif) == ("buy", "IOC")
    assert placed["order"] == order.id
    assert placed["trades"][0]["gross_grx"] == "0.125000"


def test_each_order_has_an_id_of_its_own_unless_one_is_given(
    gridtokenx: Command, community: Community
) -> None:
    for _ in range(2):
        gridtokenx("wallet", "sell", "1", "--price", "1")
    for _ in range(2):
        assert gridtokenx("wallet", "sell", "1", "--price", "1", "--id", "mine").code == 0
    assert len(community.orders) == 3


def test_a_lost_connection_is_retried_with_the_same_signed_order(
    gridtokenx: Command, community: Community
) -> None:
    at = (200, "application/json", HEALTH)
    community.faults.extend([at, "carry it out, then drop the connection"])
    assert gridtokenx("wallet", "sell", "1", "--price", "1").code == 0
    posted = [body for request, body in community.requests if request.startswith("POST")]
    assert posted == [posted[0]] * 2
    assert len(community.orders) == 1


def test_an_order_is_listed_and_cancelled(gridtokenx: Command, community: Community) -> None:
    gridtokenx("wallet", "sell", "1.5", "--price", "0.25", "--id", "roof-1")
    assert gridtokenx("wallet", "orders", "--json").json["orders"][0]["order"] == "roof-1"
    assert "roof-1" in gridtokenx("wallet", "orders").out
    said = gridtokenx("wallet", "cancel", "roof-1")
    assert said == (0, "order roof-1: cancelled, 1 kWh were left\n", "")
    assert community.orders == {}


def test_a_standing_order_is_set_listed_and_ended(
    gridtokenx: Command, community: Community
) -> None:
    said = gridtokenx("wallet", "standing", "sell", "--price", "0.2", "--keep", "1")
    assert said == (0, "standing order to sell: active (entry 10)\n", "")
    assert community.standing["sell"]["keep_kwh"] == "1"
    assert "above 1" in gridtokenx("wallet", "orders").out
    ended = gridtokenx("wallet", "standing", "sell", "--off", "--json")
    assert (ended.json["side"], ended.json["active"]) == ("sell", False)
    assert sent(community).active is False
    assert community.standing == {}


# -- what can go wrong --------------------------------------------------------------------------

MISTAKES: dict[str, tuple[list[str], str]] = {
    "no amount": (["sell", "--price", "1"], "Missing argument"),
    "no price": (["sell", "1"], "Missing option"),
    "an unknown command": (["steal"], "No such command 'steal'"),
    "an unknown option": (["balance", "--colour"], "No such option"),
    "an amount of nothing": (["sell", "0", "--price", "1"], "expected more than 0, got '0'"),
    "an amount with its unit": (["sell", "1kWh", "--price", "1"], "got '1kWh'"),
    "an amount too fine": (["buy", "1", "--price", "0.0000001"], "expected at most 6 decimals"),
    "an id with a blank": (["sell", "1", "--price", "1", "--id", "a b"], "expected an id of"),
    "an address that is none": (["balance", "--wallet", "0x12"], "--wallet: expected a Base58"),
    "an api that is none": (["balance", "--api", "localhost"], "expected an address such as"),
    "a key that is not there": (["address", "--key", "none.key"], "cannot be read"),
    "a standing order without a price": (["standing", "sell"], "expected either --price"),
    "a standing order both ways": (
        ["standing", "sell", "--price", "1", "--off"],
        "expected either --price",
    ),
    "a standing order to hold": (["standing", "hold", "--price", "1"], "Invalid value"),
    "keeping what is bought": (
        ["standing", "buy", "--price", "1", "--keep", "2"],
        "expected --keep only with sell",
    ),
    "ending what is not there": (["standing", "buy", "--off"], "expected a standing order to buy"),
}


@pytest.mark.parametrize(("words", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_of_the_user_is_one_line_and_sends_nothing(
    gridtokenx: Command, community: Community, words: list[str], expected: str
) -> None:
    said = gridtokenx("wallet", *words)
    assert (said.code, said.out) == (2, "")
    [line] = said.err.splitlines()
    assert line.startswith("gridtokenx: ")
    assert expected in line
    assert [request for request, _ in community.requests if request.startswith("POST")] == []


def test_a_key_that_others_can_read_is_refused_with_the_cure(
    gridtokenx: Command, key_file: Path
) -> None:
    key_file.chmod(0o640)
    said = gridtokenx("wallet", "balance")
    cure = f"gridtokenx: {key_file}: expected mode 0600, got 0640; run: chmod 600 {key_file}\n"
    assert said == (2, "", cure)


def test_a_refusal_is_one_line_and_another_exit_code(gridtokenx: Command) -> None:
    said = gridtokenx("wallet", "sell", "99", "--price", "0.25")
    assert said == (1, "", "gridtokenx: insufficient_balance: expected at most 1.5 GRID\n")


def test_an_api_out_of_reach_is_one_line(gridtokenx: Command, community: Community) -> None:
    community.faults.extend(["drop the connection"] * 9)
    said = gridtokenx("wallet", "balance")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"gridtokenx: unreachable: no answer from {community.url}")
    assert len(said.err.splitlines()) == 1


def test_without_a_command_the_help_is_shown(gridtokenx: Command) -> None:
    said = gridtokenx()
    assert said.code == 2
    assert "wallet" in said.out + said.err


@pytest.mark.parametrize(
    "command", ["new", "address", "balance", "orders", "sell", "buy", "cancel", "standing"]
)
def test_every_commands_help_shows_an_example(gridtokenx: Command, command: str) -> None:
    said = gridtokenx("wallet", command, "--help")
    assert said.code == 0
    assert f"Example: gridtokenx wallet {command}" in " ".join(said.out.split())


def test_the_installed_command_works_on_its_own(key_file: Path, address: str) -> None:
    command = Path(sys.executable).with_name("gridtokenx")
    done = subprocess.run(
        [command, "wallet", "address", "--key", key_file],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, address + "\n", "")
