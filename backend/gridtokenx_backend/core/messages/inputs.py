"""The inputs of the core, verified and decoded, each with the bytes that it was made of.

The journal keeps an input's `raw`. For a replay `parse` makes the input of it again, so everything
that the core uses must be in it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_backend.core.messages.clock_records import ClockCommand
from gridtokenx_backend.core.messages.grid_data import GridData
from gridtokenx_backend.core.messages.loss_records import LossCommand
from gridtokenx_backend.core.messages.period_records import PeriodCommand
from gridtokenx_backend.core.messages.refused_frames import RefusedFrameInput, parse_refused_frame
from gridtokenx_backend.core.model.local_time import TimeZone
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


class ForkInput(msgspec.Struct, frozen=True, gc=False):
    """A verified frame that differs from the stored one of its number: its device is to be held."""

    raw: bytes
    frame: Frame


class OrderInput(msgspec.Struct, frozen=True, gc=False):
    """A JWS whose signature was verified under the wallet that it names."""

    raw: bytes
    instruction: Instruction


class ConfigurationInput(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """New terms of the community. `source` is the SHA-256 of their file, or empty.

    `zone` has the clock changes of the time zone that the terms name.
    """

    raw: bytes
    terms: CommunityTerms
    source: bytes
    zone: TimeZone = TimeZone()


class OracleCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The operator's command to pause or resume the oracle, with a reason."""

    paused: bool
    reason: str


class OracleInput(msgspec.Struct, frozen=True, gc=False):
    """The oracle is to be paused or resumed."""

    raw: bytes
    command: OracleCommand


