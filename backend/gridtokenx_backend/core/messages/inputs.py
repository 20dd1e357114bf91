"""What may be put to the core: verified and decoded, beside the bytes that say so.

`raw` is what the journal keeps. `parse` turns it back into the input for a replay, so nothing that
the core uses may be missing from it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_backend.core.messages.grid_data import GridData
from gridtokenx_backend.core.messages.period_records import ChangePeriod
from gridtokenx_backend.core.model.local_time import Zone
from gridtokenx_backend.core.model.settlement import SettlementCommand
from gridtokenx_backend.core.model.terms import CommunityTerms
from gridtokenx_wire import cose
from gridtokenx_wire.config import decode_hook, encode_hook
from gridtokenx_wire.enrolment import Enrolment, Rotation, parse_enrolment, parse_rotation
from gridtokenx_wire.frame import Frame, decode_frame
from gridtokenx_wire.order import Instruction, parse_instruction


class FrameInput(msgspec.Struct, frozen=True, gc=False):
    """A signed frame whose signature was verified under the key of the device that it names."""

    raw: bytes
    frame: Frame


class OrderInput(msgspec.Struct, frozen=True, gc=False):
    """A JWS whose signature was verified under the wallet that it names."""

    raw: bytes
    instruction: Instruction


class ConfigureInput(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The community's terms. `source` is the SHA-256 of their file, or empty.

    `zone` holds the clock changes of the time zone that they name.
    """

    raw: bytes
    terms: CommunityTerms
    source: bytes
    zone: Zone = Zone()


class OracleCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The operator pauses or resumes the oracle, and says why."""

    paused: bool
    reason: str


class OracleInput(msgspec.Struct, frozen=True, gc=False):
    raw: bytes
    command: OracleCommand


class ChangeToken(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The operator issues a one-time token, or withdraws it. `token` is its secret's hash, hex."""

    action: Literal["issue", "withdraw"]
    token: str
    site: str = ""
    expires_ms: int = 0


class TokenInput(msgspec.Struct, frozen=True, gc=False):
    raw: bytes
    command: ChangeToken


