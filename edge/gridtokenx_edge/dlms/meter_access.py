"""How a meter is addressed and opened: what its profile and its config say together."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from gridtokenx_dlms.acse import Mechanism
from gridtokenx_dlms.security import KEY_BYTES, Keys, Protection
from gridtokenx_edge.config.dlms_config import DlmsBus, DlmsMeter, DlmsTcp
from gridtokenx_edge.config.dlms_secrets import (
    TITLE_DIGITS,
    SecretError,
    key_bytes,
    password_bytes,
    read_secret,
)
from gridtokenx_edge.dlms.counters import CounterFile, DurableCiphering
from gridtokenx_edge.meters.dlms import DlmsProfile, load_dlms
from gridtokenx_edge.meters.dlms_time import MeterZone
from gridtokenx_edge.polling.driver import MeterUnusableError

_MECHANISMS = {"none": Mechanism.NONE, "low": Mechanism.LOW, "gmac": Mechanism.HIGH_GMAC}
_PROTECTIONS = {
    "none": Protection.NONE,
    "authenticated": Protection.AUTHENTICATED,
    "encrypted": Protection.ENCRYPTED,
    "authenticated_encrypted": Protection.AUTHENTICATED_ENCRYPTED,
}
_TITLE_MAKER = b"GTX"


class MeterAccess(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses, secrets and counters of one meter."""

    meter: DlmsMeter
    profile: DlmsProfile
    client: int
    logical_device: int
    physical_address: int | None
    mechanism: Mechanism
    protection: Protection
    password: bytes
    keys: Keys | None
    title: bytes
    zone: MeterZone
    counters: CounterFile | None

    def __repr__(self) -> str:
        return f"MeterAccess({self.meter.id})"

    def ciphering(self) -> DurableCiphering | None:
        """Return new ciphering with counters from a fresh range; None where messages are not
        ciphered.

        Raises SecurityError where the disk cannot keep the counters.
        """
        if self.keys is None or self.counters is None:
            return None
        reserved = self.counters.reserve()
        ciphering = DurableCiphering(
            keys=self.keys,
            title=self.title,
            protection=self.protection,
            counter=reserved.start,
            counters=self.counters,
            end=reserved.stop,
        )
        ciphering.guard.newest = self.counters.newest_received()
        return ciphering


class DlmsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The folders of secrets and of counters, and the seed that this gateway's system titles come
    from.
    """

    folder: Path
    state: Path
    seed: bytes = b""


def access_of(meter: DlmsMeter, files: DlmsFiles, *, is_pushed: bool = False) -> MeterAccess:
    """Return how a meter is addressed and opened. Nobody logs in at one whose messages are pushed.

    Raises SecretError, and ConfigError for the profile.
    """
    profile = load_dlms(meter.profile)
    defaults = profile.association
    mechanism = _MECHANISMS[meter.authentication or defaults.authentication]
    protection = _PROTECTIONS[meter.protection or defaults.protection]
    if is_pushed:
        mechanism = Mechanism.NONE
        protection = _PROTECTIONS[meter.protection or profile.push_protection]
    password = b""
    if mechanism is Mechanism.LOW:
        password = password_bytes("password", _secret(meter.password, "password", files))
    keys = None
    title = system_title(meter, files.seed)
    if mechanism is Mechanism.HIGH_GMAC or protection is not Protection.NONE:
        keys = _keys(meter, mechanism, protection, files)
    return MeterAccess(
        meter=meter,
        profile=profile,
        client=_first(meter.client, defaults.client),
        logical_device=logical_device_of(meter, profile),
        physical_address=defaults.physical_address
        if meter.physical_address is None
        else meter.physical_address,
        mechanism=mechanism,
        protection=protection,
        password=password,
        keys=keys,
        title=title,
        zone=MeterZone(profile.quirks.reversed_deviation, meter.zone),
        counters=CounterFile(files.state, meter.id, keys, title) if keys else None,
    )


def system_title(meter: DlmsMeter, seed: bytes) -> bytes:
    """Return this client's system title: the config's, or one that no other gateway has for this
    meter.
    """
    if meter.system_title:
        return bytes.fromhex(meter.system_title)
    own = hashlib.sha256(b"system title\0" + seed + meter.id.encode()).digest()
    return _TITLE_MAKER + own[: TITLE_DIGITS // 2 - len(_TITLE_MAKER)]


def is_wrapped(config: DlmsBus) -> bool:
    """Return whether messages are sent over TCP in wrappers, without HDLC."""
    return isinstance(config, DlmsTcp) and config.framing == "wrapper"


def usable_access(meter: DlmsMeter, files: DlmsFiles, *, is_pushed: bool = False) -> MeterAccess:
    """Return the access of a meter that the agent is to read. Raises MeterUnusableError."""
    try:
        return access_of(meter, files, is_pushed=is_pushed)
    except SecretError as error:
        raise MeterUnusableError(str(error)) from None


def logical_device_of(meter: DlmsMeter, profile: DlmsProfile) -> int:
    """Return the meter's logical device: the config's, or the model's."""
    return _first(meter.logical_device, profile.association.logical_device)


def _first(chosen: int | None, default: int) -> int:
    return default if chosen is None else chosen


def _keys(meter: DlmsMeter, mechanism: Mechanism, protection: Protection, files: DlmsFiles) -> Keys:
    # Without authentication nothing depends on its key.
    is_unneeded = protection is Protection.ENCRYPTED and not meter.authentication_key
    encryption = _key(meter, "encryption_key", files)
    authentication = bytes(KEY_BYTES)
    if mechanism is Mechanism.HIGH_GMAC or not is_unneeded:
        authentication = _key(meter, "authentication_key", files)
    return Keys(encryption=encryption, authentication=authentication)


def _key(meter: DlmsMeter, name: str, files: DlmsFiles) -> bytes:
    return key_bytes(name, _secret(getattr(meter, name), name, files))


def _secret(name: str, key: str, files: DlmsFiles) -> str:
    if not name:
        raise SecretError(f"{key}: expected a file, env:NAME or credential:NAME")
    return read_secret(name, files.folder)
