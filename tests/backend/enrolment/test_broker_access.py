"""Mosquitto with the files of `init` and `broker-config`: who may connect, send and receive.

Messages of one client keep their order, so a message that was refused is never seen after the
next one has arrived.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from bench.rig.processes import free_port
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.backend.commands import Command
from tests.backend.newcomers import Gate
from tests.backend.parts import journal_at, until, writer_on
from tests.backend.village import NAME, Gateway, Village, toml_of
from tests.docs.test_broker_config import Client, broker, connected

from gridtokenx_backend.config.settings import Settings, load_settings
from gridtokenx_backend.core.messages.inputs import DeviceCommand, device_input
from gridtokenx_backend.enrolment.authority import create_tls_key, open_authority
from gridtokenx_backend.enrolment.broker_access import BrokerAccess, acl_text, write_access
from gridtokenx_backend.enrolment.broker_files import write_broker_files
from gridtokenx_backend.enrolment.preparation import initialise
from gridtokenx_backend.errors import CannotStart
from gridtokenx_wire.topics import acks_topic, frames_topic, status_topic

EAST, WEST = Gateway("east"), Gateway("west")
BACKEND = '[broker]\ninsecure = true\naccess = "broker"\npid_file = "broker/mosquitto.pid"\n'


class Server:
    """A server's folder, and a folder of certificates for those who connect."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "backend.toml").write_text(BACKEND)
        self.settings: Settings = load_settings(folder / "backend.toml")
        initialise(self.settings, NAME, [])
        authority = open_authority(self.settings.ca)
        assert authority is not None
        self.authority = authority
        self.port = free_port()
        self.out = folder / "broker"
        write_broker_files(self.settings, NAME, self.out, self.port, "127.0.0.1")
        text = (self.out / "mosquitto.conf").read_text()
        self.conf = f"{text}pid_file {self.out}/mosquitto.pid\n"
        self.certificates = folder / "certificates"
        self.certificates.mkdir()
        (self.certificates / "ca.pem").write_text(authority.pem)
        for suffix in (".pem", ".key"):
            content = (self.settings.tls / f"backend{suffix}").read_bytes()
            (self.certificates / f"backend{suffix}").write_bytes(content)

    def certify(self, gateway: Gateway) -> None:
        key = create_tls_key(self.certificates / f"{gateway.name}.key")
        pem = self.authority.certify_device(gateway.name, key.public_key(), 365)
        (self.certificates / f"{gateway.name}.pem").write_text(pem)


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    server = Server(tmp_path_factory.mktemp("server") / "lane")
    for gateway in (EAST, WEST):
        server.certify(gateway)
    return server


def test_a_gateway_has_its_own_branch_of_its_own_community_and_no_other(server: Server) -> None:
    with (
        broker(server.out, server.conf, server.port),
        connected(server.port, server.certificates, "backend") as backend,
        connected(server.port, server.certificates, EAST.name) as gateway,
    ):
        backend.subscribe(frames_topic(NAME, "+"), status_topic(NAME, "+"))
        gateway.subscribe(acks_topic(NAME, "+"), frames_topic(NAME, "+"))
        for town, device in (("other", EAST), (NAME, WEST), (NAME, EAST)):
            gateway.publish(frames_topic(town, device.name), "frame")
            gateway.publish(acks_topic(town, device.name), "forged")
            gateway.publish(status_topic(town, device.name), "online")
            backend.publish(acks_topic(town, device.name), "ack")
        assert backend.next() == (frames_topic(NAME, EAST.name), b"frame")
        assert backend.next() == (status_topic(NAME, EAST.name), b"online")
        assert gateway.next() == (acks_topic(NAME, EAST.name), b"ack")
        assert backend.received.empty()
        assert gateway.received.empty()


def test_a_gateway_cannot_take_the_session_of_the_backend_or_of_another(server: Server) -> None:
    session = f"gridtokenx-backend-{NAME}"
    with (
        broker(server.out, server.conf, server.port),
        connected(server.port, server.certificates, "backend", session) as backend,
        connected(server.port, server.certificates, EAST.name, EAST.name) as east,
    ):
        backend.subscribe(frames_topic(NAME, "+"))
        for taken in (session, EAST.name, "backend"):
            with connected(server.port, server.certificates, WEST.name, taken) as west:
                west.publish(frames_topic(NAME, WEST.name), taken)
                east.publish(frames_topic(NAME, EAST.name), taken)
                for gateway in (WEST, EAST):
                    assert backend.next() == (frames_topic(NAME, gateway.name), taken.encode())
        assert (backend.losses, east.losses) == (0, 0)


