"""The contract between the parts: units, readings, frames, acks, orders, keys and topics.

The names in `__all__` are public and stay as docs/stability.md says; every other name may change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gridtokenx_wire.ack import Ack, open_ack, seal_ack
    from gridtokenx_wire.errors import ConfigError, KeyFileError, WireError
    from gridtokenx_wire.frame import (
        ClockStatus,
        Frame,
        Gap,
        build_frame,
        frame_hash,
        open_frame,
        seal_frame,
    )
    from gridtokenx_wire.keys import (
        create_private_key,
        device_id,
        device_text,
        load_private_key,
        parse_device,
        parse_public_key,
        public_key_text,
    )
    from gridtokenx_wire.message_file import read_frames
    from gridtokenx_wire.order import (
        Amend,
        Cancel,
        CancelAll,
        Instruction,
        Order,
        RecRetire,
        RecTransfer,
        Standing,
        Withdraw,
        open_instruction,
        sign_instruction,
    )
    from gridtokenx_wire.plain_text import escaped
    from gridtokenx_wire.read_token import ReadToken, sign_read_token
    from gridtokenx_wire.reading import Reading, ReadingFlag
    from gridtokenx_wire.state_notice import GatewayState, StateNotice, open_answer, seal_notice
    from gridtokenx_wire.topics import acks_topic, feed_topic, frames_topic, status_topic
    from gridtokenx_wire.units import format_grx, format_kwh, parse_grx, parse_kwh
    from gridtokenx_wire.verdict import Reason, Verdict

__all__ = [
    "Ack",
    "Amend",
    "Cancel",
    "CancelAll",
    "ClockStatus",
    "ConfigError",
    "Frame",
    "Gap",
    "GatewayState",
    "Instruction",
    "KeyFileError",
    "Order",
    "ReadToken",
    "Reading",
    "ReadingFlag",
    "Reason",
    "RecRetire",
    "RecTransfer",
    "Standing",
    "StateNotice",
    "Verdict",
    "WireError",
    "Withdraw",
    "acks_topic",
    "build_frame",
    "create_private_key",
    "device_id",
    "device_text",
    "escaped",
    "feed_topic",
    "format_grx",
    "format_kwh",
    "frame_hash",
    "frames_topic",
    "load_private_key",
    "open_ack",
    "open_answer",
    "open_frame",
    "open_instruction",
    "parse_device",
    "parse_grx",
    "parse_kwh",
    "parse_public_key",
    "public_key_text",
    "read_frames",
    "seal_ack",
    "seal_frame",
    "seal_notice",
    "sign_instruction",
    "sign_read_token",
    "status_topic",
]

_MODULES = {
    "ack": (
        "Ack",
        "open_ack",
        "seal_ack",
    ),
    "errors": (
        "ConfigError",
        "KeyFileError",
        "WireError",
    ),
    "frame": (
        "ClockStatus",
        "Frame",
        "Gap",
        "build_frame",
        "frame_hash",
        "open_frame",
        "seal_frame",
    ),
    "keys": (
        "create_private_key",
        "device_id",
        "device_text",
        "load_private_key",
        "parse_device",
        "parse_public_key",
        "public_key_text",
    ),
    "message_file": ("read_frames",),
    "order": (
        "Amend",
        "Cancel",
        "CancelAll",
        "Instruction",
        "Order",
        "RecRetire",
        "RecTransfer",
        "Standing",
        "Withdraw",
        "open_instruction",
        "sign_instruction",
    ),
    "plain_text": ("escaped",),
    "read_token": (
        "ReadToken",
        "sign_read_token",
    ),
    "reading": (
        "Reading",
        "ReadingFlag",
    ),
    "state_notice": (
        "GatewayState",
        "StateNotice",
        "open_answer",
        "seal_notice",
    ),
    "topics": (
        "acks_topic",
        "feed_topic",
        "frames_topic",
        "status_topic",
    ),
    "units": (
        "format_grx",
        "format_kwh",
        "parse_grx",
        "parse_kwh",
    ),
    "verdict": (
        "Reason",
        "Verdict",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used: nobody loads what they do not need."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
