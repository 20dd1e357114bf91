"""What a gateway says of itself on its retained status topic, and who else says it. Pure.

A broker ends the older of two connections with one name, and few brokers say so. But each program
has a session of its own in its status and in its last will. Where a gateway that was connected
finds another session there, another program has its key.
"""

from __future__ import annotations

import msgspec

from gridtokenx_edge.uplink.mqtt import Will


class _PublishedStatus(msgspec.Struct):
    """What is read of a status. Agents before 0.2.0 had no session in it."""

    session: str = ""


class Presence:
    """The status of one gateway while one uplink lives, whose session is `session`."""

    def __init__(self, topic: str, device: str, version: str, session: str) -> None:
        self._device = device
        self._version = version
        self._session = session
        self._was_ended = False
        self._has_asked = False
        self.topic = topic
        self.farewell = msgspec.json.encode({"state": "offline", "session": session})
        self.will = Will(topic, self.farewell)

    def birth(self, now_ms: int) -> bytes:
        return msgspec.json.encode(
            {
                "state": "online",
                "device": self._device,
                "version": self._version,
                "time_ms": now_ms,
                "session": self._session,
            }
        )

    def ended(self, *, was_connected: bool) -> None:
        """Note that a connection has ended without our doing.

        A broker that ends it because we ask for the status is never asked again.
        """
        if self._has_asked and not was_connected:
            self._was_ended = False
        elif was_connected:
            self._was_ended = True

    @property
    def is_asked(self) -> bool:
        """Whether to look at the status: only after a connection that was good has ended."""
        return self._was_ended

    def asked(self) -> None:
        self._has_asked = True

    def connected(self) -> None:
        """Note that our status is published: it is the one that is retained now."""
        self._has_asked = False

    def is_rival(self, status: bytes) -> bool:
        """Return whether another program than this one has written the status."""
        if not self._was_ended or not status:
            return False
        try:
            return msgspec.json.decode(status, type=_PublishedStatus).session != self._session
        except msgspec.DecodeError:
            return False
