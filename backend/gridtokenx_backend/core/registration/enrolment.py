"""Enrolment of gateways: tokens, enrolment, rotation of keys, approval and revocation."""

from __future__ import annotations

from gridtokenx_backend.core.messages.device_outcomes import (
    DeviceApproved,
    DeviceEnrolled,
    DeviceReleased,
    DeviceRevoked,
    DeviceRotated,
    TokenChanged,
)
from gridtokenx_backend.core.messages.inputs import DeviceCommand, TokenCommand
from gridtokenx_backend.core.messages.outcomes import AlreadyEnrolled, EnrolmentRefused
from gridtokenx_backend.core.messages.refusals import EnrolmentRefusal
from gridtokenx_backend.core.model.registry import Device, DeviceStatus, Token
from gridtokenx_backend.core.state.community import Community
from gridtokenx_wire.enrolment import Enrolment, Rotation
from gridtokenx_wire.frame import GENESIS_PREV
from gridtokenx_wire.keys import device_id, device_text, parse_device

MAX_TOKENS = 1000
KEPT_TOKEN_MS = 7 * 86_400_000
"""A token is remembered for so long after its expiry, so that a retry is answered as before."""
ROTATED = "rotated"
REPLACED = "replaced"


def change_token(
    community: Community, command: TokenCommand, at_ms: int
) -> TokenChanged | EnrolmentRefused:
    """Issue a token for a site, or withdraw one that nobody has used."""
    known = community.tokens.get(command.token)
    if command.action == "withdraw":
        if known is None:
            return _refused(EnrolmentRefusal.UNKNOWN_TOKEN)
        if refusal := _not_open(known, at_ms):
            return _refused(refusal)
        known.status = "withdrawn"
        return TokenChanged(token=command.token, site=known.site, status=known.status)
    if known is not None:
        return _refused(EnrolmentRefusal.TOKEN_USED, "expected a token of its own")
    if len(community.tokens) >= MAX_TOKENS:
        return _refused(EnrolmentRefusal.TOO_MANY_TOKENS, f"expected at most {MAX_TOKENS}")
    community.tokens[command.token] = Token(site=command.site, expires_ms=command.expires_ms)
    return TokenChanged(token=command.token, site=command.site, status="open")


def _not_open(token: Token, at_ms: int) -> EnrolmentRefusal | None:
    if token.status == "used":
        return EnrolmentRefusal.TOKEN_USED
    if token.status == "withdrawn":
        return EnrolmentRefusal.TOKEN_WITHDRAWN
    if at_ms >= token.expires_ms:
        return EnrolmentRefusal.TOKEN_EXPIRED
    return None


def enrol(
    community: Community, enrolment: Enrolment, at_ms: int
) -> DeviceEnrolled | AlreadyEnrolled | EnrolmentRefused:
    """Enrol a key with a token: active at once, or pending if the site has an active device.

    A key that is known at this site already may use a new token, to be enrolment a new certificate.
    """
    token = community.tokens.get(enrolment.statement.token)
    if token is None:
        return _refused(EnrolmentRefusal.UNKNOWN_TOKEN)
    name = device_id(enrolment.public_key)
    device = community.devices.get(name)
    again = token.status == "used" and token.device == name
    if not again and (refusal := _not_open(token, at_ms)):
        return _refused(refusal)
    if device is not None and device.status == "revoked":
        return _refused(EnrolmentRefusal.DEVICE_REVOKED, _new_key_expected(device))
    if device is not None and device.site != token.site:
        detail = f"expected a key of {token.site!r}, got one of {device.site!r}"
        return _refused(EnrolmentRefusal.DEVICE_ELSEWHERE, detail)
    if again:
        return AlreadyEnrolled(name)
    if device is None:
        status: DeviceStatus = "pending" if _active_at(community, token.site) else "active"
        device = _new_device(name, enrolment.public_key, token.site, status)
        community.devices[name] = device
    token.status, token.device = "used", name
    return DeviceEnrolled(device=name, site=device.site, status=device.status)


def _new_device(name: bytes, key: bytes, site: str, status: DeviceStatus) -> Device:
    return Device(
        id=name,
        public_key=key,
        site=site,
        status=status,
        chain=b"",
        next_seq=0,
        prev=GENESIS_PREV,
        origin="enrolled",
    )


def _active_at(community: Community, site: str) -> list[Device]:
    return [
        device
        for device in community.devices.values()
        if device.site == site and device.status == "active"
    ]


