"""What systemd is told about the agent: sd_notify(3), one datagram for each message."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """Sends messages to the service manager that started this process, if one did.

    `address` is $NOTIFY_SOCKET: a path, or an abstract name that begins with @. A message that
    cannot be delivered is dropped; if it was important, the watchdog notices.
    """

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket: socket.socket | None = None
        self.watchdog_s = watchdog_s
        """Without a WATCHDOG=1 for so long, systemd restarts the service. None: it does not."""

    @classmethod
    def of_process(cls, environ: Mapping[str, str]) -> Notifier:
        """Return the notifier for NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, as in
        systemd.service(5).
        """
        ours = environ.get("WATCHDOG_PID") in (None, str(os.getpid()))
        watchdog_us = environ.get("WATCHDOG_USEC", "")
        is_watched = ours and watchdog_us.isdecimal() and int(watchdog_us) > 0
        watchdog_s = int(watchdog_us) / 1e6 if is_watched else None
        return cls(environ.get("NOTIFY_SOCKET", ""), watchdog_s)

    def ready(self) -> None:
        """Say that the agent has started, or that it is done with a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Say that a reload begins; `ready` ends it. systemd 253 and later expects the time with
        it.
        """
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the agent is stopping."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Keep the watchdog from restarting the service for another `watchdog_s`."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Give the line that `systemctl status` shows."""
        self._send(f"STATUS={' '.join(text.split())}")

    def close(self) -> None:
        if self._socket:
            self._socket.close()

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with suppress(OSError):
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            self._socket.sendto(message.encode(), self._address)
