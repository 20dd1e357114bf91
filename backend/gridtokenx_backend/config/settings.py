"""The config files `backend.toml` and `community.toml`; an unknown or bad value is an error."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from gridtokenx_backend.config.settlement_checks import check_settlement
from gridtokenx_backend.config.sharing_checks import check_sharing
from gridtokenx_backend.config.tariff_checks import check_tariffs
from gridtokenx_backend.config.zone_checks import check_zones
from gridtokenx_backend.core.model.terms import CommunityTerms
from gridtokenx_backend.grid_data.file_content import BadFile
from gridtokenx_backend.grid_data.share_table import names_of, read_share_table
from gridtokenx_wire.clock import ClockConfig
from gridtokenx_wire.config import finding, load_toml
from gridtokenx_wire.errors import ConfigError
from gridtokenx_wire.frame import MAX_METER_ID
from gridtokenx_wire.keys import device_id, device_text
from gridtokenx_wire.topics import COMMUNITY_RULE, is_community
from gridtokenx_wire.units import MAX_AMOUNT, UWH_PER_KWH, format_grx

LONGEST_DAYS = 7300
"""The lifetime of the community's CA; no certificate that it signs can last longer."""
_LARGEST = 10**10
"""The limit of seconds, ratios and epochs: the core keeps 64-bit integers, some in milliseconds."""
_LONGEST_OVERLAP_HOURS = 8760
_LONGEST_FINALITY_HOURS = 8760
_LARGEST_TOLERANCE_S = 450
_LONGEST_GRACE_S = 86_400
_MOST_OPEN_ORDERS = 1_000_000
_LARGEST_REGISTER_UWH = 10**9 * UWH_PER_KWH
_CHAIN = re.compile(r"(?:[0-9a-f]{16})?", re.ASCII)


class BackendSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The server itself.

    `data` is the folder of the journal, the keys and the operator's token. Both paths are relative
    to the config file.
    """

    community: str = "community.toml"
    data: str = "data"
    verify_workers: int = max(1, (os.cpu_count() or 2) - 1)
    snapshot_every: int = 50_000


class BrokerSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The connection to the broker: TLS with a client certificate, or plain text if `insecure`.

    `access` is the folder that `broker-config` wrote. Revoked devices are entered there; then the
    broker is made to read it by SIGHUP to the process in `pid_file`, or by `reload_command`.
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


class ApiSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The address of the API: HTTPS if `cert` and `key` (files) are set, else plain HTTP."""

    host: str = "127.0.0.1"
    port: int = 8080
    cert: str = ""
    key: str = ""


class EnrolmentSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The broker's address for gateways, by default that of `[broker]`, and their certificates."""

    broker_host: str = ""
    broker_port: int = 0
    certificate_days: int = 3650


class BackendConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    backend: BackendSection = BackendSection()
    broker: BrokerSection = BrokerSection()
    api: ApiSection = ApiSection()
    enrolment: EnrolmentSection = EnrolmentSection()
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
    def journal(self) -> Path:
        return self.data / "journal.db"

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

    def path(self, name: str) -> Path:
        """Return the path that the config means by a name: relative to the config file."""
        return self.folder / name


def load_settings(path: Path) -> Settings:
    """Return the server's config. Raises ConfigError with a line for each finding."""
    backend = load_toml(path, BackendConfig)
    if lines := [finding(path, key, expected) for key, expected in _check_backend(backend)]:
        raise ConfigError(lines)
    return Settings(backend, path.absolute().parent)


def load_terms(path: Path) -> CommunityTerms:
    """Return the community's terms. Raises ConfigError with a line for each finding."""
    terms = load_toml(path, CommunityTerms)
    if lines := [finding(path, key, expected) for key, expected in check_terms(terms)]:
        raise ConfigError(lines)
    return _with_tables(path, terms)