class ChangeDevice(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The operator admits a pending device or shuts one out. `device` is its id as text.

    An approved device takes the place of those active at its site, unless it is to work `beside`
    them.
    """

    action: Literal["approve", "revoke"]
    device: str
    reason: str = ""
    beside: bool = False


class DeviceInput(msgspec.Struct, frozen=True, gc=False):
    raw: bytes
    command: ChangeDevice


class EnrolInput(msgspec.Struct, frozen=True, gc=False):
    """A statement whose signature was verified under the key that it names."""

    raw: bytes
    enrolment: Enrolment


class RotateInput(msgspec.Struct, frozen=True, gc=False):
    """A consent and the statement in it, both signatures verified under their keys."""

    raw: bytes
    rotation: Rotation


class SettleInput(msgspec.Struct, frozen=True, gc=False):
    """What the operator orders of money, corrections and certificates."""

    raw: bytes
    command: SettlementCommand


class GridDataInput(msgspec.Struct, frozen=True, gc=False):
    """What the grid operator says of intervals, as a file brought it."""

    raw: bytes
    data: GridData


class MarketCommand(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The operator halts or resumes a zone, or lets its orders be cancelled only. "" is all."""

    action: Literal["halt", "resume", "cancel_only"]
    reason: str
    zone: str = ""


class MarketInput(msgspec.Struct, frozen=True, gc=False):
    raw: bytes
    command: MarketCommand


class ClearInput(msgspec.Struct, frozen=True, gc=False):
    """The interval that starts at `interval_ms` is to be cleared."""

    raw: bytes
    interval_ms: int


class PeriodInput(msgspec.Struct, frozen=True, gc=False):
    """A step of a billing period."""

    raw: bytes
    command: ChangePeriod


DUE = b"due"


class TickInput(msgspec.Struct, frozen=True, gc=False):
    """Time has passed: what is due happens, standing orders are looked at, old ids forgotten.

    With DUE as `raw`, only what is due happens: orders expire and pauses end.
    """

    raw: bytes = b""


Input = (
    FrameInput
    | OrderInput
    | ConfigureInput
    | OracleInput
    | TickInput
    | MarketInput
    | ClearInput
    | TokenInput
    | EnrolInput
    | RotateInput
    | DeviceInput
    | SettleInput
    | PeriodInput
    | GridDataInput
)
Kind = Literal[
    "frame",
    "order",
    "configure",
    "oracle",
    "tick",
    "market",
    "token",
    "enrol",
    "rotate",
    "device",
    "settlement",
    "clear",
    "period",
    "grid_data",
]
_KINDS: dict[type, Kind] = {
    FrameInput: "frame",
    OrderInput: "order",
    ConfigureInput: "configure",
    OracleInput: "oracle",
    TickInput: "tick",
    MarketInput: "market",
    TokenInput: "token",
    EnrolInput: "enrol",
    RotateInput: "rotate",
    DeviceInput: "device",
    SettleInput: "settlement",
    ClearInput: "clear",
    PeriodInput: "period",
    GridDataInput: "grid_data",
}


def kind_of(given: Input) -> Kind:
    """The name of an input's kind in the journal."""
    return _KINDS[type(given)]


class _Configure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How terms are journaled."""

    source: str
    terms: CommunityTerms
    zone: Zone = Zone()


def configure(
    terms: CommunityTerms, source: bytes = b"", zone: Zone | None = None
) -> ConfigureInput:
    """The input that puts `terms` into force; `zone` is that which they name."""
    zone = zone or Zone()
    assert zone.name == terms.community.time_zone
    raw = msgspec.json.encode(_Configure(source.hex(), terms, zone), enc_hook=encode_hook)
    return ConfigureInput(raw=raw, terms=terms, source=source, zone=zone)


def _parse_configure(raw: bytes) -> ConfigureInput:
    stored = msgspec.json.decode(raw, type=_Configure, dec_hook=decode_hook)
    return ConfigureInput(
        raw=raw, terms=stored.terms, source=bytes.fromhex(stored.source), zone=stored.zone
    )


_settlement_decoder = msgspec.json.Decoder(SettlementCommand)


def settle(command: SettlementCommand) -> SettleInput:
    """The input that carries out an operator's command."""
    return SettleInput(msgspec.json.encode(command), command)


def switch_oracle(command: OracleCommand) -> OracleInput:
    """The input that pauses or resumes the oracle."""
    return OracleInput(msgspec.json.encode(command), command)


class _Clear(msgspec.Struct, frozen=True):
    interval_ms: int


def clear_interval(interval_ms: int) -> ClearInput:
    """The input that clears an interval."""
    return ClearInput(msgspec.json.encode(_Clear(interval_ms)), interval_ms)


def switch_market(command: MarketCommand) -> MarketInput:
    """The input that halts or resumes trading."""
    return MarketInput(msgspec.json.encode(command), command)


def change_token(command: ChangeToken) -> TokenInput:
    """The input that issues or withdraws a token."""
    return TokenInput(msgspec.json.encode(command), command)


def change_device(command: ChangeDevice) -> DeviceInput:
    """The input that approves or revokes a device."""
    return DeviceInput(msgspec.json.encode(command), command)


def change_period(command: ChangePeriod) -> PeriodInput:
    """The input that takes a step of a billing period."""
    return PeriodInput(msgspec.json.encode(command), command)


def grid_data(data: GridData) -> GridDataInput:
    """The input that brings what the grid operator says."""
    return GridDataInput(msgspec.json.encode(data), data)


def parse(kind: str, raw: bytes) -> Input:
    """The input that the journal keeps as `raw`. Raises WireError if it is not one."""
    match kind:
        case "frame":
            return FrameInput(raw, decode_frame(cose.split(raw)[2]))
        case "order":
            return OrderInput(raw, parse_instruction(raw).instruction)
        case "configure":
            return _parse_configure(raw)
        case "oracle":
            return OracleInput(raw, msgspec.json.decode(raw, type=OracleCommand))
        case "tick":
            return TickInput(raw)
        case "market":
            return MarketInput(raw, msgspec.json.decode(raw, type=MarketCommand))
        case "token":
            return TokenInput(raw, msgspec.json.decode(raw, type=ChangeToken))
        case "enrol":
            return EnrolInput(raw, parse_enrolment(raw))
        case "rotate":
            return RotateInput(raw, parse_rotation(raw))
        case "device":
            return DeviceInput(raw, msgspec.json.decode(raw, type=ChangeDevice))
        case "settlement":
            return SettleInput(raw, _settlement_decoder.decode(raw))
        case "clear":
            return ClearInput(raw, msgspec.json.decode(raw, type=_Clear).interval_ms)
        case "period":
            return PeriodInput(raw, msgspec.json.decode(raw, type=ChangePeriod))
        case "grid_data":
            return GridDataInput(raw, msgspec.json.decode(raw, type=GridData))
    raise ValueError(f"expected a known kind of entry, got {kind!r}")
