"""Strict config files: TOML into typed structs, each mistake one line that says what to write.

Amounts in a config are decimal strings; their types here convert them to integer units.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gridtokenx_wire import toml_lines
from gridtokenx_wire.choices import keys_at, values_at
from gridtokenx_wire.errors import ConfigError
from gridtokenx_wire.keys import parse_public_key, public_key_text
from gridtokenx_wire.units import format_decimal, parse_decimal, parse_grx, parse_kwh

T = TypeVar("T")
FORMAT = 1
"""The format of config files. A file may say `format = 1` at its head; without it, it is of 1."""

_SYNTAX = re.compile(r"(?s)(.*?)(?: \(at (?:line (\d+), column \d+|end of document)\))?")
_AT = re.compile(r"(?s)(.*?)(?: - at `(?:key in )?\$\.?(.*?)`)?")
_UNKNOWN = re.compile(r"(?s)Object contains unknown field `(.*)`")
_MISSING = re.compile(r"Object missing required field `(.*)`")


class Kwh(int):
    """Energy in µWh, written as a decimal string of kWh."""


class Grx(int):
    """Money in µGRX (or a price in µGRX for each kWh), written as a decimal string of GRX."""


class Kilowatt(int):
    """Power in W, written as a decimal string of kW."""


class Percent(int):
    """A share in millionths, written as a decimal string of percent."""


class PublicKey(bytes):
    """A raw Ed25519 public key, written as Base58."""


class PublicKeys(tuple[bytes, ...]):
    """Raw Ed25519 public keys, written as one Base58 text or a list of them."""


def load_toml(path: Path, kind: type[T]) -> T:
    """Return the config in `path`.

    Raises ConfigError with the file, the line and what was expected.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # editors of Windows begin a file with a mark
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: expected a TOML file in UTF-8"]) from None
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError([_explain_syntax(path, text, str(error))]) from None
    _check_format(path, document.pop("format", FORMAT))
    try:
        return msgspec.convert(document, kind, dec_hook=decode_hook)
    except msgspec.ValidationError as error:
        raise ConfigError([_explain(path, text, str(error), kind)]) from None


def _check_format(path: Path, written: object) -> None:
    """Raise ConfigError for a file of a format that this version cannot read."""
    if isinstance(written, int) and written > FORMAT:
        expected = f"expected {FORMAT} at most, got {written}: install the version it is for"
        raise ConfigError([finding(path, "format", expected)])
    if written is True or written != FORMAT:
        raise ConfigError([finding(path, "format", f"expected {FORMAT}, got {written!r}")])


def finding(path: Path, key: str, expected: str) -> str:
    """Return one line of a ConfigError for the value at `key`, such as
    `bus[0].meter[1].address`.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError):
        text = ""
    line = toml_lines.find_line(toml_lines.line_index(text), toml_lines.parse_path(key))
    return f"{path}:{line}: {key}: {expected}"


def encode_hook(value: Any) -> Any:
    """Return an amount as it is written when a config becomes JSON, which is the inverse of
    loading.
    """
    match value:
        case Kwh():
            return format_decimal(value, 9)
        case Grx():
            return format_decimal(value, 6)
        case Kilowatt():
            return format_decimal(value, 3)
        case Percent():
            return format_decimal(value, 4)
        case PublicKey():
            return public_key_text(bytes(value))
        case PublicKeys():
            return [public_key_text(key) for key in value]
    raise NotImplementedError(type(value))


def decode_hook(kind: type, value: Any) -> Any:
    """Return an amount or key from its text, for msgspec. Raises ValueError saying what was
    expected.

    Raises ValueError saying what was expected.
    """
    if kind is PublicKeys:
        return PublicKeys(bytes(decode_hook(PublicKey, key)) for key in _keys_in(value))
    if not isinstance(value, str):
        raise ValueError(f"expected {_SPELLING[kind]} in quotes, got {value!r}")
    if kind is PublicKey:
        return PublicKey(parse_public_key(value))
    try:
        return kind(_PARSE[kind](value))
    except ValueError as error:
        raise ValueError(f"{error} ({_SPELLING[kind]})") from None


def _keys_in(value: Any) -> list[Any]:
    keys = value if isinstance(value, list) else [value]
    if not keys:
        raise ValueError("expected at least one Base58 public key")
    return keys


_PARSE: dict[type, Callable[[str], int]] = {
    Kwh: parse_kwh,
    Grx: parse_grx,
    Kilowatt: lambda text: parse_decimal(text, 3),
    Percent: lambda text: parse_decimal(text, 4),
}
_SPELLING = {
    Kwh: "a number of kWh",
    Grx: "a number of GRX",
    Kilowatt: "a number of kW",
    Percent: "a percentage",
    PublicKey: "a Base58 public key",
}


def _explain_syntax(path: Path, text: str, message: str) -> str:
    matched = _SYNTAX.fullmatch(message)
    what, line = (matched[1], matched[2]) if matched else (message, None)
    return f"{path}:{line or len(text.splitlines()) or 1}: expected TOML: {what}"


def _explain(path: Path, text: str, message: str, kind: Any) -> str:
    matched = _AT.fullmatch(message)
    what, key = (matched[1], matched[2] or "") if matched else (message, "")
    if unknown := _UNKNOWN.fullmatch(what):
        known = keys_at(kind, toml_lines.parse_path(key))
        key = f"{key}.{unknown[1]}" if key else unknown[1]
        # Of a section that has several kinds, another kind may know it.
        others = [name for name in known.split(", ") if name != unknown[1]]
        what = f"unknown key; expected one of {', '.join(others)}"
    elif missing := _MISSING.fullmatch(what):
        key = f"{key}.{missing[1]}" if key else missing[1]
        what = "missing; this key is required"
    key_path = toml_lines.parse_path(key)
    if (allowed := values_at(kind, key_path)) and "xpected" not in what:
        what = f"{what}; expected one of {allowed}"
    line = toml_lines.find_line(toml_lines.line_index(text), key_path)
    return f"{path}:{line}: {' '.join(key.split()) or 'file'}: {what[:1].lower()}{what[1:]}"
