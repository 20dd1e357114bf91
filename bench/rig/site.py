"""One site of real programs: simulated meters on lines, a gateway, and the community they are in.

Keys are made with the commands that an installer and an operator use.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from bench.rig.community import NAME, BackendProcess, write_configs
from bench.rig.processes import Broker, Process, python

CLOCK = """
[clock]
source = "scaled"
wall_ms = {wall_ms}
community_ms = {community_ms}
speed = {speed}
"""


@dataclass(kw_only=True)
class SitePlan:
    """Lines of SDM630 meters with 6 kWp each; `clock` is a [clock] section or empty.

    `broker` are more lines of the section [broker] of both configs. `faults` are
    [[bus.meter.fault]] sections for the simulator, by the meter's number from 0.
    """

    lines: int = 2
    meters_a_line: int = 4
    poll_every_s: int = 10
    clock: str = ""
    start: str = "2026-06-01T00:00:00Z"
    broker: str = ""
    uplink: str = ""
    edge_clock: str = ""
    community_extra: str = ""
    faults: dict[int, str] = field(default_factory=dict)
    serials: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.serials = [
            10_000_000 + 100 * line + address
            for line in range(self.lines)
            for address in range(1, self.meters_a_line + 1)
        ]

    @property
    def meters(self) -> list[str]:
        return [f"EASTRON-{serial}" for serial in self.serials]


class Site:
    """The processes of a site in one folder. `start` them in the order they are listed."""

    def __init__(self, folder: Path, plan: SitePlan) -> None:
        self.folder = folder
        self.plan = plan
        self.broker = Broker(folder)
        sim = folder / "sim.toml"
        sim.write_text(_sim_toml(plan))
        self.simulator = Process("sim", python("gridtokenx_sim", "run", str(sim)), folder)
        self.wallet_key = folder / "wallet.key"
        self.wallet = self._write_configs()
        self.backend = BackendProcess(folder, folder / "backend.toml")
        edge = folder / "edge.toml"
        command = python("gridtokenx_edge", "run", "--config", str(edge))
        self.edge = Process("edge", command, folder)
        self.outbox = folder / "outbox.db"
        self.journal = folder / "data" / "journal.db"

    def _write_configs(self) -> str:
        """Write backend.toml, edge.toml and community.toml; the member's wallet address."""
        plan, folder = self.plan, self.folder
        config = write_configs(folder, self.broker.port, "", broker=plan.broker, after=plan.clock)
        key = _command("gridtokenx_backend", "key", "--config", str(config), "--json")
        edge = folder / "edge.toml"
        edge.write_text(_edge_toml(folder, plan, self.broker.port, key["ack_key"]))
        device = _command("gridtokenx_edge", "key", "--config", str(edge), "--json")
        new_wallet = ("wallet", "new", "--key", str(self.wallet_key), "--json")
        wallet = _command("gridtokenx_client", *new_wallet)["wallet"]
        community = _community_toml(device, wallet, plan)
        write_configs(folder, self.broker.port, community, broker=plan.broker, after=plan.clock)
        return wallet


def _command(*arguments: str) -> dict[str, str]:
    done = subprocess.run(python(*arguments), capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _sim_toml(plan: SitePlan) -> str:
    site = f'[site]\nlatitude = 48.2\nlongitude = 16.37\nseed = 3\nstart = "{plan.start}"'
    lines = [site, plan.clock]
    for line in range(plan.lines):
        first = line * plan.meters_a_line
        bus = f'[[bus]]\nname = "line{line}"\nkind = "serial"\nbaud = 9600'
        lines.append(f'{bus}\nlink = "tty{line}"')
        lines += [
            f'[[bus.meter]]\nmodel = "eastron_sdm630"\naddress = {address}\n'
            f'serial = "{plan.serials[first + address - 1]}"\n'
            'solar_kwp = "6"\nannual_load_kwh = "3500"\n'
            f"{plan.faults.get(first + address - 1, '')}"
            for address in range(1, plan.meters_a_line + 1)
        ]
    return "\n".join(lines) + "\n"


def _edge_toml(folder: Path, plan: SitePlan, broker_port: int, ack_key: str) -> str:
    lines = [
        f'[site]\ncommunity = "{NAME}"\nname = "rig"\n'
        '[device]\nkey = "device.key"\noutbox = "outbox.db"\n'
        f'[backend]\nack_key = "{ack_key}"\n'
        f'[broker]\nhost = "127.0.0.1"\nport = {broker_port}\ninsecure = true\n'
        f"{plan.broker}{plan.uplink}",
        plan.edge_clock or plan.clock,
    ]
    for line in range(plan.lines):
        bus = f'[[bus]]\nname = "line{line}"\nkind = "serial"\nbaud = 9600'
        lines.append(f'{bus}\nport = "{folder}/tty{line}"')
        lines += [
            f'[[bus.meter]]\nid = "{plan.meters[line * plan.meters_a_line + offset]}"\n'
            f'profile = "eastron_sdm630"\naddress = {offset + 1}\n'
            f"poll_every_s = {plan.poll_every_s}"
            for offset in range(plan.meters_a_line)
        ]
    return "\n".join(lines) + "\n"


def _community_toml(device: dict[str, str], wallet: str, plan: SitePlan) -> str:
    lines = [
        f'[community]\nname = "{NAME}"\n{plan.community_extra}\n'
        f'[[member]]\nname = "one"\nwallet = "{wallet}"\nopening_grx = "1000"\n'
        f'[[device]]\npublic_key = "{device["public_key"]}"'
    ]
    lines += [
        f'[[meter]]\nid = "{meter}"\ndevice = "{device["device"]}"\nowner = "one"\n'
        'max_power_kw = "20"\nstarts_at_zero = true'
        for meter in plan.meters
    ]
    return "\n".join(lines) + "\n"
