"""The command against a real `gridtokenx-backend` process; the market needs no broker."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gridtokenx_client.api import Api
from gridtokenx_client.problem import ApiProblem
from gridtokenx_client.wallet import Wallet

BIN = Path(sys.executable).parent


class Said(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Config of a community with one member, Anna, and no broker behind its port."""
    made = tmp_path_factory.mktemp("community")
    address = Wallet.create(made / "anna.key").address
    Wallet.create(made / "stranger.key")
    (made / "community.toml").write_text(
        '[community]\nname = "sonnenweg"\n'
        f'[[member]]\nname = "Anna"\nwallet = "{address}"\nopening_grx = "10"\n'
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (made / "backend.toml").write_text(
        f"[broker]\nport = {port}\ninsecure = true\n[api]\nport = 0\n"
        '[clock]\nsource = "scaled"\nwall_ms = 0\ncommunity_ms = 0\nspeed = 2.0\n'
    )
    return made


@pytest.fixture(scope="module")
def api(folder: Path) -> Iterator[str]:
    """Yield the address of the running backend."""
    command = [str(BIN / "gridtokenx-backend"), "run", "--config", str(folder / "backend.toml")]
    with (
        (folder / "backend.log").open("wb") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        assert process.stdout is not None
        line = process.stdout.readline()
        watchdog.cancel()
        assert line, (folder / "backend.log").read_text()
        try:
            yield json.loads(line)["api"]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        assert process.returncode == 0


@pytest.fixture
def anna(folder: Path, api: str) -> Callable[..., Said]:
    """Run `gridtokenx wallet ...` as Anna."""

    def run(*words: str) -> Said:
        done = subprocess.run(
            [BIN / "gridtokenx", "wallet", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={
                **os.environ,
                "GRIDTOKENX_API": api,
                "GRIDTOKENX_KEY": str(folder / "anna.key"),
                "COLUMNS": "120",
            },
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run


def as_json(said: Said) -> Any:
    assert (said.code, said.err) == (0, "")
    return json.loads(said.out)


def test_a_members_orders_live_their_life(anna: Callable[..., Said]) -> None:
    placed = as_json(anna("buy", "2", "--price", "0.3", "--id", "b-1", "--json"))
    assert (placed["status"], placed["remaining_kwh"]) == ("resting", "2.000000000")
    again = as_json(anna("orders", "--json"))
    assert [order["order"] for order in again["orders"]] == ["b-1"]
    held = as_json(anna("balance", "--json"))
    assert held["grx"] == "10.000000"
    assert float(held["grx_held"]) >= 0.6
    assert anna("cancel", "b-1").out == "order b-1: cancelled, 2 kWh were left\n"
    freed = as_json(anna("balance", "--json"))
    assert float(freed["grx_held"]) == 0


def test_a_standing_order_is_set_and_ended(anna: Callable[..., Said]) -> None:
    assert as_json(anna("standing", "sell", "--price", "0.2", "--keep", "1", "--json"))["active"]
    [standing] = as_json(anna("orders", "--json"))["standing"]
    assert standing == {
        "side": "sell",
        "price_grx_per_kwh": "0.200000",
        "keep_kwh": "1.000000000",
        "segment": "realtime",
        "curve": [],
        "paused": False,
    }
    assert not as_json(anna("standing", "sell", "--off", "--json"))["active"]
    assert as_json(anna("orders", "--json"))["standing"] == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("sell", "1", "--price", "0.3"), "insufficient_balance"),
        (("buy", "99", "--price", "0.3"), "insufficient_balance"),
        (("buy", "1", "--price", "0.0000001"), ""),
        (("buy", "0.0000001", "--price", "0.3"), "bad_quantity"),
        (("cancel", "nothing"), "unknown_order"),
    ],
    ids=str,
)
def test_a_refusal_is_one_line(
    anna: Callable[..., Said], words: tuple[str, ...], reason: str
) -> None:
    said = anna(*words)
    assert (said.code, said.out) == (1 if reason else 2, "")
    [line] = said.err.splitlines()
    assert line.startswith(f"gridtokenx: {reason}")


def test_a_stranger_is_refused(folder: Path, api: str) -> None:
    stranger = Wallet.load(folder / "stranger.key")
    with Api(api) as community:
        jws = stranger.order(community.health(), "buy", "1", "0.3", ioc=False, id_="x")
        for ask in (lambda: community.place(jws), lambda: community.balance(stranger.address)):
            with pytest.raises(ApiProblem) as caught:
                ask()
            assert (caught.value.status, caught.value.reason) == (404, "unknown_wallet")


def test_the_same_signed_order_twice_is_one_order(folder: Path, api: str) -> None:
    wallet = Wallet.load(folder / "anna.key")
    with Api(api) as community:
        jws = wallet.order(community.health(), "buy", "1", "0.1", ioc=True, id_="twice")
        first = community.place(jws)
        assert community.place(jws) == first
        changed = wallet.order(community.health(), "buy", "2", "0.1", ioc=True, id_="twice")
        with pytest.raises(ApiProblem, match="id_reused"):
            community.place(changed)


def test_every_answer_is_understood(folder: Path, api: str) -> None:
    with Api(api) as community:
        assert community.health().community == "sonnenweg"
        assert community.summary().frames == 0
        assert community.trades().trades == []
        assert community.book().asks == []
        with pytest.raises(ApiProblem, match="unauthorized"):
            community.devices()
    token = (folder / "data" / "operator.token").read_text()
    with Api(api, operator_token=token) as operator:
        assert operator.devices() == []
        with pytest.raises(ApiProblem, match="unknown_meter"):
            operator.readings("ABB-1")
        assert operator.pause_oracle("meter exchange").oracle == "paused"
        assert operator.resume_oracle("done").oracle == "running"
