"""The demo's community at work: its files are written, its programs started in order, its orders
set.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from gridtokenx_sim.demo import identities, town
from gridtokenx_sim.demo.api import Api
from gridtokenx_sim.demo.clock_file import anchor, beat
from gridtokenx_sim.demo.files import config_files
from gridtokenx_sim.demo.files.config_files import Identities
from gridtokenx_sim.demo.files.folder import Folder, write_json
from gridtokenx_sim.demo.files.meter_secrets import meter_secrets
from gridtokenx_sim.demo.files.statement import Statement
from gridtokenx_sim.demo.periods import periods_for
from gridtokenx_sim.demo.processes.broker import Broker, broker_part
from gridtokenx_sim.demo.processes.commands import Commands
from gridtokenx_sim.demo.processes.joint_tasks import together
from gridtokenx_sim.demo.processes.parts import (
    backend_part,
    config_file,
    free_ports,
    gateway_part,
    meters_part,
)
from gridtokenx_sim.demo.processes.supervisor import Supervisor
from gridtokenx_sim.demo.screen.observer import Observer
from gridtokenx_wire.clock import ClockConfig, make_clock
from gridtokenx_wire.units import parse_grx

_HEARTBEAT_S = 1.0


class DemoCommunity:
    """The demo's community.

    `start` it, and `stop` it whatever happened. `tell` is called with what a person should know.
    """

    def __init__(
        self, folder: Folder, broker: Broker, speed: float, tell: Callable[[str], None]
    ) -> None:
        self.folder = folder
        self.broker = broker
        self.supervisor = Supervisor(folder.pids, tell)
        self._speed = speed
        self._tell = tell
        self._periods = periods_for(speed)
        self._ports = free_ports()
        self._commands = Commands()
        self._api = Api(self._ports.api_url, folder)
        self._clock = ClockConfig()
        self._heart: asyncio.Task[None] | None = None

    async def start(self) -> Observer:
        """Start everything, one part after the other.

        Raises ChildFailed, CommandFailed, OSError.
        """
        who = await self._identities()
        self._tell(f"starting {self.broker.name}, meters, backend and gateways")
        self._clock = anchor(self.folder, self._speed)
        self._heart = asyncio.create_task(self._beat())
        self._write_configs(who)
        supervisor, folder = self.supervisor, self.folder
        await supervisor.start(broker_part(self.broker, folder, self._ports.broker))
        await supervisor.start(meters_part(folder))
        await supervisor.start(backend_part(folder))
        gateways = [
            gateway_part(folder, gateway, who.gateways[gateway.name], self._api)
            for gateway in town.GATEWAYS
        ]
        orders = [
            self._standing_order(member, who.wallets[member.name])
            for member in sorted(town.MEMBERS, key=lambda member: member.segment)
        ]
        await together(supervisor.start(*gateways), *orders)
        return Observer(
            self._api, folder.meters, who, make_clock(self._clock), self._speed, self.broker.name
        )

    async def settle(self, observer: Observer) -> Statement:
        """Stop the gateways, and keep what the backend says then. Raises ApiSilent."""
        await self.supervisor.stop("gateway-north")
        statement = await observer.statement()
        write_json(self.folder.statement, statement)
        return statement

    async def stop(self) -> None:
        """Stop every process, and writes down the time."""
        await self.supervisor.stop()
        if self._heart is not None:
            self._heart.cancel()
            await asyncio.gather(self._heart, return_exceptions=True)
            with suppress(OSError):
                beat(self.folder, self._clock, last=True)
        await self._api.close()

    async def _identities(self) -> Identities:
        """Return the identities of the first start, which makes them."""
        if known := identities.known_identities(self.folder):
            return known
        self._tell("making keys and wallets (once)")
        folder, commands = self.folder, self._commands
        backend = config_file(folder, "backend")
        backend.write_text(config_files.backend_toml(folder, self._ports, self._clock))
        wallets = await identities.wallet_addresses(commands, folder)
        ack_key = await identities.backend_key(commands, backend)
        self._write_gateways(ack_key)
        names = [gateway.name for gateway in town.GATEWAYS]
        devices = await together(
            *(identities.device_key(commands, config_file(folder, name)) for name in names)
        )
        who = Identities(
            ack_key=ack_key, gateways=dict(zip(names, devices, strict=True)), wallets=wallets
        )
        write_json(folder.identities, who)
        return who

    def _write_configs(self, who: Identities) -> None:
        folder, ports, clock = self.folder, self._ports, self._clock
        community = config_files.community_toml(who, self._periods)
        config_file(folder, "community").write_text(community)
        meters = config_files.sim_toml(folder, ports, clock, meter_secrets(folder))
        config_file(folder, "sim").write_text(meters)
        config_file(folder, "backend").write_text(config_files.backend_toml(folder, ports, clock))
        self._write_gateways(who.ack_key)

    def _write_gateways(self, ack_key: str) -> None:
        for gateway in town.GATEWAYS:
            text = config_files.edge_toml(
                gateway, self.folder, self._ports, self._clock, self._periods, ack_key
            )
            config_file(self.folder, gateway.name).write_text(text)

    async def _standing_order(self, member: town.Member, wallet: str) -> None:
        """Set a member's standing order, unless the journal has it from an earlier start."""
        standing = await self._api.standing_price(wallet, member.side)
        if standing != parse_grx(member.price_grx_per_kwh):
            url = self._ports.api_url
            await identities.set_standing_order(self._commands, self.folder, member, url)

    async def _beat(self) -> None:
        """Write down the clock once a second. A full disk must not stop the community."""
        complained = False
        while True:
            try:
                beat(self.folder, self._clock)
                complained = False
            except OSError as error:
                if not complained:
                    self._tell(f"{self.folder.clock}: cannot be written: {error.strerror}")
                complained = True
            await asyncio.sleep(_HEARTBEAT_S)
