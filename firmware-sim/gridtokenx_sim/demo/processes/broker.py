"""The MQTT broker: Mosquitto where it is installed, otherwise amqtt in a process of our own."""

from __future__ import annotations

import asyncio
import os
import shutil
from enum import StrEnum

import msgspec

from gridtokenx_sim.demo.files.folder import Folder
from gridtokenx_sim.demo.processes.child import Child, Part
from gridtokenx_sim.demo.processes.commands import python

_SBIN = "/usr/sbin"  # where Debian keeps Mosquitto, and a user's PATH often does not look
_TRY_EVERY_S = 0.02


class BrokerChoice(StrEnum):
    """The broker that the command line asks for."""

    AUTO = "auto"
    MOSQUITTO = "mosquitto"
    AMQTT = "amqtt"


class NoBroker(Exception):
    """The broker that was asked for and is not there. One line says how to get it."""


class Broker(msgspec.Struct, frozen=True):
    """The broker to start: `program` is Mosquitto's path, or empty for amqtt."""

    program: str

    @property
    def name(self) -> str:
        return f"Mosquitto ({self.program})" if self.program else "amqtt (embedded)"


def choose_broker(choice: BrokerChoice) -> Broker:
    """Return the broker to use. Raises NoBroker."""
    if choice is BrokerChoice.AMQTT:
        return Broker("")
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), _SBIN])
    program = shutil.which("mosquitto", path=path)
    if program is None and choice is BrokerChoice.MOSQUITTO:
        raise NoBroker(
            "mosquitto: expected it to be installed; run: sudo apt-get install mosquitto"
        )
    return Broker(os.path.realpath(program) if program else "")


def broker_part(broker: Broker, folder: Folder, port: int) -> Part:
    """Return the broker as a part, on `port` of this machine only."""
    config = folder.config / "mosquitto.conf"
    if not broker.program:
        config.unlink(missing_ok=True)
        command = python("gridtokenx_sim", "broker", "--port", str(port))
    else:
        config.write_text(_mosquitto_conf(port))
        command = [broker.program, "-c", str(config)]

    async def listens(_: Child) -> None:
        await _until_open(port)

    return Part(name="broker", command=command, log=folder.log("broker"), ready=listens)


def _mosquitto_conf(port: int) -> str:
    """Return a config without limits that drop messages: a PUBACK is no receipt, and gateways wait
    for theirs.
    """
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "persistence false",
        "max_inflight_messages 0",
        "max_queued_messages 100000",
        "set_tcp_nodelay true",
    ]
    if os.geteuid() == 0:
        # Mosquitto would change its user, and the kernel would then not end it with the demo.
        lines.append("user root")
    return "\n".join(lines) + "\n"


async def _until_open(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(_TRY_EVERY_S)
            continue
        writer.close()
        return
