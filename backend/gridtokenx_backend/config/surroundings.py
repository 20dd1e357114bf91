"""Whether what the server's config names is there: files, folders, an address of this machine.

`check-config` and `run` look at the same. Nothing is made or changed. No other machine is asked,
because a broker that is away comes back by itself.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from gridtokenx_backend.config.data_folder import unusable_tokens
from gridtokenx_backend.config.risks import open_data
from gridtokenx_backend.config.settings import Settings
from gridtokenx_backend.config.tls_context import BadTls, broker_context, check_api_files
from gridtokenx_wire.clock import make_clock
from gridtokenx_wire.config import finding
from gridtokenx_wire.errors import ConfigError


def check_surroundings(settings: Settings, path: Path) -> None:
    """Raise ConfigError with a line for each thing that the config at `path` names in vain."""
    lines = [finding(path, key, expected) for key, expected in _missing(settings)]
    lines = lines or [finding(path, key, expected) for key, expected in _unusable(settings)]
    if lines := lines or [*unusable_tokens(settings), *open_data(settings)]:
        raise ConfigError(lines)


def _missing(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the keys whose file or folder does not exist."""
    sections = (("broker", settings.backend.broker), ("api", settings.backend.api))
    for name_of_section, section in sections:
        for name in ("ca", "cert", "key"):
            file = getattr(section, name, "")
            if file and not _is_file(settings.path(file)):
                expected = f"expected a file, found none at {settings.path(file)}"
                yield f"{name_of_section}.{name}", expected
    broker = settings.backend.broker
    if broker.access and not _is_folder(settings.path(broker.access)):
        folder = settings.path(broker.access)
        yield "broker.access", f"expected the folder of broker-config, found none at {folder}"
    if broker.pid_file and not _is_folder(settings.path(broker.pid_file).parent):
        folder = settings.path(broker.pid_file).parent
        yield "broker.pid_file", f"expected a file in a folder, found none at {folder}"
    if broker.reload_command and shutil.which(broker.reload_command[0]) is None:
        yield "broker.reload_command", f"expected a program, got {broker.reload_command[0]!r}"


def _unusable(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the keys whose file, folder or address is there and cannot be used."""
    if expected := _data_fault(settings.data):
        yield "backend.data", expected
    for key, check in (("broker", broker_context), ("api", check_api_files)):
        try:
            check(settings)
        except BadTls as error:
            yield key, str(error)
    host = settings.backend.api.host
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, 0), family=family).close()
    except OSError as error:
        yield "api.host", f"expected an address of this machine, got {host!r}: {error.strerror}"
    try:
        make_clock(settings.backend.clock)
    except ConfigError as error:
        yield "clock.path", str(error).partition(": ")[2]


def _data_fault(data: Path) -> str:
    """Return why the data folder cannot be used or made, or an empty text."""
    try:
        existing = next(each for each in (data, *data.parents) if each.exists())
    except OSError as error:
        return f"expected a folder, got {str(data)[:80]!r}: {error.strerror}"
    if not existing.is_dir():
        return f"expected a folder, found another file at {existing}"
    if not os.access(existing, os.W_OK | os.X_OK):
        return f"expected a folder that can be written, found {existing}"
    return ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