class TokenCommand(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The operator's command to issue or withdraw a one-time token.

    `token` is the hash of its secret, in hex.
    """

    action: Literal["issue", "withdraw"]
    token: str
    site: str = ""
    expires_ms: int = 0


class TokenInput(msgspec.Struct, frozen=True, gc=False):
    """A token is to be issued or withdrawn."""

    raw: bytes
    command: TokenCommand


class DeviceCommand(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The operator's command to approve a pending device, to release a held one or to revoke one.

    `device` is its id as text. An approved device takes the place of the active devices at its
    site, unless it is to work `beside` them.
    """

    action: Literal["approve", "revoke", "release"]
    device: str
    reason: str = ""
    beside: bool = False


class DeviceInput(msgspec.Struct, frozen=True, gc=False):
    """A device is to be approved, released or revoked."""

    raw: bytes
    command: DeviceCommand


class EnrolmentInput(msgspec.Struct, frozen=True, gc=False):
    """An enrolment whose signature was verified under the key that it names."""

    raw: bytes
    enrolment: Enrolment


class RotationInput(msgspec.Struct, frozen=True, gc=False):
    """A change of keys: both the old key's and the new key's signature were verified."""

    raw: bytes
    rotation: Rotation


class SettlementInput(msgspec.Struct, frozen=True, gc=False):
    """The operator's command on money, a correction or certificates."""

    raw: bytes
    command: SettlementCommand


class GridDataInput(msgspec.Struct, frozen=True, gc=False):
    """Energies of intervals in a file of the grid operator's."""

    raw: bytes
    data: GridData


class MarketCommand(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The operator's command to halt or resume a zone, or to let its orders only be cancelled.

    Without a `zone` it is for all zones.
    """

    action: Literal["halt", "resume", "cancel_only"]
    reason: str
    zone: str = ""


class MarketInput(msgspec.Struct, frozen=True, gc=False):
    """Trading is to be halted or resumed."""

    raw: bytes
    command: MarketCommand


class ClearingInput(msgspec.Struct, frozen=True, gc=False):
    """The 15-minute interval that starts at `interval_ms` is to be cleared."""

    raw: bytes
    interval_ms: int


class PeriodInput(msgspec.Struct, frozen=True, gc=False):
    """A billing period is to take a step."""

    raw: bytes
    command: PeriodCommand


class ClockInput(msgspec.Struct, frozen=True, gc=False):
    """The operator says what time it is."""

    raw: bytes
    command: ClockCommand


class LossInput(msgspec.Struct, frozen=True, gc=False):
    """The operator goes on without something that was lost."""

    raw: bytes
    command: LossCommand


DUE = b"due"


class TickInput(msgspec.Struct, frozen=True, gc=False):
    """Time has passed: orders expire, pauses end, standing orders trade, old ids are forgotten.

    With DUE as `raw` only the first two happen.
    """

    raw: bytes = b""


Input = (
    FrameInput
    | RefusedFrameInput
    | ForkInput
    | OrderInput
    | ConfigurationInput
    | OracleInput
    | TickInput
    | MarketInput
    | ClearingInput
    | TokenInput
    | EnrolmentInput
    | RotationInput
    | DeviceInput
    | SettlementInput
    | PeriodInput
    | GridDataInput
    | ClockInput
    | LossInput
)
Kind = Literal[
    "frame",
    "refused",
    "fork",
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
    "clock",
    "loss",
]
_KINDS: dict[type, Kind] = {
    FrameInput: "frame",
    RefusedFrameInput: "refused",
    ForkInput: "fork",
    OrderInput: "order",
    ConfigurationInput: "configure",
    OracleInput: "oracle",
    TickInput: "tick",
    MarketInput: "market",
    TokenInput: "token",
    EnrolmentInput: "enrol",
    RotationInput: "rotate",
    DeviceInput: "device",
    SettlementInput: "settlement",
    ClearingInput: "clear",
    PeriodInput: "period",
    GridDataInput: "grid_data",
    ClockInput: "clock",
    LossInput: "loss",
}


def kind_of(input_: Input) -> Kind:
    """Return the name of an input's kind in the journal."""
    return _KINDS[type(input_)]


class _StoredConfiguration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The form in which the journal keeps terms."""

    source: str
    terms: CommunityTerms
    zone: TimeZone = TimeZone()


def configuration_input(
    terms: CommunityTerms, source: bytes = b"", zone: TimeZone | None = None
) -> ConfigurationInput:
    """Return the input that makes `terms` the active ones. `zone` is their time zone."""
    zone = zone or TimeZone()
    assert zone.name == terms.community.time_zone
    raw = msgspec.json.encode(_StoredConfiguration(source.hex(), terms, zone), enc_hook=encode_hook)
    return ConfigurationInput(raw=raw, terms=terms, source=source, zone=zone)


def _parse_configure(raw: bytes) -> ConfigurationInput:
    stored = msgspec.json.decode(raw, type=_StoredConfiguration, dec_hook=decode_hook)
    return ConfigurationInput(
        raw=raw, terms=stored.terms, source=bytes.fromhex(stored.source), zone=stored.zone
    )


_settlement_decoder = msgspec.json.Decoder(SettlementCommand)


def settlement_input(command: SettlementCommand) -> SettlementInput:
    """Return the input that carries out an operator's command."""
    return SettlementInput(msgspec.json.encode(command), command)


def oracle_input(command: OracleCommand) -> OracleInput:
    """Return the input that pauses or resumes the oracle."""
    return OracleInput(msgspec.json.encode(command), command)


class _StoredClearing(msgspec.Struct, frozen=True):
    interval_ms: int


def clearing_input(interval_ms: int) -> ClearingInput:
    """Return the input that clears an interval."""
    return ClearingInput(msgspec.json.encode(_StoredClearing(interval_ms)), interval_ms)


def market_input(command: MarketCommand) -> MarketInput:
    """Return the input that halts or resumes trading."""
    return MarketInput(msgspec.json.encode(command), command)


def token_input(command: TokenCommand) -> TokenInput:
    """Return the input that issues or withdraws a token."""
    return TokenInput(msgspec.json.encode(command), command)


def device_input(command: DeviceCommand) -> DeviceInput:
    """Return the input that approves or revokes a device."""
    return DeviceInput(msgspec.json.encode(command), command)


def period_input(command: PeriodCommand) -> PeriodInput:
    """Return the input that takes a step of a billing period."""
    return PeriodInput(msgspec.json.encode(command), command)


def grid_data_input(data: GridData) -> GridDataInput:
    """Return the input that brings a file of the grid operator's."""
    return GridDataInput(msgspec.json.encode(data), data)


def clock_input(command: ClockCommand) -> ClockInput:
    """Return the input that says what time it is."""
    return ClockInput(msgspec.json.encode(command), command)


def loss_input(command: LossCommand) -> LossInput:
    """Return the input that says what was lost."""
    return LossInput(msgspec.json.encode(command), command)


def parse(kind: str, raw: bytes) -> Input:
    """Return the input that the journal keeps as `raw`.

    Raises WireError or ValueError if it is none of this kind.
    """
    match kind:
        case "frame":
            return FrameInput(raw, decode_frame(cose.split(raw)[2]))
        case "refused":
            return parse_refused_frame(raw)
        case "fork":
            return ForkInput(raw, decode_frame(cose.split(raw)[2]))
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
            return TokenInput(raw, msgspec.json.decode(raw, type=TokenCommand))
        case "enrol":
            return EnrolmentInput(raw, parse_enrolment(raw))
        case "rotate":
            return RotationInput(raw, parse_rotation(raw))
        case "device":
            return DeviceInput(raw, msgspec.json.decode(raw, type=DeviceCommand))
        case "settlement":
            return SettlementInput(raw, _settlement_decoder.decode(raw))
        case "clear":
            return ClearingInput(raw, msgspec.json.decode(raw, type=_StoredClearing).interval_ms)
        case "period":
            return PeriodInput(raw, msgspec.json.decode(raw, type=PeriodCommand))
        case "grid_data":
            return GridDataInput(raw, msgspec.json.decode(raw, type=GridData))
        case "clock":
            return ClockInput(raw, msgspec.json.decode(raw, type=ClockCommand))
        case "loss":
            return LossInput(raw, msgspec.json.decode(raw, type=LossCommand))
    raise ValueError(f"expected a known kind of entry, got {kind!r}")
