"""The outcomes of inputs about gateways: tokens, enrolment, rotation, approval, hold."""

from __future__ import annotations

import msgspec

from gridtokenx_backend.core.model.registry import DeviceStatus, TokenStatus


class DeviceHeld(msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="fork", gc=False):
    """A device is held: the frame `seq` of its `chain` is another one than the stored one.

    Or it does not follow the stored one, if `seq` is `next_seq`, the number that was expected.
    """

    device: bytes
    chain: bytes
    seq: int
    next_seq: int


class TokenChanged(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="token", gc=False
):
    """A token was issued (`open`) or withdrawn."""

    token: str
    site: str
    status: TokenStatus


class DeviceEnrolled(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="enrol", gc=False
):
    """A gateway enrolled. It is pending if its site has an active gateway already."""

    device: bytes
    site: str
    status: DeviceStatus


class DeviceRotated(
    msgspec.Struct, kw_only=True, frozen=True, array_like=True, tag="rotate", gc=False
):
    """The key `device` follows the key `former`."""

    device: bytes
    former: bytes


class DeviceApproved(msgspec.Struct, frozen=True, array_like=True, tag="approve", gc=False):
    """A pending device was approved. The devices `replaced` were revoked for it."""

    device: bytes
    replaced: list[bytes]


class DeviceReleased(msgspec.Struct, frozen=True, array_like=True, tag="release", gc=False):
    """The operator released a device that was held. Its chain goes on behind the stored frames."""

    device: bytes


class DeviceRevoked(msgspec.Struct, frozen=True, array_like=True, tag="revoke", gc=False):
    """The operator revoked a device."""

    device: bytes
