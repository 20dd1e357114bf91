"""How others are served while one client of the API is hostile."""

from __future__ import annotations

import http.client
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from bench.rig.community import BackendProcess, community_toml, make_members, write_configs
from bench.rig.http_attack import IDLE, STREAMS
from bench.rig.percentiles import percentile
from bench.rig.processes import Broker, python

KINDS = (*STREAMS, *IDLE)
_TIMEOUT_S = 5.0
_PAUSE_S = 0.005


def run(seconds: float, kinds: tuple[str, ...] = KINDS) -> dict[str, object]:
    """Attack a backend of its own in each of these ways, and return what others saw."""
    report: dict[str, object] = {}
    for kind in ("nothing", *kinds):
        with tempfile.TemporaryDirectory() as name, Broker(Path(name)) as broker:
            assert isinstance(broker, Broker)
            config = write_configs(Path(name), broker.port, community_toml([], make_members(1)))
            with BackendProcess(Path(name), config) as backend:
                assert isinstance(backend, BackendProcess)
                report |= _attacked(backend, kind, seconds)
    return report


def _attacked(backend: BackendProcess, kind: str, seconds: float) -> dict[str, object]:
    api = backend.api()
    attacker = None
    if kind != "nothing":
        command = python("bench.rig.http_attack", api, kind, str(seconds))
        attacker = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        time.sleep(1.0)  # it has to import itself
    took_ms, failed = ask_health(api, seconds - 1.0)
    if attacker is not None:
        attacker.wait(seconds + 10)
    return {
        f"{kind}:p50_ms": round(percentile(took_ms, 50), 2) if took_ms else None,
        f"{kind}:p99_ms": round(percentile(took_ms, 99), 2) if took_ms else None,
        f"{kind}:failed": failed,
        f"{kind}:asked": failed + len(took_ms),
        f"{kind}:peak_mib": _peak_mib(backend.pid),
    }


def ask_health(api: str, seconds: float) -> tuple[list[float], int]:
    """Ask for the health over a new connection each time; return the times and the failures."""
    where = urlsplit(api)
    took_ms: list[float] = []
    failed = 0
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        connection = http.client.HTTPConnection(where.netloc, timeout=_TIMEOUT_S)
        began = time.perf_counter()
        try:
            connection.request("GET", "/v1/health")
            connection.getresponse().read()
            took_ms.append(1000 * (time.perf_counter() - began))
        except (OSError, http.client.HTTPException):
            failed += 1
        finally:
            connection.close()
        time.sleep(_PAUSE_S)
    return took_ms, failed


def _peak_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return round(int(peak) / 1024, 1)
