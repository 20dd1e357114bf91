"""What comes along when a package is imported, seen from a fresh interpreter."""

from __future__ import annotations

import importlib.util
import json
import pkgutil
import subprocess
import sys

import pytest

WEB_SERVERS = {"aiohttp", "fastapi", "flask", "hypercorn", "litestar", "starlette", "uvicorn"}
WEB_SERVERS |= {"http.server", "socketserver", "wsgiref", "xmlrpc"}
DATABASE_SERVERS = {"asyncpg", "psycopg", "psycopg2", "sqlalchemy"}
SCREEN = {"rich", "typer", "click"}
PACKAGES = (
    "gridtokenx_wire",
    "gridtokenx_edge",
    "gridtokenx_backend",
    "gridtokenx_client",
    "gridtokenx_sim",
)

REPORT = """
import importlib, json, sys, threading
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps({"modules": sorted(sys.modules), "threads": threading.active_count()}))
"""


def modules_of(package: str) -> list[str]:
    """Every module but the commands, which run when they are imported as `__main__`."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    found = pkgutil.walk_packages(spec.submodule_search_locations, f"{package}.")
    return [package, *(module.name for module in found)]


def after_import(*names: str) -> set[str]:
    """The modules that a fresh interpreter has after importing `names` without a warning."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", REPORT, *names],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["threads"] == 1
    return set(report["modules"])


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_happens_when_a_package_is_imported(package: str) -> None:
    # No thread, no output, no warning; and each of its modules can be imported.
    assert package in after_import(*modules_of(package))


def test_a_gateway_loads_no_web_server_and_no_database_servers_client() -> None:
    loaded = after_import(*modules_of("gridtokenx_edge"))
    assert loaded & (WEB_SERVERS | DATABASE_SERVERS) == set()


def test_the_agent_loads_nothing_that_draws_on_a_screen() -> None:
    loaded = after_import("gridtokenx_edge.agent.main")
    assert loaded & (SCREEN | WEB_SERVERS | DATABASE_SERVERS) == set()


def test_the_agent_loads_no_dlms_before_there_is_a_meter_for_it() -> None:
    loaded = after_import("gridtokenx_edge.agent.main")
    assert {name for name in loaded if name.startswith("gridtokenx_dlms")} == set()


def test_the_contract_loads_no_sockets_and_no_event_loop() -> None:
    # Outbox and journal have SQLite on a thread in one way, and the contract is the only package
    # that gateway and backend share. Who needs only the contract does not load this module.
    contract = set(modules_of("gridtokenx_wire")) - {"gridtokenx_wire.sqlite_thread"}
    loaded = after_import(*sorted(contract))
    assert loaded & ({"asyncio", "sqlite3", "paho", "httpx"} | SCREEN | WEB_SERVERS) == set()


def test_the_backends_core_loads_no_event_loop_and_no_database() -> None:
    core = [name for name in modules_of("gridtokenx_backend") if ".core" in name]
    loaded = after_import(*core)
    assert loaded & ({"asyncio", "sqlite3", "paho", "httpx"} | WEB_SERVERS) == set()
