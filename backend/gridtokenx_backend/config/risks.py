"""What config files allow that is unsafe: no mistake, but the operator should know of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gridtokenx_backend.config.settings import Settings
from gridtokenx_wire.config import finding
from gridtokenx_wire.exposure import is_open_to_all, is_this_machine, open_file_text


def risks(settings: Settings, path: Path) -> list[str]:
    """Return a line for each, as for a mistake. Looks at the modes of files, and at no network."""
    found = [*_network(settings), *_files(settings, path)]
    return [finding(path, key, text) for key, text in found]


def open_data(settings: Settings) -> list[str]:
    """Return a line for each file of the data folder that everybody may change.

    Whoever can change the journal or a key can change balances, so nothing starts on such data.
    """
    files = [settings.data, settings.journal, settings.ack_key, *settings.tokens]
    return [
        f"{file}: everybody on this machine may change it; chmod o-w {file}"
        for file in files
        if is_open_to_all(file)
    ]


def _network(settings: Settings) -> Iterator[tuple[str, str]]:
    broker, api = settings.backend.broker, settings.backend.api
    if broker.insecure and not is_this_machine(broker.host):
        yield (
            "broker.insecure",
            f"unsafe: frames come from {broker.host} in plain text, and nothing proves that it is"
            " the broker; use TLS",
        )
    if not api.cert and not is_this_machine(api.host):
        yield (
            "api.host",
            f"unsafe: {api.host} is reached from other machines by plain HTTP, with the operator's"
            " token in it; set cert and key, or 127.0.0.1 and a proxy before it",
        )


def _files(settings: Settings, path: Path) -> Iterator[tuple[str, str]]:
    for key, file in (
        ("backend", path.resolve()),
        ("backend.community", settings.community),
        ("backend.data", settings.data.parent),
    ):
        if is_open_to_all(file):
            yield key, open_file_text(file)
