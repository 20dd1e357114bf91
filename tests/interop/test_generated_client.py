"""A client that `openapi-python-client` makes out of the OpenAPI document places an order."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from bench.rig.community import BackendProcess
from bench.rig.processes import free_port
from tests.backend.running import write_configs
from tests.backend.village import Village

from gridtokenx_client import Api, Wallet

PROGRAMS = Path(__file__).parents[2] / ".venv-interop" / "bin"
# The generator knows only bytes of one media type, so it is told which others are bytes too.
CONFIG = """
package_name_override: community
post_hooks: []
content_type_overrides:
  application/jose: application/octet-stream
  application/cbor-seq: application/octet-stream
"""
USE = """
import io, json, sys
from community import AuthenticatedClient
from community.api.instructions import place_order
from community.api.operation import record_deposit
from community.api.wallets import get_balance, list_open_orders
from community.models import DepositBody, ProblemDocument
from community.types import File

def signed(jws):
    return File(payload=io.BytesIO(jws.encode()))

api, token, wallet, order = sys.argv[1:]
with AuthenticatedClient(base_url=api, token=token) as client:
    paid = record_deposit.sync(
        client=client, body=DepositBody(wallet=wallet, amount_grx="50", reference="one")
    )
    placed = place_order.sync(client=client, body=signed(order))
    again = place_order.sync(client=client, body=signed(order))
    resting = list_open_orders.sync(wallet, client=client)
    balance = get_balance.sync(wallet, client=client)
    problem = place_order.sync(client=client, body=signed("no.order.here"))
    assert isinstance(problem, ProblemDocument), problem
print(json.dumps({
    "paid": paid.amount_grx,
    "order": placed.order,
    "status": str(placed.status),
    "same": again.to_dict() == placed.to_dict(),
    "resting": [each.order for each in resting.orders],
    "held": balance.grx_held,
    "reason": problem.reason,
}))
"""


@pytest.fixture(name="served")
def _served(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address of a backend and its operator's token."""
    config = write_configs(tmp_path, Village().document, free_port())
    with BackendProcess(tmp_path, config) as backend:
        assert isinstance(backend, BackendProcess)
        api = backend.ready(60)["api"]
        (token,) = tmp_path.rglob("operator.token")
        yield api, token.read_text().strip()


def generate(api: str, folder: Path) -> None:
    """Make the client's package `community` in `folder`."""
    document = folder / "openapi.json"
    document.write_bytes(httpx.get(f"{api}/schema/openapi.json").content)
    config = folder / "client.yaml"
    config.write_text(CONFIG)
    command = [PROGRAMS / "openapi-python-client", "generate", "--path", document]
    command += ["--config", config, "--output-path", folder / "made", "--meta", "setup"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def use(folder: Path, *arguments: str) -> dict[str, Any]:
    program = folder / "use.py"
    program.write_text(USE)
    done = subprocess.run(
        [PROGRAMS / "python", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": str(folder / "made")},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_generated_client_places_an_order_and_reads_what_became_of_it(
    served: tuple[str, str], tmp_path: Path
) -> None:
    api, token = served
    generate(api, tmp_path)
    anna = Village().anna
    with Api(api) as community:
        at = community.health()
    order = Wallet(anna.key).order(at, "buy", "1.5", "0.2", ioc=False, id_="first")
    assert use(tmp_path, api, token, anna.wallet, order) == {
        "paid": "50.000000",
        "order": "first",
        "status": "resting",
        "same": True,
        "resting": ["first"],
        "held": "0.300000",
        "reason": "malformed",
    }
