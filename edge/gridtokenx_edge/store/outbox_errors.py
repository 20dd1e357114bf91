"""What can go wrong with an outbox. The text of each error is one line for a person."""

from __future__ import annotations


class OutboxRefusedError(Exception):
    """The file is not an outbox of this device, or it is damaged or in use. Waiting cannot help."""


class OutboxUnavailableError(Exception):
    """The disk does not take or give data: it is full, read-only or gone. Waiting may help."""


class OutboxUnreadableError(Exception):
    """There is no outbox that can be read."""
