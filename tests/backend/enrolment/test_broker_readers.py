"""Read-only certificates at Mosquitto: an integrator hears what is public and writes nothing."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from tests.backend.enrolment.test_broker_access import EAST, Server, _handshake
from tests.backend.newcomers import Gate
from tests.backend.parts import journal_at, until, writer_on
from tests.backend.village import NAME, Village
from tests.docs.test_broker_config import broker, connected

from gridtokenx_backend.enrolment import broker_access
from gridtokenx_backend.enrolment.authority import create_tls_key
from gridtokenx_backend.enrolment.broker_access import ACL, BrokerAccess, write_access
from gridtokenx_backend.errors import CannotStart
from gridtokenx_wire.topics import acks_topic, feed_topic, frames_topic, status_topic

READER = "reader-dashboard"


def certify(server: Server) -> None:
    """Make a reader's key and certificate beside those of the other clients."""
    key = create_tls_key(server.certificates / f"{READER}.key")
    pem = server.authority.certify_reader("dashboard", key.public_key(), 30)
    (server.certificates / f"{READER}.pem").write_text(pem)


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Server:
    server = Server(tmp_path / "lane")
    server.certify(EAST)
    certify(server)
    assert write_access(server.out, server.authority, NAME, [])
    return server


def test_a_reader_hears_acks_and_states_and_writes_nowhere(server: Server) -> None:
    with (
        broker(server.out, server.conf, server.port),
        connected(server.port, server.certificates, "backend") as backend,
        connected(server.port, server.certificates, EAST.name) as gateway,
        connected(server.port, server.certificates, READER) as reader,
    ):
        backend.subscribe(frames_topic(NAME, "+"), status_topic(NAME, "+"))
        gateway.subscribe(acks_topic(NAME, EAST.name))
        reader.subscribe("gridtokenx/v1/#")
        for topic in (
            frames_topic(NAME, EAST.name),
            status_topic(NAME, EAST.name),
            acks_topic(NAME, EAST.name),
            frames_topic(NAME, READER),
            status_topic(NAME, READER),
            feed_topic(NAME, "trades"),
        ):
            reader.publish(topic, "forged")
        gateway.publish(frames_topic(NAME, EAST.name), "frame")
        gateway.publish(status_topic(NAME, EAST.name), "online")
        assert backend.next() == (frames_topic(NAME, EAST.name), b"frame")
        assert backend.next() == (status_topic(NAME, EAST.name), b"online")
        backend.publish(acks_topic(NAME, EAST.name), "ack")
        assert gateway.next() == (acks_topic(NAME, EAST.name), b"ack")
        assert reader.next() == (status_topic(NAME, EAST.name), b"online")
        assert reader.next() == (acks_topic(NAME, EAST.name), b"ack")
        assert backend.received.empty()
        assert reader.received.empty()


def test_a_revoked_reader_gets_in_no_more_and_its_name_is_used_up(server: Server) -> None:
    server.authority.revoke_reader("dashboard")
    assert server.authority.readers() == []
    assert write_access(server.out, server.authority, NAME, [])
    assert READER not in (server.out / ACL).read_text()
    with broker(server.out, server.conf, server.port):
        context = ssl.create_default_context(cafile=str(server.certificates / "ca.pem"))
        files = (server.certificates / f"{READER}{end}" for end in (".pem", ".key"))
        context.load_cert_chain(*files)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            _handshake(server.port, context)
    with pytest.raises(CannotStart, match="expected another name"):
        certify(server)


@pytest.mark.parametrize("name", ["", "Dashboard", "a-b", "../x", "x" * 21, "a\nb"])
def test_a_readers_name_can_be_nothing_but_a_name(server: Server, name: str) -> None:
    key = create_tls_key(server.certificates / "other.key").public_key()
    with pytest.raises(CannotStart, match="1 to 20 lower-case letters or digits"):
        server.authority.certify_reader(name, key, 30)
    with pytest.raises(CannotStart):
        server.authority.revoke_reader(name)


async def test_a_running_backend_tells_the_broker_of_a_new_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_access, "_LOOK_S", 0.05)
    server, village = Server(tmp_path / "lane"), Village()
    Gate(village)
    async with (
        journal_at(tmp_path / "journal.db") as journal,
        writer_on(journal, village.community) as writer,
    ):
        with broker(server.out, server.conf, server.port):
            access = BrokerAccess(server.settings, server.authority, writer)
            task = asyncio.create_task(access.run())
            await asyncio.to_thread(certify, server)
            await until(lambda: READER in (server.out / ACL).read_text())
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
