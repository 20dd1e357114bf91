"""Everything that this library raises about a peer. Each text is one line for a person.

DlmsError
├── MalformedError        bytes that the standard does not allow
│   └── TruncatedError    they end too early; more may complete them
├── UnsupportedError      allowed by the standard, but not spoken here (short names, suite 1)
├── SequenceError         a message that has no place at this point of the conversation
├── SecurityError         a wrong tag, an old invocation counter, or protection that is missing
├── RefusedError          the peer said no
│   ├── AssociationRefusedError
│   ├── AccessRefusedError      with a data access result
│   └── ServiceRefusedError     an exception response or a confirmed service error
└── LinkError             the link is gone: no reply in time, DM, a closed connection

What a caller did wrong (an attribute number of 300, a key of 15 bytes) is a ValueError.
"""

from __future__ import annotations


class DlmsError(Exception):
    """The base of everything that a peer or a line can do to us."""


class MalformedError(DlmsError):
    """Bytes that the standard does not allow."""


class TruncatedError(MalformedError):
    """The bytes end before what they announce."""


class UnsupportedError(DlmsError):
    """Allowed by the standard, but not spoken here."""


class SequenceError(DlmsError):
    """A message that has no place at this point of the conversation."""


class SecurityError(DlmsError):
    """Protection that is wrong, replayed or missing."""


class RefusedError(DlmsError):
    """The peer understood and said no."""


class AssociationRefusedError(RefusedError):
    """The association was not established; the text says why."""


class AccessRefusedError(RefusedError):
    """An attribute or method was not accessed. `result` is the data access result's code."""

    def __init__(self, text: str, result: int) -> None:
        super().__init__(text)
        self.result = result


class ServiceRefusedError(RefusedError):
    """The whole request was refused (exception-response, confirmed-service-error)."""


class LinkError(DlmsError):
    """The link is gone: silence, a DM frame, a closed connection."""
