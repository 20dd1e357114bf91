"""Who may do what at the broker: its access list (ACL) and its revocation list are kept up to date.

Mosquitto looks into the ACL at every publication and every delivery, and reads it again on SIGHUP:
from then on, a revoked gateway that is connected can neither send nor receive. The revocation list
keeps it from connecting again.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from gridtokenx_backend.config.settings import Settings
from gridtokenx_backend.engine.writer import Overloaded, Writer
from gridtokenx_backend.enrolment.authority import Authority
from gridtokenx_backend.enrolment.preparation import BACKEND_NAME
from gridtokenx_wire.atomic_file import PUBLIC, replace_file
from gridtokenx_wire.keys import device_text
from gridtokenx_wire.topics import acks_topic, feed_topic, frames_topic, status_topic

ACL, CRL = "gateways.acl", "revoked.crl"
_RETRY_S = 1.0
_LOOK_S = 20.0
_LONGEST_RETRY_S = 60.0
_RELOAD_TIMEOUT_S = 4.0
log = structlog.get_logger()


def acl_text(community: str, revoked: Sequence[str], readers: Sequence[str] = ()) -> str:
    """Return Mosquitto's ACL, where a client's name is the CN of its certificate.

    A gateway writes and reads on its own branch of topics only; a revoked one nowhere. A reader
    reads what is for integrators, and writes nowhere, not even on a branch of its own name.
    """
    lines = [
        "# Written by gridtokenx-backend, anew whenever a gateway is revoked. Do not edit.",
        f"user {BACKEND_NAME}",
        f"topic read {frames_topic(community, '+')}",
        f"topic read {status_topic(community, '+')}",
        f"topic write {acks_topic(community, '+')}",
        f"pattern write {frames_topic(community, '%u')}",
        f"pattern write {status_topic(community, '%u')}",
        f"pattern read {acks_topic(community, '%u')}",
    ]
    for reader in readers:
        lines += [
            f"user {reader}",
            f"topic deny {frames_topic(community, reader)}",
            f"topic deny {status_topic(community, reader)}",
            f"topic read {status_topic(community, '+')}",
            f"topic read {acks_topic(community, '+')}",
            f"topic read {feed_topic(community, '#')}",
        ]
    for device in sorted(revoked):
        lines += [f"user {device}", "topic deny #"]
    return "\n".join(lines) + "\n"


def write_access(
    folder: Path, authority: Authority, community: str, revoked: Sequence[str]
) -> bool:
    """Write both files if the ACL changes, and return whether it did. Raises OSError."""
    text = acl_text(community, revoked, authority.readers()).encode()
    known = (folder / ACL).read_bytes() if (folder / ACL).exists() else b""
    if known == text and (folder / CRL).exists():
        return False
    replace_file(folder / CRL, authority.revocation_list(list(revoked)), PUBLIC)
    replace_file(folder / ACL, text, PUBLIC)
    return True


class BrokerAccess:
    """Writes the broker's files whenever who may do what changes, and makes the broker read them.

    A device that is revoked is written at once, and a new or revoked reader within 20 seconds.
    """

    def __init__(self, settings: Settings, authority: Authority, writer: Writer) -> None:
        self._broker = settings.backend.broker
        self._folder = settings.path(self._broker.access)
        self._pid_file = settings.path(self._broker.pid_file) if self._broker.pid_file else None
        self._authority = authority
        self._writer = writer
        self._changed = asyncio.Event()
        self._changed.set()  # something may have changed while the backend was away
        # Whether the files may be newer than what the broker has read. They may be at the start: an
        # earlier backend may have ended between writing them and telling the broker.
        self._is_behind = True

    def changed(self) -> None:
        """Note that a device was revoked; `run` writes the files soon."""
        self._changed.set()

    async def run(self) -> None:
        """Work until cancelled; what fails is tried again at growing intervals."""
        retry_s = _RETRY_S
        while True:
            with suppress(TimeoutError):  # `reader create` and `revoke` change files only
                await asyncio.wait_for(self._changed.wait(), _LOOK_S)
            self._changed.clear()
            try:
                await self._publish()
                retry_s = _RETRY_S
            except (OSError, ValueError, Overloaded) as error:
                reason = getattr(error, "strerror", None) or str(error)
                log.error("the broker was not told who is revoked; trying again", error=reason)
                with suppress(TimeoutError):  # a device that is revoked meanwhile does not wait
                    await asyncio.wait_for(self._changed.wait(), retry_s)
                retry_s = min(2 * retry_s, _LONGEST_RETRY_S)
                self._changed.set()

    async def _publish(self) -> None:
        async with self._writer.durable_state() as community:
            name = community.name
            revoked = [
                device_text(device.id)
                for device in community.devices.values()
                if device.status == "revoked"
            ]
        wrote = await asyncio.to_thread(write_access, self._folder, self._authority, name, revoked)
        self._is_behind |= wrote
        if self._is_behind:
            await self._reload()
            self._is_behind = False
            log.info("the broker was told who is revoked", revoked=len(revoked))

    async def _reload(self) -> None:
        """Make the broker read its files again. Raises OSError."""
        if self._broker.reload_command:
            await _run(self._broker.reload_command)
        elif self._pid_file is not None:
            os.kill(_pid_in(self._pid_file), signal.SIGHUP)
        else:
            log.warning("the broker must be told to reload: no pid_file and no reload_command")


def _pid_in(file: Path) -> int:
    text = file.read_text().strip()
    if not text.isdecimal():
        raise OSError(f"{file}: expected a process id")
    return int(text)


async def _run(command: Sequence[str]) -> None:
    null = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdin=null, stdout=null, stderr=null)
    try:
        async with asyncio.timeout(_RELOAD_TIMEOUT_S):
            status = await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise OSError(f"{command[0]}: no end within {_RELOAD_TIMEOUT_S:g} s") from None
    if status:
        raise OSError(f"{command[0]}: exit code {status}")
