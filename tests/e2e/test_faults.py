"""Faults of meters, lines and clocks, from the simulator to the operator's view."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from bench.rig.processes import wait_for
from bench.rig.site import Site
from tests.e2e import stored
from tests.e2e.conftest import MORNING, fast_plan, morning_clock, running_site

START_S = MORNING.hour * 3600  # the simulator counts from midnight
AFTER_S = 1500  # 25 seconds on the wall: everything runs by then


def fault(kind: str, *more: str, after_s: int = AFTER_S) -> str:
    """Return a fault that begins `after_s` of community time after the start."""
    lines = ["[[bus.meter.fault]]", f'kind = "{kind}"', f"from_s = {START_S + after_s}", *more]
    return "\n".join(lines) + "\n"


class _Operator:
    """The API with the operator's token."""

    def __init__(self, site: Site) -> None:
        token = site.backend.operator_token()
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=site.backend.api(), headers=headers, timeout=5)

    def get(self, path: str) -> Any:
        answer = self._http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def verdicts(self, meter: str) -> set[str]:
        return {each["verdict"] for each in self.get(f"/v1/meters/{meter}/readings")["readings"]}

    def newest(self, meter: str) -> int:
        readings = self.get(f"/v1/meters/{meter}/readings?limit=1")["readings"]
        return readings[0]["time_ms"] if readings else 0

    def close(self) -> None:
        self._http.close()


def test_a_register_that_rolls_back_is_refused_with_its_reason_and_mints_nothing(
    tmp_path: Path,
) -> None:
    plan = fast_plan(faults={0: fault("rollback", 'kwh = "5"')})
    with running_site(tmp_path, plan) as site:
        operator = _Operator(site)
        faulty, sound = plan.meters[0], plan.meters[1]
        wait_for(lambda: "register_rollback" in operator.verdicts(faulty), "a refused reading", 60)
        assert operator.get("/v1/summary")["refused"]["register_rollback"] > 0
        assert operator.verdicts(sound) == {"accepted"}
        log = (site.folder / "edge.err").read_text
        wait_for(lambda: "register_rollback" in log(), "the gateway to be told")
        operator.close()
        site.edge.stop()
        stored.check_minted(stored.read_journal(site.journal))


def test_dead_meters_send_nothing_old_and_the_others_go_on_at_their_own_rate(
    tmp_path: Path,
) -> None:
    faults = {
        0: fault("silence"),
        2: fault("crc"),
        4: fault("exception"),
        6: fault("slow", "delay_ms = 3000"),
    }
    plan = fast_plan(meters_a_line=4, faults=faults)
    begins_ms = round(MORNING.timestamp() * 1000) + AFTER_S * 1000
    with running_site(tmp_path, plan) as site:
        operator = _Operator(site)
        for number, meter in enumerate(plan.meters):
            if number not in faults:
                later_ms = begins_ms + 900_000  # a quarter of an hour after the others died
                wait_for(lambda: operator.newest(meter) > later_ms, f"{meter} to go on", 60)  # noqa: B023
        for number in faults:
            dead = plan.meters[number]
            assert 0 < operator.newest(dead) <= begins_ms + plan.poll_every_s * 1000
            assert dead in (site.folder / "edge.err").read_text()
        operator.close()


def test_readings_stamped_in_the_future_are_refused_and_nothing_is_minted(tmp_path: Path) -> None:
    clock = morning_clock()
    plan = fast_plan(clock=clock, edge_clock=clock + "offset_ms = 3600000\n")
    with running_site(tmp_path, plan) as site:
        operator = _Operator(site)
        wait_for(
            lambda: operator.get("/v1/summary")["refused"].get("future_time", 0) >= 4,
            "readings from the future",
            60,
        )
        summary = operator.get("/v1/summary")
        assert summary["readings_accepted"] == summary["minted_uwh"] == 0
        operator.close()
