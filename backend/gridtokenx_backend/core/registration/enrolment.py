"""How gateways come, change their key and go: tokens, enrolment, rotation, approval, revocation."""

from __future__ import annotations

from gridtokenx_backend.core.messages.inputs import DeviceCommand, TokenCommand
from gridtokenx_backend.core.messages.outcomes import (
    AlreadyEnrolled,
    DeviceApproved,
    DeviceEnrolled,
    DeviceRevoked,
    DeviceRotated,
    EnrolmentRefusal,
    EnrolmentRefused,
    TokenChanged,
)
from gridtokenx_backend.core.model.registry import Device, DeviceStatus, Token
from gridtokenx_backend.core.state.community import Community
from gridtokenx_wire.enrolment import Enrolment, Rotation
from gridtokenx_wire.frame import GENESIS_PREV
from gridtokenx_wire.keys import device_id, device_text, parse_device

MAX_TOKENS = 1000
KEPT_TOKEN_MS = 7 * 86_400_000
"""How long after its expiry a token is remembered, so that its user is answered as before."""
ROTATED = "rotated"
REPLACED = "replaced"


def change_token(
    community: Community, command: TokenCommand, at_ms: int
) -> TokenChanged | EnrolmentRefused:
    """Issues a token for a site, or withdraws one that nobody has used."""
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
    community: Community, given: Enrolment, at_ms: int
) -> DeviceEnrolled | AlreadyEnrolled | EnrolmentRefused:
    """Lets a key in with a token: active at once, or pending if the site has an active device.

    A key that is at home at the site already may use a new token, to be given a new certificate.
    """
    token = community.tokens.get(given.statement.token)
    if token is None:
        return _refused(EnrolmentRefusal.UNKNOWN_TOKEN)
    name = device_id(given.public_key)
    device = community.devices.get(name)
    again = token.status == "used" and token.device == name
    if not again and (refusal := _not_open(token, at_ms)):
        return _refused(refusal)
    if device is not None and device.status == "revoked":
        return _refused(EnrolmentRefusal.DEVICE_REVOKED, "expected a new key")
    if device is not None and device.site != token.site:
        detail = f"expected a key of {token.site!r}, got one of {device.site!r}"
        return _refused(EnrolmentRefusal.DEVICE_ELSEWHERE, detail)
    if again:
        return AlreadyEnrolled(name)
    if device is None:
        status: DeviceStatus = "pending" if _active_at(community, token.site) else "active"
        device = _new_device(name, given.public_key, token.site, status)
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
    community: Community, given: Rotation
) -> DeviceRotated | AlreadyEnrolled | EnrolmentRefused:
    """Lets a key follow the one in use. Both are heard until the overlap after its first frame."""
    former = community.devices.get(given.device)
    if former is None:
        return _refused(EnrolmentRefusal.UNKNOWN_DEVICE)
    if former.status == "revoked":
        return _refused(EnrolmentRefusal.DEVICE_REVOKED)
    if former.status == "pending":
        return _refused(EnrolmentRefusal.DEVICE_PENDING)
    name = device_id(given.public_key)
    known = community.devices.get(name)
    if known is not None and known.status == "revoked":
        return _refused(EnrolmentRefusal.DEVICE_REVOKED, "expected a new key")
    if known is not None:
        if known.former == former.id:
            return AlreadyEnrolled(name)
        return _refused(EnrolmentRefusal.DEVICE_ELSEWHERE, "expected a new key")
    if any(each.former == former.id and each.status == "active" for each in _all(community)):
        return _refused(EnrolmentRefusal.ALREADY_FOLLOWED)
    device = _new_device(name, given.public_key, former.site, "active")
    device.former, device.root = former.id, former.line
    community.devices[name] = device
    return DeviceRotated(device=name, former=former.id)


def _all(community: Community) -> list[Device]:
    return list(community.devices.values())


def begin_overlap(community: Community, device: Device, at_ms: int) -> None:
    """A key that follows another has had a frame accepted: the other's time is counted."""
    former = community.devices[device.former]
    if not former.retire_ms:
        former.retire_ms = at_ms + community.active_terms.rotation_overlap_ms


def active_followers(community: Community, device: bytes) -> list[bytes]:
    """The active keys that were let in by this one, or by one that was."""
    found, known = [], {device}
    for each in community.devices.values():  # a key comes after the one that it follows
        if each.former in known:
            known.add(each.id)
            if each.status == "active":
                found.append(each.id)
    return found


def retire(community: Community, at_ms: int) -> list[bytes]:
    """Revokes the keys whose overlap is over; their ids."""
    due = [
        device
        for device in community.devices.values()
        if device.retire_ms and device.retire_ms <= at_ms and device.status != "revoked"
    ]
    for device in due:
        _revoke(device, ROTATED)
    return [device.id for device in due]


def forget_tokens(community: Community, at_ms: int) -> None:
    """Drops the tokens that expired so long ago that nobody will ask for them."""
    for name, token in list(community.tokens.items()):
        if token.expires_ms + KEPT_TOKEN_MS <= at_ms:
            del community.tokens[name]


def change_device(
    community: Community, command: DeviceCommand
) -> DeviceApproved | DeviceRevoked | EnrolmentRefused:
    """What the operator says of a device."""
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
    if device.status == "active":
        return _refused(EnrolmentRefusal.DEVICE_ACTIVE)
    replaced = [] if command.beside else _active_at(community, device.site)
    _take_place(device, replaced)
    return DeviceApproved(device.id, [former.id for former in replaced])


def _take_place(device: Device, replaced: list[Device]) -> None:
    """The newcomer goes to work; what it replaces is revoked, and leaves it its meters.

    Where it replaces several lines of devices, only meters that are bound to the site are its.
    """
    device.status = "active"
    lines = {former.line for former in replaced}
    if len(lines) == 1:
        device.root = lines.pop()
    for former in replaced:
        _revoke(former, f"{REPLACED} by {device_text(device.id)}")


def _revoke(device: Device, why: str) -> None:
    device.status, device.why = "revoked", why


def _refused(reason: EnrolmentRefusal, detail: str = "") -> EnrolmentRefused:
    return EnrolmentRefused(reason, detail)


def reset_chain(device: Device, chain: bytes) -> None:
    """Starts a device's chain anew: `chain` from seq 0, or whichever comes first if it is empty."""
    device.chain = chain
    device.next_seq = 0
    device.prev = GENESIS_PREV
    device.verdicts = None
