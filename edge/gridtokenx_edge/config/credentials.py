"""Secrets that systemd hands over: `credential:NAME` in a config in place of a file name.

With `LoadCredentialEncrypted=` a key lies encrypted on the memory card, bound to this machine. Only
the running service sees it, in memory (systemd.exec(5), "Credentials").
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

_PREFIX = "credential:"
_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,200}")
# The shipped unit finds them there. The variable is set inside the service only.
_SHIPPED_UNIT = "/run/credentials/gridtokenx-edge.service"


def is_credential(name: str) -> bool:
    """Return whether a config's file name stands for a credential."""
    return name.startswith(_PREFIX)


def is_well_named(name: str) -> bool:
    """Return whether a credential's name is well formed. Every file name is."""
    return not is_credential(name) or bool(_NAME.fullmatch(name.removeprefix(_PREFIX)))


def secret_path(folder: Path, name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the file that `name` means: a credential, or a file relative to `folder`."""
    if not is_credential(name):
        return folder / name
    return Path(environ.get("CREDENTIALS_DIRECTORY", _SHIPPED_UNIT)) / name.removeprefix(_PREFIX)


def is_visible(name: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether the file can be looked at: only the service sees a credential."""
    return not is_credential(name) or "CREDENTIALS_DIRECTORY" in environ
