"""Ciphered messages: which tag stands for which service (Green Book 9.5), and the general form.

glo-*, ded-*      tag | length | security header, content, tag
general-glo, -ded  DB, DC | system title | length | the same
"""

from __future__ import annotations

import msgspec

from gridtokenx_dlms.axdr import Reader
from gridtokenx_dlms.data import encode_length
from gridtokenx_dlms.errors import MalformedError

GENERAL_GLO_TAG, GENERAL_DED_TAG = 0xDB, 0xDC
_GENERAL = (GENERAL_GLO_TAG, GENERAL_DED_TAG)
# service → the tags of its globally ciphered and its dedicatedly ciphered form
_CIPHERED = {
    0x01: (0x21, 0x21),  # InitiateRequest has no dedicated form: it brings the dedicated key
    0x08: (0x28, 0x28),
    0x0E: (0x2E, 0x4E),
    0xC0: (0xC8, 0xD0),
    0xC1: (0xC9, 0xD1),
    0xC2: (0xCA, 0xD2),
    0xC3: (0xCB, 0xD3),
    0xC4: (0xCC, 0xD4),
    0xC5: (0xCD, 0xD5),
    0xC7: (0xCF, 0xD7),
}
GLOBAL_TAGS = {glo: plain for plain, (glo, _) in _CIPHERED.items()}
DEDICATED_TAGS = {ded: plain for plain, (_, ded) in _CIPHERED.items() if ded >= 0x40}


class Ciphered(msgspec.Struct, frozen=True, kw_only=True):
    """A ciphered message.

    `tag` is the ciphered one; `title` is the sender's where the general form tells it.
    """

    tag: int
    protected: bytes
    title: bytes = b""

    @property
    def is_dedicated(self) -> bool:
        return self.tag in DEDICATED_TAGS or self.tag == GENERAL_DED_TAG

    def to_bytes(self) -> bytes:
        content = encode_length(len(self.protected)) + self.protected
        if self.tag in _GENERAL:
            content = encode_length(len(self.title)) + self.title + content
        return bytes((self.tag,)) + content


def ciphered_tag(plain_tag: int, *, dedicated: bool) -> int:
    """Return the tag of a service's ciphered form. Raises ValueError for one that has none."""
    if plain_tag not in _CIPHERED:
        raise ValueError(f"expected a service that can be ciphered, got 0x{plain_tag:02X}")
    return _CIPHERED[plain_tag][dedicated]


def is_ciphered(message: bytes) -> bool:
    """Return whether a message's tag is one of a ciphered form."""
    tag = message[:1]
    return bool(tag) and (tag[0] in GLOBAL_TAGS or tag[0] in DEDICATED_TAGS or tag[0] in _GENERAL)


def parse_ciphered(message: bytes) -> Ciphered:
    """Return the ciphered message and what protects it. Raises MalformedError."""
    reader = Reader(message)
    tag = reader.byte()
    if tag not in GLOBAL_TAGS and tag not in DEDICATED_TAGS and tag not in _GENERAL:
        raise MalformedError(f"expected the tag of a ciphered message, got 0x{tag:02X}")
    title = reader.octets() if tag in _GENERAL else b""
    ciphered = Ciphered(tag=tag, protected=reader.octets(), title=title)
    reader.end()
    return ciphered
