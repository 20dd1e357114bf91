"""Made-up communities: keys, terms, and the config files of a backend."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.rig.processes import Process, python, wait_for
from gridtokenx_wire.frame import GENESIS_PREV, ClockStatus, build_frame, frame_hash, seal_frame
from gridtokenx_wire.keys import device_id, device_text, public_key_text
from gridtokenx_wire.reading import Reading

NAME = "bench"
CHAIN = bytes(8)
CLOCK = ClockStatus(synchronised=True, stepped=False, source="ntp")


@dataclass(kw_only=True, slots=True)
class Gateway:
    """A device with its chain, as far as it was signed."""

    key: Ed25519PrivateKey
    meters: list[str]
    owners: list[str]
    seq: int = 0
    prev: bytes = GENESIS_PREV

    @property
    def device(self) -> bytes:
        return device_id(self.key.public_key())

    @property
    def name(self) -> str:
        return device_text(self.device)

    def seal(self, readings: list[Reading]) -> bytes:
        """Return the next signed frame of the chain."""
        frame = build_frame(self.device, CHAIN, self.seq, self.prev, CLOCK, readings)
        message = seal_frame(frame, self.key)
        self.seq += 1
        self.prev = frame_hash(message)
        return message


@dataclass(slots=True)
class Member:
    """A member with the key of a wallet."""

    name: str
    key: Ed25519PrivateKey

    @property
    def wallet(self) -> str:
        return public_key_text(self.key.public_key())


def make_members(count: int) -> list[Member]:
    return [Member(f"member{index}", Ed25519PrivateKey.generate()) for index in range(count)]


def make_gateways(count: int, meters_each: int, members: list[Member]) -> list[Gateway]:
    """Return gateways whose meters belong to the members in turn."""
    gateways = []
    for index in range(count):
        meters = [f"BENCH-{index}-{meter}" for meter in range(meters_each)]
        owners = [
            members[(index * meters_each + meter) % len(members)].name
            for meter in range(meters_each)
        ]
        gateways.append(Gateway(key=Ed25519PrivateKey.generate(), meters=meters, owners=owners))
    return gateways


def community_toml(
    gateways: list[Gateway], members: list[Member], opening_grx: str = "1000000", extra: str = ""
) -> str:
    """Return `community.toml` for them; `extra` is put before the members."""
    lines = [f'[community]\nname = "{NAME}"\n{extra}']
    lines += [
        f'[[member]]\nname = "{member.name}"\nwallet = "{member.wallet}"\n'
        f'opening_grx = "{opening_grx}"'
        for member in members
    ]
    for gateway in gateways:
        lines.append(f'[[device]]\npublic_key = "{public_key_text(gateway.key.public_key())}"')
        lines += [
            f'[[meter]]\nid = "{meter}"\ndevice = "{gateway.name}"\nowner = "{owner}"\n'
            'max_power_kw = "100000"\nmin_interval_s = 0\nmax_production_ratio = 0\n'
            'starts_at_zero = true\nfirst_energy_kwh = "1000000"'
            for meter, owner in zip(gateway.meters, gateway.owners, strict=True)
        ]
    return "\n".join(lines) + "\n"


def write_configs(
    folder: Path,
    broker_port: int,
    community: str,
    *,
    qos: int = 1,
    broker: str = "",
    after: str = "",
) -> Path:
    """Return both config files; the path of backend.toml, which ends with `after`.

    `broker` are more lines of its section [broker].
    """
    (folder / "community.toml").write_text(community)
    path = folder / "backend.toml"
    path.write_text(
        f"[broker]\nport = {broker_port}\nqos = {qos}\ninsecure = true\n{broker}"
        f"[api]\nport = 0\n{after}"
    )
    return path


class BackendProcess(Process):
    """`gridtokenx-backend run` on a config."""

    def __init__(self, folder: Path, config: Path) -> None:
        command = python("gridtokenx_backend", "run", "--config", str(config))
        super().__init__("backend", command, folder)
        self.config = config
        self.data = folder / "data"

    def api(self) -> str:
        """Return the API's address, once the backend has subscribed at the broker."""
        address: str = self.ready(60)["api"]

        def subscribed() -> bool:
            with urlopen(f"{address}/v1/health", timeout=5) as answer:  # noqa: S310
                return bool(json.load(answer)["broker"] == "connected")

        wait_for(subscribed, "the backend to subscribe")
        return address

    def operator_token(self) -> str:
        return (self.data / "operator.token").read_text()

    def metrics_token(self) -> str:
        return (self.data / "metrics.token").read_text()
