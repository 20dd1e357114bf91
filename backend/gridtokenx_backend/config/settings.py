"""`backend.toml`, the server's own config; an unknown key or a bad value is an error."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from gridtokenx_wire.clock import ClockConfig
from gridtokenx_wire.config import finding, load_toml
from gridtokenx_wire.errors import ConfigError

LONGEST_DAYS = 7300
"""The lifetime of the community's CA; no certificate that it signs can last longer."""
_LONGEST_HOST = 253
_HOST = re.compile(r"[A-Za-z0-9_:%-]{1,63}(?:\.[A-Za-z0-9_:%-]{1,63})*\.?", re.ASCII)

MOST_CONNECTIONS = 100_000


class BackendSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server itself.

    `data` is the folder of the journal, the keys and the operator's token. Both paths are relative
    to the config file.
    """

    community: str = "community.toml"
    data: str = "data"
    verify_workers: int = max(1, (os.cpu_count() or 2) - 1)
    snapshot_every: int = 50_000
    verify_in_background: bool = True


class BrokerSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The connection to the broker: TLS with a client certificate, or plain text if `insecure`.

    `access` is the folder that `broker-config` wrote. Revoked devices are entered there; then the
    broker is made to read it by SIGHUP to the process in `pid_file`, or by `reload_command`. Waits
    before another attempt to connect grow up to `longest_retry_s`, about.
    """

    host: str = "127.0.0.1"
    port: int = 8883
    qos: Literal[0, 1] = 1
    insecure: bool = False
    ca: str = ""
    cert: str = ""
    key: str = ""
    access: str = ""
    pid_file: str = ""
    reload_command: list[str] = []
    longest_retry_s: float = 15.0


class ApiSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The address of the API: HTTPS if `cert` and `key` (files) are set, else plain HTTP.

    `trusted_proxies` are addresses or networks whose `X-Forwarded-For` is believed.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    cert: str = ""
    key: str = ""
    trusted_proxies: list[str] = []
    max_connections: int = 1000
    max_connections_per_address: int = 200
    public_metrics: bool = False


class EnrolmentSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The broker's address for gateways, by default that of `[broker]`, and their certificates."""

    broker_host: str = ""
    broker_port: int = 0
    certificate_days: int = 3650


_LEAST_BUDGET = {
    "device_kib_per_s": 1,
    "device_burst_mib": 1,
    "device_readings_per_s": 1,
    "device_burst_readings": 1000,
    "member_factor": 1,
}


class BudgetSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one gateway may send for good, and at once. A member may have `member_factor` times it.

    A gateway that sends more is told to slow down, and its frames are left unacked for a while.
    """

    device_kib_per_s: int = 512
    device_burst_mib: int = 16
    device_readings_per_s: int = 10_000
    device_burst_readings: int = 500_000
    member_factor: int = 4


class BackendConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    backend: BackendSection = BackendSection()
    broker: BrokerSection = BrokerSection()
    api: ApiSection = ApiSection()
    enrolment: EnrolmentSection = EnrolmentSection()
    budget: BudgetSection = BudgetSection()
    clock: ClockConfig = ClockConfig()


class Settings(msgspec.Struct, frozen=True):
    """The server's own config, and the paths of its files."""

    backend: BackendConfig
    folder: Path

    @property
    def community(self) -> Path:
        return self.folder / self.backend.backend.community

    @property
    def data(self) -> Path:
        return self.folder / self.backend.backend.data

    @property
    def ack_key(self) -> Path:
        return self.data / "ack.key"

    @property
    def ack_key_next(self) -> Path:
        return self.data / "ack-next.key"

    @property
    def ack_key_former(self) -> Path:
        return self.data / "ack-former.key"

    @property
    def journal(self) -> Path:
        return self.data / "journal.db"

    @property
    def journal_head(self) -> Path:
        return self.data / "journal.head"

    @property
    def lost_acks(self) -> Path:
        return self.data / "lost.acks"

    @property
    def accepted_acks(self) -> Path:
        return self.data / "accepted.acks"

    @property
    def documents(self) -> Path:
        return self.data / "documents.db"

    @property
    def series(self) -> Path:
        return self.data / "intervals.db"

    @property
    def ca(self) -> Path:
        return self.data / "ca"

    @property
    def tls(self) -> Path:
        return self.data / "tls"

    @property
    def operator_token(self) -> Path:
        return self.data / "operator.token"

    @property
    def metrics_token(self) -> Path:
        return self.data / "metrics.token"

    @property
    def tokens(self) -> tuple[Path, ...]:
        """The files of all tokens that let somebody in."""
        return self.operator_token, self.metrics_token

    def path(self, name: str) -> Path:
        """Return the path that the config means by a name: relative to the config file."""
        return self.folder / name