def test_nobody_gets_in_without_a_certificate_of_this_ca(server: Server, tmp_path: Path) -> None:
    other = Server(tmp_path / "other")
    other.certify(EAST)
    (other.certificates / "ca.pem").write_text(server.authority.pem)
    with broker(server.out, server.conf, server.port):
        for name in ("", EAST.name):
            context = ssl.create_default_context(cafile=str(server.certificates / "ca.pem"))
            if name:
                chain = (other.certificates / f"{name}.pem", other.certificates / f"{name}.key")
                context.load_cert_chain(*chain)
            with pytest.raises((ssl.SSLError, ConnectionError)):
                _handshake(server.port, context)


def _handshake(port: int, context: ssl.SSLContext) -> None:
    """Read a byte: in TLS 1.3 the first read raises if the server has refused the certificate."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
    ):
        tls.recv(1)


async def test_a_connected_gateway_is_mute_and_shut_out_within_five_seconds_of_its_revocation(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path / "lane")
    village = Village()
    gate = Gate(village)
    gate.admit(EAST)
    gate.admit(WEST, "Lane 2")
    for gateway in (EAST, WEST):
        server.certify(gateway)
    async with (
        journal_at(tmp_path / "journal.db") as journal,
        writer_on(journal, village.community) as writer,
    ):
        with broker(server.out, server.conf, server.port):
            # Who listens is not yet who takes signals: a broker that serves clients is.
            clients = await asyncio.to_thread(_connect, server)
            access = BrokerAccess(server.settings, server.authority, writer)
            task = asyncio.create_task(access.run())
            try:
                revoke = device_input(
                    DeviceCommand(action="revoke", device=EAST.name, reason="stolen")
                )
                started = time.monotonic()
                await writer.submit([revoke])
                access.changed()
                await asyncio.to_thread(_until_mute, clients)
                assert time.monotonic() - started < 5
                context = ssl.create_default_context(cafile=str(server.certificates / "ca.pem"))
                files = (server.certificates / f"{EAST.name}{end}" for end in (".pem", ".key"))
                context.load_cert_chain(*files)
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    await asyncio.to_thread(_handshake, server.port, context)
                assert time.monotonic() - started < 5
                await asyncio.to_thread(_still_heard, clients)
            finally:
                task.cancel()
                await asyncio.to_thread(lambda: [client.close() for client in clients])


def _connect(server: Server) -> tuple[Client, Client, Client]:
    names = ("backend", EAST.name, WEST.name)
    backend, east, west = (Client(server.port, server.certificates, name) for name in names)
    backend.subscribe(frames_topic(NAME, "+"))
    east.publish(frames_topic(NAME, EAST.name), "before")
    assert backend.next()[1] == b"before"
    return backend, east, west


def _until_mute(clients: tuple[Client, Client, Client]) -> None:
    """Publish as East until a message does not arrive; West's message after it shows that."""
    backend, east, west = clients
    while True:
        east.publish(frames_topic(NAME, EAST.name), "revoked")
        west.publish(frames_topic(NAME, WEST.name), "mark")
        if backend.next()[1] == b"mark":
            return
        assert backend.next()[1] == b"mark"


def _still_heard(clients: tuple[Client, Client, Client]) -> None:
    backend, _, west = clients
    west.publish(frames_topic(NAME, WEST.name), "after")
    assert backend.next() == (frames_topic(NAME, WEST.name), b"after")


async def test_what_a_backend_wrote_and_did_not_live_to_tell_is_told_by_the_next(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path / "lane")
    gate = Gate(Village())
    gate.revoke(gate.village.north)
    write_access(server.out, server.authority, NAME, [gate.village.north.name])
    process = await asyncio.create_subprocess_exec("/bin/sleep", "20")
    (server.out / "mosquitto.pid").write_text(str(process.pid))
    async with (
        journal_at(tmp_path / "journal.db") as journal,
        writer_on(journal, gate.village.community) as writer,
    ):
        task = asyncio.create_task(BrokerAccess(server.settings, server.authority, writer).run())
        try:
            assert await asyncio.wait_for(process.wait(), 10) == -1  # SIGHUP
        finally:
            task.cancel()


async def test_a_broker_that_cannot_be_told_is_told_when_it_can(tmp_path: Path) -> None:
    server = Server(tmp_path / "lane")
    village = Village()
    Gate(village).revoke(village.north)
    (server.out / "mosquitto.pid").write_text("soon")
    async with (
        journal_at(tmp_path / "journal.db") as journal,
        writer_on(journal, village.community) as writer,
    ):
        access = BrokerAccess(server.settings, server.authority, writer)
        task = asyncio.create_task(access.run())
        acl = server.out / "gateways.acl"
        await until(lambda: village.north.name in acl.read_text())
        process = await asyncio.create_subprocess_exec("/bin/sleep", "20")
        try:
            (server.out / "mosquitto.pid").write_text(str(process.pid))
            assert await asyncio.wait_for(process.wait(), 10) == -1  # SIGHUP
        finally:
            task.cancel()


