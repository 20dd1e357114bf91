"""The demo's programs as parts: how each is started, and how one sees that it serves."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from pathlib import Path

from gridtokenx_sim.demo import town
from gridtokenx_sim.demo.api import Api, ApiSilent
from gridtokenx_sim.demo.files.config_files import Device, Ports
from gridtokenx_sim.demo.files.folder import Folder
from gridtokenx_sim.demo.processes.child import Child, Part
from gridtokenx_sim.demo.processes.commands import python

_ASK_EVERY_S = 0.1


def free_ports() -> Ports:
    """Return ports of this machine that nothing listens on now."""
    with ExitStack() as held:
        names = Ports.__struct_fields__
        servers = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        ports = (server.getsockname()[1] for server in servers)
        return Ports(**dict(zip(names, ports, strict=True)))


def config_file(folder: Folder, name: str) -> Path:
    return folder.config / f"{name}.toml"


def meters_part(folder: Folder) -> Part:
    config, status = str(config_file(folder, "sim")), str(folder.meters)
    command = python("gridtokenx_sim", "run", config, "--status", status, "--exit-with-parent")
    return Part(name="meters", command=command, log=folder.log("meters"), ready=_announces)


def backend_part(folder: Folder) -> Part:
    config = str(config_file(folder, "backend"))
    command = python("gridtokenx_backend", "run", "--config", config)
    return Part(name="backend", command=command, log=folder.log("backend"), ready=_announces)


def gateway_part(folder: Folder, gateway: town.Gateway, device: Device, api: Api) -> Part:
    """Return a gateway as a part.

    It is ready when a frame that it has sent since is in the journal.
    """
    config = str(config_file(folder, gateway.name))
    command = python("gridtokenx_edge", "run", "--config", config)

    async def delivers(_: Child) -> None:
        before = await _frames(api, device)
        while await _frames(api, device) == before:  # noqa: ASYNC110 (no event crosses processes)
            await asyncio.sleep(_ASK_EVERY_S)

    name = f"gateway-{gateway.name}"
    return Part(name=name, command=command, log=folder.log(name), ready=delivers)


async def _announces(child: Child) -> None:
    """Wait for the first line on stdout, which is the sign; without one the child has ended."""
    if not await child.first_line():
        await child.ended()


async def _frames(api: Api, device: Device) -> int:
    while True:
        try:
            return await api.frames_of(device.device)
        except ApiSilent:
            await asyncio.sleep(_ASK_EVERY_S)
