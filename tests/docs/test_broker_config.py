"""config/mosquitto.conf and .acl do what they say, with certificates made as the operator's page
shows. Messages of one client keep their order: what comes first and is refused is never seen."""

from __future__ import annotations

import os
import pwd
import queue
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from bench.rig.processes import MOSQUITTO, Process, free_port, wait_for
from paho.mqtt.enums import CallbackAPIVersion
from tests.docs.markdown import DOCS, ROOT, block

from gridtokenx_wire.topics import acks_topic, frames_topic, status_topic

CONF = (ROOT / "config" / "mosquitto.conf").read_text()
OWN, FOREIGN = "pijlp4oeg2eyo5okbnohpaizb4", "eh7ddx5bksrgcytl7bkai36se4"
TOWN = "sonnenweg"
_WAIT_S = 10


class Client:
    """A connected MQTT client; `received` are (topic, payload), `losses` ends of connections."""

    def __init__(
        self, port: int, certificates: Path | None = None, name: str = "", session: str = ""
    ) -> None:
        self.received: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._done: queue.Queue[object] = queue.Queue()
        self.losses = 0
        version = CallbackAPIVersion.VERSION2
        self._client = mqtt.Client(version, client_id=session, clean_session=not session)
        if certificates:
            self._client.tls_set(
                str(certificates / "ca.pem"),
                str(certificates / f"{name}.pem") if name else None,
                str(certificates / f"{name}.key") if name else None,
            )
        self._client.on_message = lambda _c, _d, message: self.received.put(
            (message.topic, message.payload)
        )
        self._client.on_connect = lambda _c, _d, _f, code, _p: self._done.put(code)
        self._client.on_disconnect = self._lost
        self._client.on_subscribe = lambda *_: self._done.put("subscribed")
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self.code = self._done.get(timeout=_WAIT_S)

    def _lost(self, *_: object) -> None:
        self.losses += 1

    def subscribe(self, *topics: str) -> None:
        self._client.subscribe([(topic, 1) for topic in topics])
        self._done.get(timeout=_WAIT_S)

    def publish(self, topic: str, payload: str) -> None:
        self._client.publish(topic, payload, qos=1).wait_for_publish(_WAIT_S)

    def publish_many(self, topic: str, count: int) -> None:
        """The numbers from 0 on; returns when the broker has them all."""
        waiting = [self._client.publish(topic, str(number), qos=1) for number in range(count)]
        for each in waiting:
            each.wait_for_publish(60)

    def next(self) -> tuple[str, bytes]:
        return self.received.get(timeout=_WAIT_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def connected(*arguments: object) -> Iterator[Client]:
    client = Client(*arguments)  # type: ignore[arg-type]
    try:
        yield client
    finally:
        client.close()


@contextmanager
def broker(folder: Path, conf: str, port: int) -> Iterator[Process]:
    """Mosquitto on `conf` as this user, for the files of a test are nobody else's."""
    file = folder / "mosquitto.conf"
    file.write_text(f"{conf}\nuser {pwd.getpwuid(os.geteuid()).pw_name}\n")
    with Process("mosquitto", [MOSQUITTO, "-c", str(file)], folder) as process:
        wait_for(lambda: answers(port, process), "mosquitto to listen", _WAIT_S)
        yield process


def answers(port: int, process: Process) -> bool:
    assert process.running(), process.stderr.read_text()
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def server_conf(folder: Path, port: int) -> str:
    """The example without the trial's listener and with the server's, in this folder."""
    kept = [line for line in CONF.splitlines() if not line.startswith(("listener", "allow_anon"))]
    text = "\n".join(line.removeprefix("#") if "# " not in line else line for line in kept)
    text = text.replace("/etc/mosquitto/certs", str(folder))
    text = text.replace("/etc/mosquitto/gridtokenx.acl", str(ROOT / "config" / "mosquitto.acl"))
    assert "listener 8883" in text
    return text.replace("listener 8883", f"listener {port} 127.0.0.1")


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """What the commands of the operator's page make, and one more gateway."""
    page = (DOCS / "operator.md").read_text()
    commands = block(page, "bash tls") + f"certify {FOREIGN} foreign-tls\n"
    bash = ["/bin/bash", "-euc", commands]
    subprocess.run(bash, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    return tmp_path


def test_the_trial_listens_on_this_machine_alone_and_takes_everyone(tmp_path: Path) -> None:
    port = free_port()
    assert "listener 1883 127.0.0.1\n" in CONF
    with (
        broker(tmp_path, CONF.replace("listener 1883", f"listener {port}"), port),
        connected(port) as reader,
        connected(port) as writer,
    ):
        reader.subscribe(frames_topic(TOWN, "+"))
        writer.publish(frames_topic(TOWN, OWN), "frame")
        assert reader.next() == (frames_topic(TOWN, OWN), b"frame")


def test_a_backend_that_was_away_gets_ten_thousand_frames(tmp_path: Path) -> None:
    port, sent = free_port(), 10_000
    topic = frames_topic(TOWN, OWN)
    with broker(tmp_path, CONF.replace("listener 1883", f"listener {port}"), port):
        with connected(port, None, "", "backend") as backend:
            backend.subscribe(topic)
        with connected(port) as writer:
            writer.publish_many(topic, sent)
        with connected(port, None, "", "backend") as backend:
            assert [backend.next()[1] for _ in range(sent)] == [
                str(number).encode() for number in range(sent)
            ]


def test_a_gateway_has_its_own_branch_and_no_other(certificates: Path) -> None:
    port = free_port()
    with (
        broker(certificates, server_conf(certificates, port), port),
        connected(port, certificates, "backend-tls") as backend,
        connected(port, certificates, "edge-tls") as gateway,
    ):
        backend.subscribe(frames_topic(TOWN, "+"), status_topic(TOWN, "+"))
        gateway.subscribe(acks_topic(TOWN, "+"))
        for device in (FOREIGN, OWN):
            gateway.publish(frames_topic(TOWN, device), "frame")
            gateway.publish(acks_topic(TOWN, device), "forged")
            gateway.publish(status_topic(TOWN, device), "online")
            backend.publish(acks_topic(TOWN, device), "ack")
        assert backend.next() == (frames_topic(TOWN, OWN), b"frame")
        assert backend.next() == (status_topic(TOWN, OWN), b"online")
        assert gateway.next() == (acks_topic(TOWN, OWN), b"ack")
        assert backend.received.empty()
        assert gateway.received.empty()


def test_the_backend_signs_no_frames_and_gateways_do_not_hear_each_other(
    certificates: Path,
) -> None:
    port = free_port()
    with (
        broker(certificates, server_conf(certificates, port), port),
        connected(port, certificates, "backend-tls") as backend,
        connected(port, certificates, "edge-tls") as gateway,
        connected(port, certificates, "foreign-tls") as foreign,
    ):
        gateway.subscribe(frames_topic(TOWN, "+"), acks_topic(TOWN, "+"))
        backend.publish(frames_topic(TOWN, OWN), "forged")
        foreign.publish(frames_topic(TOWN, FOREIGN), "frame")
        backend.publish(acks_topic(TOWN, OWN), "ack")
        assert gateway.next() == (acks_topic(TOWN, OWN), b"ack")
        assert gateway.received.empty()


def test_nobody_connects_without_a_certificate_of_the_community(certificates: Path) -> None:
    port = free_port()
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    with (
        broker(certificates, server_conf(certificates, port), port),
        socket.create_connection(("127.0.0.1", port), timeout=_WAIT_S) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as stranger,
        pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
    ):
        stranger.recv(4)