def test_the_acl_denies_whoever_is_revoked_before_it_allows() -> None:
    text = acl_text("lane", ["b", "a"])
    assert text.endswith("user a\ntopic deny #\nuser b\ntopic deny #\n")


# --- the commands -------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "backend.toml").write_text("[broker]\ninsecure = true\n")
    (tmp_path / "community.toml").write_text(toml_of({"community": {"name": "lane"}}))
    return str(tmp_path / "backend.toml")


def states(ran: Any) -> dict[str, str]:
    return {Path(each["file"]).name: each["state"] for each in json.loads(ran.out)}


def test_init_makes_everything_once_and_renews_what_lacks_a_host(
    config: str, command: Command
) -> None:
    first = command("init", "-c", config, "--host", "lane.example", "--json")
    assert set(states(first).values()) == {"made"}
    again = command("init", "-c", config, "--host", "lane.example", "--json")
    assert set(states(again).values()) == {"kept"}
    more = states(command("init", "-c", config, "--host", "10.0.0.1", "--json"))
    assert {name for name, state in more.items() if state == "renewed"} == {"broker.pem", "api.pem"}
    shown = command("init", "-c", config).out
    assert "10.0.0.1, 127.0.0.1, ::1, lane.example, localhost" in shown
    folder = Path(config).parent / "data"
    private = [*folder.rglob("*.key"), folder / "operator.token"]
    assert len(private) == 6
    assert {path.stat().st_mode & 0o777 for path in private} == {0o600}


def test_init_again_keeps_hosts_and_replaces_what_a_lost_ca_signed(
    config: str, command: Command
) -> None:
    command("init", "-c", config, "--host", "lane.example")
    assert set(states(command("init", "-c", config, "--json")).values()) == {"kept"}
    ca = Path(config).parent / "data" / "ca"
    for name in ("ca.pem", "ca.key"):
        (ca / name).unlink()
    again = command("init", "-c", config, "--json")
    changed = {name for name, state in states(again).items() if state != "kept"}
    assert changed == {"ca.pem", "broker.pem", "api.pem", "backend.pem"}
    assert "lane.example" in command("init", "-c", config).out


def test_mistakes_of_the_operators_are_one_line(
    config: str, command: Command, tmp_path: Path
) -> None:
    out = str(tmp_path / "broker")
    ran = command("broker-config", "-c", config, "--out", out)
    assert ran == (
        2,
        "",
        f"{tmp_path}/data/ca: expected a CA; run: gridtokenx-backend init\n",
    )
    ran = command("init", "-c", config, "--host", "a b")
    assert ran == (2, "", "--host: expected a host name or an address, got 'a b'\n")
    command("init", "-c", config)
    ran = command("token", "list", "-c", config, "--api", "http://127.0.0.1:1")
    assert (ran.status, len(ran.lines)) == (2, 1)
    assert ran.err.startswith("http://127.0.0.1:1: no answer: Connection refused")
    ran = command("token", "list", "-c", config, "--api", "ftp://x")
    assert "expected http://HOST:PORT" in ran.err
    (tmp_path / "data" / "ca" / "ca.key").chmod(0o640)
    ran = command("broker-config", "-c", config, "--out", out)
    assert (ran.status, "expected mode 0600" in ran.err) == (2, True)


def test_the_ack_key_is_changed_in_two_steps(config: str, command: Command) -> None:
    first = json.loads(command("key", "-c", config, "--json").out)["ack_key"]
    ran = command("key", "rotate", "--finish", "-c", config)
    assert (ran.status, len(ran.lines)) == (2, 1)
    following = json.loads(command("key", "rotate", "-c", config, "--json").out)
    assert following["ack_key"] != first
    assert json.loads(command("key", "rotate", "-c", config, "--json").out) == following
    assert json.loads(command("key", "-c", config, "--json").out)["ack_key"] == first
    done = json.loads(command("key", "rotate", "--finish", "-c", config, "--json").out)
    assert done == {"ack_key": following["ack_key"], "in_use": True}
    assert json.loads(command("key", "-c", config, "--json").out) == {
        "ack_key": following["ack_key"]
    }


def test_a_ca_of_another_key_is_refused(config: str, command: Command, tmp_path: Path) -> None:
    command("init", "-c", config)
    ca = tmp_path / "data" / "ca"
    key = create_tls_key(tmp_path / "other.key")
    (ca / "ca.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    with pytest.raises(CannotStart, match=r"expected ca\.pem to be the certificate of ca\.key"):
        open_authority(ca)
