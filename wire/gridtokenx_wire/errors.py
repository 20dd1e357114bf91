"""What this package raises.

WireError            bytes from a peer that are not what the contract says
KeyFileError         a key file that is missing, readable by others, or no Ed25519 key
ConfigError          a config file that is not what its program expects
"""

from __future__ import annotations


class WireError(ValueError):
    """A message from a peer that breaks the contract.

    Its text names the rule, never the content.
    """


class KeyFileError(Exception):
    """A key file that cannot be used. Its text is one line for a person."""


class ConfigError(Exception):
    """A config file that cannot be used.

    `lines` holds one line for each finding: `file:line: key.path: expected ...`.
    """

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
