"""The keys and wallets of the demo, made by the project's own commands and kept for the
next start.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from gridtokenx_sim.demo import town
from gridtokenx_sim.demo.files.config_files import Device, Identities
from gridtokenx_sim.demo.files.folder import Folder
from gridtokenx_sim.demo.processes.commands import Commands
from gridtokenx_sim.demo.processes.joint_tasks import together


def known_identities(folder: Folder) -> Identities | None:
    """Return those of an earlier start, if it got that far and everybody lived here then."""
    try:
        who = msgspec.json.decode(folder.identities.read_bytes(), type=Identities)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return who if {member.name for member in town.MEMBERS} <= who.wallets.keys() else None


async def backend_key(commands: Commands, config: Path) -> str:
    """Return the key that gateways pin. Raises CommandFailed."""
    answer = await commands.answer("gridtokenx_backend", "key", "--config", str(config))
    return str(answer["ack_key"])


async def device_key(commands: Commands, config: Path) -> Device:
    """Return a gateway's id and public key. Raises CommandFailed."""
    answer = await commands.answer("gridtokenx_edge", "key", "--config", str(config))
    return Device(device=str(answer["device"]), public_key=str(answer["public_key"]))


async def wallet_addresses(commands: Commands, folder: Folder) -> dict[str, str]:
    """Return every member's wallet address; keys that are missing are made.

    Raises CommandFailed.
    """
    names = [member.name for member in town.MEMBERS]
    work = (_wallet_address(commands, folder, member) for member in town.MEMBERS)
    return dict(zip(names, await together(*work), strict=True))


def wallet_file(folder: Folder, member: town.Member) -> Path:
    return folder.keys / f"{member.file_name}.wallet.key"


async def _wallet_address(commands: Commands, folder: Folder, member: town.Member) -> str:
    file = wallet_file(folder, member)
    verb = "address" if file.exists() else "new"
    answer = await commands.answer("gridtokenx_client", "wallet", verb, "--key", str(file))
    return str(answer["wallet"])


async def set_standing_order(
    commands: Commands, folder: Folder, member: town.Member, api: str
) -> None:
    """Sign and send the member's standing order. Raises CommandFailed."""
    file = str(wallet_file(folder, member))
    order = [member.side, "--price", member.price_grx_per_kwh, "--segment", member.segment]
    options = ["--key", file, "--api", api]
    await commands.answer("gridtokenx_client", "wallet", "standing", *order, *options)
