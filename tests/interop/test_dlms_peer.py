"""Our simulated meters read by `dlms-cosem`, and other people's meters read by us.

`dlms-cosem` 21.3.2 waits for the flag behind a frame and stalls on one inside it. So it reads HDLC
only where every byte is known beforehand: without ciphering, and with a clock that stands still.

An independent server is read where one is running: `DLMS_SERVER=host:port` names one that speaks
the wrapper and answers the client 16, without security or as `DLMS_PASSWORD` (low level) or
`DLMS_KEYS` (encryption and authentication key, with a colon between: GMAC, and all messages
authenticated and encrypted) say. It may be GPL software: that is then a process of its own, and
it is not brought along here.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gridtokenx_dlms.acse import Mechanism
from gridtokenx_dlms.aio.client_transport import WrapperTransport, run_service
from gridtokenx_dlms.aio.line import StreamLine
from gridtokenx_dlms.client import Authentication, ClientAssociation
from gridtokenx_dlms.errors import MalformedError
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.security import Keys, Protection
from gridtokenx_dlms.session import Ciphering
from gridtokenx_dlms.xdlms.attribute import Attribute
from gridtokenx_sim.clock import HandClock
from gridtokenx_sim.config.loading import parse_config
from gridtokenx_sim.simulation import Simulation, serve

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv-interop" / "bin" / "python"
START_MS = 1_782_000_000_000  # 2026-06-21T00:00:00Z
NOW_MS = START_MS + 30 * 3_600_000
KEYS = {
    "encryption_key": "000102030405060708090A0B0C0D0E0F",
    "authentication_key": "D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF",
}
METER = {
    "model": "dlms_three_phase",
    "address": 17,
    "zone_min": -60,
    "annual_load_kwh": "4000",
    "solar_kwp": "5",
    "import_kwh": "1234.5",
    "client": [
        {"address": 16, "reads": "all"},
        {"address": 2, "mechanism": "low", "password": "12345678"},
        {
            "address": 1,
            "mechanism": "gmac",
            "protection": "authenticated_encrypted",
            **KEYS,
        },
        {"address": 3, "mechanism": "none", "protection": "authenticated_encrypted", **KEYS},
    ],
}
SITE = {"latitude": 48.2, "longitude": 16.37, "seed": 7, "start": "2026-06-21T00:00:00Z"}
IMPORT = [3, "1.0.1.8.0.255", 2]
EXPORT = [3, "1.0.2.8.0.255", 2]
READS = [
    {"attribute": IMPORT},
    {"attribute": [3, "1.0.1.8.0.255", 3]},
    {"attribute": EXPORT},
    {"attribute": [8, "0.0.1.0.0.255", 2]},
    {
        "attribute": [7, "1.0.99.1.0.255", 2],
        "range": ["2026-06-21T10:00:00+00:00", "2026-06-21T16:00:00+00:00"],
    },
]
WAYS = {
    "none": {"client": 16, "mechanism": "none"},
    "low": {"client": 2, "mechanism": "low", "password": b"12345678".hex()},
    "gmac": {
        "client": 1,
        "mechanism": "gmac",
        "client_system_title": b"PEER\0\0\0\1".hex(),
        "counter": 10,
        **KEYS,
    },
    "ciphered": {
        "client": 3,
        "mechanism": "none",
        "client_system_title": b"PEER\0\0\0\1".hex(),
        "counter": 10,
        **KEYS,
    },
}


@pytest.fixture(autouse=True)
def peer_environment() -> None:
    assert PYTHON.exists(), "expected .venv-interop; scripts/test makes it"


def config(folder: Path, **serial: Any) -> Any:
    buses = [
        {"name": "net", "kind": "dlms_tcp", "meter": [{**METER, "serial": "1"}]},
        {
            "name": "line",
            "kind": "dlms_serial",
            "link": "tty",
            "meter": [{**METER, "serial": "2"}],
            **serial,
        },
    ]
    return parse_config({"site": SITE, "bus": buses}, folder=folder)


async def peer(job: dict[str, Any]) -> dict[str, Any]:
    command = [str(PYTHON), str(HERE / "dlms_cosem_peer.py")]
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def expected(running: Simulation, meter_id: str) -> list[Any]:
    """Return the true values from the physics."""
    meter = running.meter(meter_id)
    now = meter.registers()
    rows = []
    for quarter in range(40, 65):
        at_ms = START_MS + quarter * 900_000
        then = meter.registers(at_ms)
        time = f"2026-06-21T{quarter // 4 + 1:02}:{quarter % 4 * 15:02}:00+01:00"
        rows.append([time, 0, then.import_uwh // 10**6, then.export_uwh // 10**6])
    return [
        now.import_uwh // 10**6,
        [0, 30],
        now.export_uwh // 10**6,
        "2026-06-22T07:00:00+01:00",
        rows,
    ]


@pytest.mark.parametrize("way", WAYS)
async def test_dlms_cosem_reads_registers_clock_and_profile_over_tcp(
    way: str, tmp_path: Path
) -> None:
    async with serve(config(tmp_path), HandClock(NOW_MS)) as running:
        answer = await peer({**WAYS[way], "port": running.bus("net").port, "reads": READS})
        assert answer == {"values": expected(running, "SIM-1")}


@pytest.mark.parametrize("way", ["none", "low"])
async def test_dlms_cosem_reads_the_same_over_hdlc(way: str, tmp_path: Path) -> None:
    async with serve(config(tmp_path), HandClock(NOW_MS)) as running:
        serial = str(tmp_path / "tty")
        answer = await peer({**WAYS[way], "serial": serial, "physical": 17, "reads": READS})
        assert answer == {"values": expected(running, "SIM-2")}


@pytest.mark.parametrize(
    ("way", "changes"),
    [
        ("low", {"password": b"wrong".hex()}),
        ("gmac", {"encryption_key": "00" * 16}),
        ("none", {"client": 2}),
    ],
)
async def test_dlms_cosem_is_refused_what_it_may_not_have(
    way: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    async with serve(config(tmp_path), HandClock(NOW_MS)) as running:
        port = running.bus("net").port
        answer = await peer({**WAYS[way], **changes, "port": port, "reads": READS[:1]})
        assert "refused" in answer


def other_association() -> ClientAssociation:
    """As the environment says that the other server wants it."""
    if password := os.environ.get("DLMS_PASSWORD"):
        return ClientAssociation(Authentication(mechanism=Mechanism.LOW, secret=password.encode()))
    if not (both := os.environ.get("DLMS_KEYS")):
        return ClientAssociation()
    encryption, authentication = (bytes.fromhex(key) for key in both.split(":"))
    keys = Keys(encryption=encryption, authentication=authentication)
    counter = int(time.time())  # higher than in the run before
    ciphering = Ciphering(
        keys=keys,
        title=b"GTX\0\0\0\0\1",
        protection=Protection.AUTHENTICATED_ENCRYPTED,
        counter=counter,
    )
    proof = Authentication(mechanism=Mechanism.HIGH_GMAC, challenge=secrets.token_bytes(16))
    return ClientAssociation(proof, ciphering, max_pdu_bytes=256)


@pytest.mark.skipif("DLMS_SERVER" not in os.environ, reason="DLMS_SERVER names no other server")
async def test_an_independent_server_is_read_by_us() -> None:
    host, _, port = os.environ["DLMS_SERVER"].rpartition(":")
    transport = WrapperTransport(await StreamLine.connect(host, int(port)), 16, 1)
    association = other_association()
    try:
        await run_service(association.open(), transport)
        name = await run_service(association.get(Attribute(1, Obis(0, 0, 42, 0, 0), 2)), transport)
        objects = await run_service(
            association.get(Attribute(15, Obis(0, 0, 40, 0, 0), 2)), transport
        )
        clock = await run_service(association.get(Attribute(8, Obis(0, 0, 1, 0, 0), 2)), transport)
        assert len(name.octets()) <= 16
        assert len(objects.items()) > 1
        assert clock.moment().year >= 2000
        with suppress(MalformedError):  # some count the bytes of their goodbye wrongly
            await run_service(association.release(), transport)
    finally:
        await transport.close()
