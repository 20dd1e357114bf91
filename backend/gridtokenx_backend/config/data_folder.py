"""The server's data folder: the journal, keys, the operator's token, and a lock."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gridtokenx_backend.config.risks import open_data
from gridtokenx_backend.config.settings import Settings
from gridtokenx_backend.errors import CannotStart
from gridtokenx_wire.errors import KeyFileError
from gridtokenx_wire.keys import create_private_key, read_token, write_secret

HOW_TO_GO_ON = (
    "put a backup back: gridtokenx-backend restore; or go on without it: "
    'gridtokenx-backend accept-loss --reason "..."'
)


def make_data_folder(settings: Settings) -> None:
    """Make the data folder if it is missing. Raises CannotStart."""
    try:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise CannotStart(f"{settings.data}: cannot be made: {error.strerror}") from None


def prepare_data_folder(settings: Settings) -> None:
    """Make the data folder, the ack key and the tokens, where they are missing.

    The keys of a community that is there already are not made anew in silence: gateways would
    not know them. Raises CannotStart.
    """
    make_data_folder(settings)
    if lines := open_data(settings):
        raise CannotStart("\n".join(lines))
    if traces_of_a_community(settings) and (lost := lost_secrets(settings)):
        raise CannotStart(f"{settings.data}: {'; '.join(lost)}; {HOW_TO_GO_ON}")
    make_secrets(settings)


def make_secrets(settings: Settings) -> None:
    """Make the ack key and the tokens, where they are missing. Raises KeyFileError."""
    with suppress(FileExistsError):
        create_private_key(settings.ack_key)
    for token in settings.tokens:
        with suppress(FileExistsError):
            write_secret(token, secrets.token_urlsafe(32).encode())


def traces_of_a_community(settings: Settings) -> list[str]:
    """Return the names of the files that only a community which has begun leaves."""
    files = (settings.journal, settings.journal_head, settings.series, settings.documents)
    return [path.name for path in files if path.exists() and path.stat().st_size > 0]


def lost_secrets(settings: Settings) -> list[str]:
    """Return what is lost of the files that every community has, as parts of a sentence."""
    lost = []
    if not settings.ack_key.exists():
        lost.append(f"{settings.ack_key.name} is lost, which gateways know the backend by")
    if not settings.operator_token.exists():
        lost.append(f"{settings.operator_token.name} is lost")
    return lost


def unusable_tokens(settings: Settings) -> list[str]:
    """Return a line for each token's file that a start would refuse. It would make missing ones."""
    lines = []
    for path in settings.tokens:
        with suppress(PermissionError):  # whoever checks the config need not be who runs it
            if path.exists():
                try:
                    read_token(path)
                except KeyFileError as error:
                    lines.append(str(error))
    return lines


@contextmanager
def lock_data_folder(data: Path) -> Iterator[None]:
    """Hold the lock of a data folder, so that no second backend runs on it. Raises CannotStart."""
    try:
        file = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotStart(f"{data}: cannot be written: {error.strerror}") from None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(f"{data}: another backend is running on this data") from None
        yield
    finally:
        os.close(file)
