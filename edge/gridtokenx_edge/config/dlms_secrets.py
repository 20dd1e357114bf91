"""A meter's secrets: named in the config, found in a file, the environment or a credential."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from gridtokenx_edge.config.dlms_config import DlmsBus, DlmsMeter, DlmsPush
from gridtokenx_edge.meters.dlms import DlmsProfile
from gridtokenx_edge.meters.dlms_access import Mechanism, Protection

_ENVIRONMENT, _CREDENTIAL = "env:", "credential:"
_HEX = re.compile(r"[0-9A-Fa-f]*")
_LONGEST_FILE = 4096
KEY_DIGITS = 32
TITLE_DIGITS = 16
KEY_NAMES = ("encryption_key", "authentication_key")


class SecretError(Exception):
    """A secret cannot be read. The text is one line, and never holds any part of the secret."""


def read_secret(name: str, folder: Path, environ: Mapping[str, str] = os.environ) -> str:
    """Return the secret behind `name`, without blanks around it. Raises SecretError.

    `env:NAME` is a variable and `credential:NAME` is what systemd handed over. Anything else is a
    file relative to `folder`, which only its owner may read.
    """
    if name.startswith(_ENVIRONMENT):
        variable = name.removeprefix(_ENVIRONMENT)
        if not environ.get(variable):
            raise SecretError(f"expected a secret in the environment's {variable}")
        return environ[variable].strip()
    if name.startswith(_CREDENTIAL):
        folder_name = environ.get("CREDENTIALS_DIRECTORY", "")
        if not folder_name:
            raise SecretError(f"expected systemd to hand over {name} (LoadCredential=)")
        return _read_file(Path(folder_name) / name.removeprefix(_CREDENTIAL))
    path = folder / name
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise SecretError(f"{path}: cannot be read: {error.strerror}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise SecretError(f"{path}: expected a file for its owner only; run: chmod 600 {path}")
    return _read_file(path)


def _read_file(path: Path) -> str:
    try:
        return path.read_bytes()[:_LONGEST_FILE].decode().strip()
    except OSError as error:
        raise SecretError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SecretError(f"{path}: expected text") from None


def key_bytes(name: str, text: str) -> bytes:
    """Return a key of 32 hexadecimal digits.

    Raises SecretError, which says the secret's name only.
    """
    digits = re.sub(r"[\s:]", "", text)
    if len(digits) != KEY_DIGITS or not _HEX.fullmatch(digits):
        raise SecretError(f"{name}: expected a key of {KEY_DIGITS} hexadecimal digits")
    return bytes.fromhex(digits)


def password_bytes(name: str, text: str) -> bytes:
    """Return a password, as it is written or in hexadecimal after "hex:".

    Raises SecretError.
    """
    if text.startswith("hex:"):
        digits = text.removeprefix("hex:")
        if len(digits) % 2 or not _HEX.fullmatch(digits):
            raise SecretError(f'{name}: expected hexadecimal digits after "hex:"')
        return bytes.fromhex(digits)
    if not text:
        raise SecretError(f"{name}: expected a password, found nothing")
    return text.encode()


def needs_keys(mechanism: Mechanism, protection: Protection) -> bool:
    """Return whether a meter cannot be read without an encryption key."""
    return mechanism == "gmac" or protection != "none"


def wanted_secrets(meter: DlmsMeter, profile: DlmsProfile, bus: DlmsBus) -> tuple[str, ...]:
    """Return the keys of the config without which this meter cannot be read."""
    if isinstance(bus, DlmsPush):
        return pushed_secrets(meter.protection or profile.push_protection)
    defaults = profile.association
    return _secrets_of(
        meter.authentication or defaults.authentication, meter.protection or defaults.protection
    )


def pushed_secrets(protection: Protection) -> tuple[str, ...]:
    """Return the keys of the config without which messages that a meter sends by itself cannot be
    opened. Nobody logs in on such a line, so there is no password.
    """
    match protection:
        case "none":
            return ()
        case "encrypted":
            return KEY_NAMES[:1]
    return KEY_NAMES


def wanted_secrets_of(profile: DlmsProfile) -> tuple[str, ...]:
    """Return the keys of the config of a meter that is set as its model mostly is."""
    return _secrets_of(profile.association.authentication, profile.association.protection)


def _secrets_of(mechanism: Mechanism, protection: Protection) -> tuple[str, ...]:
    password = ("password",) if mechanism == "low" else ()
    return password + (KEY_NAMES if needs_keys(mechanism, protection) else ())