def load_settings(path: Path) -> Settings:
    """Return the server's config. Raises ConfigError with a line for each finding."""
    backend = load_toml(path, BackendConfig)
    if lines := [finding(path, key, expected) for key, expected in _check_backend(backend)]:
        raise ConfigError(lines)
    return Settings(backend, path.absolute().parent)


def _check_backend(config: BackendConfig) -> Iterator[tuple[str, str]]:
    broker = config.broker
    yield from _check_texts(config)
    if not 1 <= broker.port <= 65535:
        yield "broker.port", f"expected 1 to 65535, got {broker.port}"
    if not 1 <= broker.longest_retry_s <= 3600:
        got = f"{broker.longest_retry_s:g}"
        yield "broker.longest_retry_s", f"expected 1 to 3600, got {got}"
    if not 0 <= config.api.port <= 65535:
        yield "api.port", f"expected 0 (take a free one) to 65535, got {config.api.port}"
    if not broker.insecure and not (broker.ca and broker.cert and broker.key):
        yield "broker", "expected ca, cert and key (files for TLS), or insecure = true"
    if broker.pid_file and broker.reload_command:
        yield "broker.pid_file", "expected a pid_file or a reload_command, not both"
    if bool(config.api.cert) != bool(config.api.key):
        yield "api", "expected both cert and key (files for TLS), or neither"
    yield from _check_access(config.api)
    enrolment = config.enrolment
    if not 0 <= enrolment.broker_port <= 65535:
        yield "enrolment.broker_port", "expected 1 to 65535, or 0 for that of [broker]"
    if not 1 <= enrolment.certificate_days <= LONGEST_DAYS:
        yield "enrolment.certificate_days", f"expected 1 to {LONGEST_DAYS}"
    for name, least in _LEAST_BUDGET.items():
        if getattr(config.budget, name) < least:
            yield f"budget.{name}", f"expected at least {least}"
    if not 0 <= config.backend.verify_workers <= 64:
        yield "backend.verify_workers", "expected 0 to 64"
    if config.backend.snapshot_every < 1:
        yield "backend.snapshot_every", "expected at least 1"


def _check_access(api: ApiSection) -> Iterator[tuple[str, str]]:
    for index, proxy in enumerate(api.trusted_proxies):
        try:
            ipaddress.ip_network(proxy)
        except ValueError:
            key = f"api.trusted_proxies[{index}]"
            yield key, f"expected an address or a network such as 10.0.0.0/8, got {proxy!r}"
    for name in ("max_connections", "max_connections_per_address"):
        if not 16 <= getattr(api, name) <= MOST_CONNECTIONS:
            yield f"api.{name}", f"expected 16 to {MOST_CONNECTIONS}"


def _check_texts(config: BackendConfig) -> Iterator[tuple[str, str]]:
    """Check the addresses, and that every text can be a file's name or a word of a command."""
    hosts = (
        ("broker.host", config.broker.host),
        ("api.host", config.api.host),
        ("enrolment.broker_host", config.enrolment.broker_host or "unset"),
    )
    for key, host in hosts:
        if len(host) > _LONGEST_HOST or _HOST.fullmatch(host) is None:
            yield key, "expected a host's name or address alone, such as 127.0.0.1"
    for section in ("backend", "broker", "api"):
        values = msgspec.structs.asdict(getattr(config, section))
        for name, value in values.items():
            texts = value if isinstance(value, list) else [value]
            if any(isinstance(text, str) and not text.isprintable() for text in texts):
                yield f"{section}.{name}", "expected printable characters"
    for name in ("community", "data"):
        if not getattr(config.backend, name):
            yield f"backend.{name}", "expected a path"