def terms_digest(path: Path) -> bytes:
    """Return the SHA-256 of the community's file and of the tables that it names.

    Raises ConfigError.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    digest = hashlib.sha256(content)
    if b"table" in content:  # a file without the word names no table, and need not be parsed
        for key in load_terms(path).sharing.key:
            digest.update(key.of_table.source.encode() if key.of_table else b"")
    return digest.digest()


def _with_tables(path: Path, terms: CommunityTerms) -> CommunityTerms:
    """Return the terms with the shares of the files that keys name. Raises ConfigError."""
    if not any(key.table for key in terms.sharing.key):
        return terms
    names = names_of([(meter.id, meter.metering_point) for meter in terms.meter])
    zone = ZoneInfo(terms.community.time_zone)
    keys, lines = [], []
    for index, key in enumerate(terms.sharing.key):
        table = None
        if key.table:
            try:
                table = read_share_table(path.parent / key.table, names, zone, key.valid_from)
            except BadFile as error:
                lines.append(finding(path, f"sharing.key[{index}].table", str(error)))
        keys.append(msgspec.structs.replace(key, of_table=table))
    if lines:
        raise ConfigError(lines)
    return msgspec.structs.replace(terms, sharing=msgspec.structs.replace(terms.sharing, key=keys))


def missing_files(settings: Settings, path: Path) -> list[str]:
    """Return a line for each TLS file that the config names and that does not exist."""
    sections = (("broker", settings.backend.broker), ("api", settings.backend.api))
    lines = []
    for name_of_section, section in sections:
        for name in ("ca", "cert", "key"):
            file = getattr(section, name, "")
            if file and not settings.path(file).is_file():
                expected = f"expected a file, found none at {settings.path(file)}"
                lines.append(finding(path, f"{name_of_section}.{name}", expected))
    return lines


def _check_backend(config: BackendConfig) -> Iterator[tuple[str, str]]:
    broker = config.broker
    if not 1 <= broker.port <= 65535:
        yield "broker.port", f"expected 1 to 65535, got {broker.port}"
    if not 0 <= config.api.port <= 65535:
        yield "api.port", f"expected 0 (take a free one) to 65535, got {config.api.port}"
    if not broker.insecure and not (broker.ca and broker.cert and broker.key):
        yield "broker", "expected ca, cert and key (files for TLS), or insecure = true"
    if broker.pid_file and broker.reload_command:
        yield "broker.pid_file", "expected a pid_file or a reload_command, not both"
    if bool(config.api.cert) != bool(config.api.key):
        yield "api", "expected both cert and key (files for TLS), or neither"
    enrolment = config.enrolment
    if not 0 <= enrolment.broker_port <= 65535:
        yield "enrolment.broker_port", "expected 1 to 65535, or 0 for that of [broker]"
    if not 1 <= enrolment.certificate_days <= LONGEST_DAYS:
        yield "enrolment.certificate_days", f"expected 1 to {LONGEST_DAYS}"
    if not 0 <= config.backend.verify_workers <= 64:
        yield "backend.verify_workers", "expected 0 to 64"
    if config.backend.snapshot_every < 1:
        yield "backend.snapshot_every", "expected at least 1"


def check_terms(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    """Yield (key path, what was expected) for each value that the types allow but that is wrong."""
    if not is_community(terms.community.name):
        yield "community.name", COMMUNITY_RULE
    if not 0 <= terms.rotation.overlap_hours <= _LONGEST_OVERLAP_HOURS:
        yield "rotation.overlap_hours", f"expected 0 to {_LONGEST_OVERLAP_HOURS}"
    yield from _check_oracle(terms)
    yield from _check_intervals(terms)
    yield from _check_market(terms)
    yield from check_zones(terms)
    yield from check_sharing(terms)
    yield from _check_members(terms)
    yield from _check_devices(terms)
    yield from _check_meters(terms)
    yield from check_tariffs(terms)
    yield from check_settlement(terms)


def _check_oracle(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    for name in terms.oracle.__struct_fields__:
        if not 0 <= getattr(terms.oracle, name) <= _LARGEST:
            yield f"oracle.{name}", f"expected 0 to {_LARGEST} seconds"


def _check_intervals(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    interval = terms.interval
    if not 0 <= interval.finality_hours <= _LONGEST_FINALITY_HOURS:
        yield "interval.finality_hours", f"expected 0 to {_LONGEST_FINALITY_HOURS}"
    elif not 0 <= interval.correction_hours <= interval.finality_hours:
        hours = interval.finality_hours
        yield "interval.correction_hours", f"expected 0 to {hours}, the finality_hours"
    for name in ("gate_s", "grace_s"):
        if not 0 <= getattr(interval, name) <= _LONGEST_GRACE_S:
            yield f"interval.{name}", f"expected 0 to {_LONGEST_GRACE_S}"
    if not 0 <= interval.bound_tolerance_s <= _LARGEST_TOLERANCE_S:
        yield (
            "interval.bound_tolerance_s",
            f"expected 0 to {_LARGEST_TOLERANCE_S}, half an interval",
        )


def _check_market(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    market = terms.market
    for name in ("lot_kwh", "tick_grx_per_kwh", "highest_price_grx_per_kwh", "largest_order_kwh"):
        if getattr(market, name) <= 0:
            yield f"market.{name}", "expected more than 0"
    if market.lot_kwh * market.tick_grx_per_kwh % UWH_PER_KWH:
        yield "market.lot_kwh", "expected lot × tick to be a whole number of µGRX (0.000001 GRX)"
    if not 0 <= market.fee_bps <= 10_000:
        yield "market.fee_bps", f"expected 0 to 10000 basis points, got {market.fee_bps}"
    if market.min_fee_grx and market.fee_payer == "buyer":
        yield "market.min_fee_grx", 'expected 0 with fee_payer = "buyer"'
    if not 0 <= market.min_fee_grx <= MAX_AMOUNT // 10**6:
        yield "market.min_fee_grx", f"expected 0 to {format_grx(MAX_AMOUNT // 10**6)} GRX"
    if not 1 <= market.most_open_orders <= _MOST_OPEN_ORDERS:
        yield "market.most_open_orders", f"expected 1 to {_MOST_OPEN_ORDERS}"
    for name in ("order_window_s", "tick_s"):
        if not 1 <= getattr(market, name) <= _LARGEST:
            yield f"market.{name}", f"expected 1 to {_LARGEST} seconds"


def _check_members(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    names: set[str] = set()
    wallets: set[bytes] = set()
    opened_ugrx = 0
    for index, member in enumerate(terms.member):
        if member.name in names or not member.name:
            yield f"member[{index}].name", f"expected a name of its own, got {member.name!r}"
        if member.wallet in wallets:
            yield f"member[{index}].wallet", "expected a wallet that no other member has"
        if member.opening_grx < 0:
            yield f"member[{index}].opening_grx", "expected 0 or more"
        opened_ugrx += max(0, member.opening_grx)
        if opened_ugrx > MAX_AMOUNT:
            most = format_grx(MAX_AMOUNT)
            yield (
                f"member[{index}].opening_grx",
                f"expected opening balances of at most {most} GRX together",
            )
            return
        names.add(member.name)
        wallets.add(member.wallet)


def _check_devices(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    keys: set[bytes] = set()
    for index, device in enumerate(terms.device):
        if device.public_key in keys:
            yield f"device[{index}].public_key", "expected a key that no other device has"
        if _CHAIN.fullmatch(device.chain) is None:
            yield f"device[{index}].chain", "expected 16 lower-case hex digits, or nothing"
        keys.add(device.public_key)


def _check_meters(terms: CommunityTerms) -> Iterator[tuple[str, str]]:
    members = {member.name for member in terms.member}
    devices = {device_text(device_id(bytes(device.public_key))) for device in terms.device}
    ids: set[str] = set()
    for index, meter in enumerate(terms.meter):
        if meter.id in ids or not _is_meter_id(meter.id):
            yield f"meter[{index}].id", "expected a printable ASCII id that no other meter has"
        if bool(meter.device) == bool(meter.site):
            yield f"meter[{index}]", "expected a device or a site"
        elif meter.device and meter.device not in devices:
            yield f"meter[{index}].device", "expected the id of a device of this file"
        if meter.owner not in members:
            yield f"meter[{index}].owner", "expected the name of a member of this file"
        if meter.max_power_kw <= 0:
            yield f"meter[{index}].max_power_kw", "expected more than 0"
        if not 0 <= meter.rollover_kwh <= _LARGEST_REGISTER_UWH:
            yield f"meter[{index}].rollover_kwh", "expected 0 to 1000000000 kWh"
        if meter.resolution_kwh < 0:
            yield f"meter[{index}].resolution_kwh", "expected 0 or more"
        for name in ("min_interval_s", "max_production_ratio", "epoch"):
            if not 0 <= getattr(meter, name) <= _LARGEST:
                yield f"meter[{index}].{name}", f"expected 0 to {_LARGEST}"
        ids.add(meter.id)


def _is_meter_id(text: str) -> bool:
    """Return whether a frame can name a meter so."""
    return 1 <= len(text) <= MAX_METER_ID and text.isascii() and text.isprintable()
