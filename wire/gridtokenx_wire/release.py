"""The version of the installed program. Its one source is pyproject.toml."""

from __future__ import annotations

from importlib import metadata


def release() -> str:
    """Return the version of the installed distribution, such as `1.2.0`."""
    return metadata.version("gridtokenx")
