"""What others can reach: files that everybody may change, and hosts beyond this machine."""

from __future__ import annotations

import ipaddress
import stat
from pathlib import Path


def is_open_to_all(file: Path) -> bool:
    """Return whether everybody may write there. A sticky folder protects what others made."""
    try:
        mode = file.stat().st_mode
    except OSError:
        return False
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def is_this_machine(host: str) -> bool:
    """Return whether a host is this machine itself: what is sent there leaves no network card."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def open_file_text(file: Path) -> str:
    """Return what a config's risk says of a file that everybody may change."""
    return f"unsafe: everybody on this machine may change {file}; chmod o-w {file}"