def rotate(
    community: Community, rotation: Rotation
) -> DeviceRotated | AlreadyEnrolled | EnrolmentRefused:
    """Let a new key follow the one in use.

    Frames under both are accepted until the overlap after the new key's first frame has passed.
    """
    former = community.devices.get(rotation.device)
    if former is None:
        return _refused(EnrolmentRefusal.UNKNOWN_DEVICE)
    if former.status == "revoked":
        return _refused(EnrolmentRefusal.DEVICE_REVOKED)
    if former.held:
        return _refused(EnrolmentRefusal.DEVICE_HELD, former.held)
    if former.status == "pending":
        return _refused(EnrolmentRefusal.DEVICE_PENDING)
    name = device_id(rotation.public_key)
    known = community.devices.get(name)
    if known is not None and known.status == "revoked":
        return _refused(EnrolmentRefusal.DEVICE_REVOKED, _new_key_expected(known))
    if known is not None:
        if known.former == former.id:
            return AlreadyEnrolled(name)
        return _refused(EnrolmentRefusal.DEVICE_ELSEWHERE, "expected a new key")
    if any(
        each.former == former.id and each.status == "active" for each in community.devices.values()
    ):
        return _refused(EnrolmentRefusal.ALREADY_FOLLOWED)
    device = _new_device(name, rotation.public_key, former.site, "active")
    device.former, device.root = former.id, former.line
    community.devices[name] = device
    return DeviceRotated(device=name, former=former.id)


def _new_key_expected(device: Device) -> str:
    why = f" ({device.why})" if device.why else ""
    return f"expected a new key: this one was revoked{why} and stays so"


def begin_overlap(community: Community, device: Device, at_ms: int) -> None:
    """Set when the key that this one follows is revoked: a frame under this one was accepted."""
    former = community.devices[device.former]
    if not former.retire_ms:
        former.retire_ms = at_ms + community.active_terms.rotation_overlap_ms


def active_followers(community: Community, device: bytes) -> list[bytes]:
    """Return the ids of the active devices whose keys follow this one's, directly or not."""
    found, known = [], {device}
    for each in community.devices.values():  # a key comes after the one that it follows
        if each.former in known:
            known.add(each.id)
            if each.status == "active":
                found.append(each.id)
    return found


def retire(community: Community, at_ms: int) -> list[bytes]:
    """Revoke the devices whose overlap is over, and return their ids."""
    due = [
        device
        for device in community.devices.values()
        if device.retire_ms and device.retire_ms <= at_ms and device.status != "revoked"
    ]
    for device in due:
        _revoke(device, ROTATED)
    return [device.id for device in due]


def forget_tokens(community: Community, at_ms: int) -> None:
    """Forget the tokens that expired so long ago that no retry will come."""
    for name, token in list(community.tokens.items()):
        if token.expires_ms + KEPT_TOKEN_MS <= at_ms:
            del community.tokens[name]


def change_device(
    community: Community, command: DeviceCommand
) -> DeviceApproved | DeviceReleased | DeviceRevoked | EnrolmentRefused:
    """Approve a pending device, release a held one or revoke one, as the operator said."""
    device = community.devices.get(parse_device(command.device))
    if device is None:
        return _refused(EnrolmentRefusal.UNKNOWN_DEVICE)
    if command.action == "revoke":
        if device.status == "revoked" and device.why:
            return _refused(EnrolmentRefusal.DEVICE_REVOKED, f"it was revoked: {device.why}")
        _revoke(device, command.reason)
        return DeviceRevoked(device.id)
    if device.status == "revoked":
        return _refused(EnrolmentRefusal.DEVICE_REVOKED, "expected a new key, enrolled anew")
    if command.action == "release":
        if not device.held:
            return _refused(EnrolmentRefusal.NOT_HELD)
        device.held = ""
        return DeviceReleased(device.id)
    if device.status == "active":
        return _refused(EnrolmentRefusal.DEVICE_ACTIVE)
    replaced = [] if command.beside else _active_at(community, device.site)
    _replace(device, replaced)
    return DeviceApproved(device.id, [former.id for former in replaced])


def _replace(device: Device, replaced: list[Device]) -> None:
    """Activate a device and revoke those that it replaces, whose meters it takes over.

    If these belong to several lines of devices, it takes over only meters bound to the site.
    """
    device.status = "active"
    lines = {former.line for former in replaced}
    if len(lines) == 1:
        device.root = lines.pop()
    for former in replaced:
        _revoke(former, f"{REPLACED} by {device_text(device.id)}")


def _revoke(device: Device, why: str) -> None:
    device.status, device.why, device.held = "revoked", why, ""


def _refused(reason: EnrolmentRefusal, detail: str = "") -> EnrolmentRefused:
    return EnrolmentRefused(reason, detail)


def reset_chain(device: Device, chain: bytes) -> None:
    """Begin a device's chain anew: `chain` from seq 0, or the first that comes if it is empty."""
    device.chain = chain
    device.next_seq = 0
    device.prev = GENESIS_PREV
    device.verdicts = None
    device.recent = None
