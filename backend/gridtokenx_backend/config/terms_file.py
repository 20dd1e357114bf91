"""`community.toml`: the terms of the community, with the tables that the file names."""

from __future__ import annotations

import hashlib
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from gridtokenx_backend.config.terms_checks import check_terms
from gridtokenx_backend.core.model.terms import CommunityTerms
from gridtokenx_backend.grid_data.file_content import BadFile
from gridtokenx_backend.grid_data.share_table import names_of, read_share_table
from gridtokenx_wire.config import finding, load_toml
from gridtokenx_wire.errors import ConfigError


def load_terms(path: Path) -> CommunityTerms:
    """Return the community's terms. Raises ConfigError with a line for each finding."""
    terms = load_toml(path, CommunityTerms)
    if lines := [finding(path, key, expected) for key, expected in check_terms(terms)]:
        raise ConfigError(lines)
    return _with_tables(path, terms)


def terms_digest(path: Path) -> bytes:
    """Return the SHA-256 of the community's file and of the tables that it names.

    Raises ConfigError.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    digest = hashlib.sha256(content)
    if b"table" in content:  # a file without the word names no table, and need not be parsed
        for key in load_terms(path).sharing.key:
            digest.update(key.of_table.source.encode() if key.of_table else b"")
    return digest.digest()


def _with_tables(path: Path, terms: CommunityTerms) -> CommunityTerms:
    """Return the terms with the shares of the files that keys name. Raises ConfigError."""
    if not any(key.table for key in terms.sharing.key):
        return terms
    names = names_of([(meter.id, meter.metering_point) for meter in terms.meter])
    zone = ZoneInfo(terms.community.time_zone)
    keys, lines = [], []
    for index, key in enumerate(terms.sharing.key):
        table = None
        if key.table:
            try:
                table = read_share_table(path.parent / key.table, names, zone, key.valid_from)
            except BadFile as error:
                lines.append(finding(path, f"sharing.key[{index}].table", str(error)))
        keys.append(msgspec.structs.replace(key, of_table=table))
    if lines:
        raise ConfigError(lines)
    return msgspec.structs.replace(terms, sharing=msgspec.structs.replace(terms.sharing, key=keys))
