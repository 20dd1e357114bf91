"""The secrets that let gateways into DLMS meters, each made once, in a file that its owner alone
reads.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from gridtokenx_sim.demo import town
from gridtokenx_sim.demo.files.folder import Folder

Secrets = Mapping[str, Mapping[str, str]]
"""By member and by what it is called in a config."""

_OF_ENTRY: dict[str, tuple[str, ...]] = {
    "": (),
    "low": ("password",),
    "gmac": ("encryption_key", "authentication_key"),
}
_KEY_BYTES, _PASSWORD_BYTES = 16, 4


def names_of(meter: town.MeterPlan) -> tuple[str, ...]:
    """Return the secrets that a meter's gateway must show, as configs call them."""
    return _OF_ENTRY[meter.entry]


def secret_file(folder: Folder, member: town.Member, name: str) -> Path:
    return folder.keys / f"{member.file_name}.meter.{name}"


def meter_secrets(folder: Folder) -> Secrets:
    """Return all members' secrets; those that are missing are made. Raises OSError."""
    return {
        member.name: {
            name: _secret(secret_file(folder, member, name), name)
            for name in names_of(member.meter)
        }
        for member in town.MEMBERS
        if member.meter.is_dlms
    }


def _secret(file: Path, name: str) -> str:
    """Return a secret, made where its file is missing.

    The file is written whole or not at all: half a key would keep the gateway out for ever.
    """
    if not file.exists():
        draft = file.with_name(f".{file.name}.new")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(secrets.token_hex(_PASSWORD_BYTES if name == "password" else _KEY_BYTES))
        draft.rename(file)
    return file.read_text()
