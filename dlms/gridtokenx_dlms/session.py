"""The protection of an association's messages, the same at both ends."""

from __future__ import annotations

import msgspec

from gridtokenx_dlms import security
from gridtokenx_dlms.errors import MalformedError, SecurityError
from gridtokenx_dlms.security import Keys, Protection, ReplayGuard
from gridtokenx_dlms.xdlms.ciphered_message import (
    DEDICATED_TAGS,
    GENERAL_DED_TAG,
    GENERAL_GLO_TAG,
    GLOBAL_TAGS,
    Ciphered,
    ciphered_tag,
    is_ciphered,
    parse_ciphered,
)
from gridtokenx_dlms.xdlms.refusal import EXCEPTION_RESPONSE_TAG


class Ciphering(msgspec.Struct, kw_only=True):
    """The keys and counters of one end. `counter` is the next that this end uses.

    Who makes it keeps `counter` and the guard's newest over restarts: a counter that is used
    twice under one key gives the key away.
    """

    keys: Keys
    title: bytes
    protection: Protection
    counter: int
    peer_title: bytes = b""
    guard: ReplayGuard = msgspec.field(default_factory=ReplayGuard)
    is_general: bool = False
    """Sends general-glo-ciphering or general-ded-ciphering instead of each service's own form."""
    dedicated_key: bytes = b""
    """Once set, this association's messages are under it instead of the global key."""
    dedicated_guard: ReplayGuard = msgspec.field(default_factory=ReplayGuard)
    """The peer's counters under the dedicated key, which some meters begin anew with each one."""

    def take_counter(self) -> int:
        """Return the next invocation counter; used up by asking.

        Raises SecurityError at the end.
        """
        if self.counter > security.MAX_COUNTER:
            raise SecurityError("the invocation counter is used up; the keys must be exchanged")
        self.counter += 1
        return self.counter - 1

    def cipher(self, plain: bytes, *, is_global: bool = False) -> bytes:
        """Return a message in its ciphered form; `is_global` also where there is a
        dedicated key.
        """
        keys, dedicated = self._keys(is_dedicated=bool(self.dedicated_key) and not is_global)
        content = security.protect(plain, keys, self.title, self.take_counter(), self.protection)
        if self.is_general and not is_global:
            tag = GENERAL_DED_TAG if dedicated else GENERAL_GLO_TAG
            return Ciphered(tag=tag, protected=content, title=self.title).to_bytes()
        return Ciphered(
            tag=ciphered_tag(plain[0], dedicated=dedicated), protected=content
        ).to_bytes()

    def decipher(self, message: bytes) -> bytes:
        """Return the plain message. Raises SecurityError, MalformedError, UnsupportedError.

        What is protected less than agreed, or replayed, or under another service's tag, is refused.
        """
        if not is_ciphered(message):
            raise SecurityError("expected a ciphered message, got one in the open")
        ciphered = parse_ciphered(message)
        title = ciphered.title or self.peer_title
        if self.peer_title and title != self.peer_title:
            raise SecurityError("expected the system title of this association's peer")
        if len(title) != security.SYSTEM_TITLE_BYTES:
            raise SecurityError("expected to know the peer's system title of 8 bytes")
        keys, _ = self._keys(is_dedicated=ciphered.is_dedicated)
        opened = security.unprotect(ciphered.protected, keys, title)
        if opened.protection.value & self.protection.value != self.protection.value:
            raise SecurityError(f"expected a message {self.protection.name.lower()}")
        guard = self.dedicated_guard if ciphered.is_dedicated else self.guard
        guard.check(opened.counter)
        if not opened.plaintext:
            raise MalformedError("expected a message inside the ciphered one")
        service = GLOBAL_TAGS.get(ciphered.tag) or DEDICATED_TAGS.get(ciphered.tag)
        if service is not None and opened.plaintext[0] != service:
            raise MalformedError("expected the service that the ciphered message's tag names")
        return opened.plaintext

    def _keys(self, *, is_dedicated: bool) -> tuple[Keys, bool]:
        if not is_dedicated:
            return self.keys, False
        if not self.dedicated_key:
            raise SecurityError("expected a message under the global key")
        return Keys(encryption=self.dedicated_key, authentication=self.keys.authentication), True


def is_refusal_in_the_open(message: bytes) -> bool:
    """Return whether a message is an exception response, which comes unprotected when protection is
    what failed.
    """
    return message[:1] == bytes((EXCEPTION_RESPONSE_TAG,))
