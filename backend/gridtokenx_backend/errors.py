"""Errors that an operator can cause or mend. The text of each is one line that says what is wrong.

OperatorError
├── CannotStart           something outside the program is not as it must be
├── JournalUnavailable    the store refuses now (full, read-only, I/O error): try again
├── Fenced                another writer has taken the entry's number: this process must stop
└── ReplayMismatch        the journal and the core disagree; names the entry and what differs
"""

from __future__ import annotations


class OperatorError(Exception):
    """The base of the errors that the operator sees without a traceback."""


class OtherVersion(OperatorError):
    """A stored file is of a version that this program does not read."""


class CannotStart(OperatorError):
    """Something outside the program, such as a file or a port, is not as it must be."""


class JournalUnavailable(OperatorError):
    """The store refuses now (full, read-only, I/O error): nothing was stored; try again."""


class Fenced(OperatorError):
    """Another writer has taken the entry's number: this process must stop."""


class ReplayMismatch(OperatorError):
    """The journal and the core disagree. Its text names the entry and what differs."""
