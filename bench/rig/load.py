"""Gateways as a load: MQTT 3.1.1 on plain sockets, packets made beforehand, a window of unacked
frames each, as the real agent has. It spends as little of the shared cores as it can.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

import cbor2

from bench.rig.community import CHAIN, NAME, Gateway
from gridtokenx_wire import cose
from gridtokenx_wire.ack import decode_ack
from gridtokenx_wire.hello import Hello, seal_hello
from gridtokenx_wire.topics import acks_topic, frames_topic

WINDOW = 64
_PUBLISH, _PUBACK = 0x30, 0x40
_NEXT_SEQ_AT = 34
"""Where the value of `next_seq` begins in an ack: all before it is of one length."""


def _string(text: str) -> bytes:
    content = text.encode()
    return len(content).to_bytes(2, "big") + content


def _packet(kind: int, body: bytes) -> bytes:
    """Return an MQTT control packet (MQTT 3.1.1 §2.2)."""
    size, length = len(body), bytearray()
    while True:
        size, digit = divmod(size, 128)
        length.append(digit | (0x80 if size else 0))
        if not size:
            return bytes((kind,)) + bytes(length) + body


def connect_packet(client: str) -> bytes:
    return _packet(0x10, _string("MQTT") + bytes((4, 2)) + (0).to_bytes(2, "big") + _string(client))


def subscribe_packet(topic: str) -> bytes:
    return _packet(0x82, (1).to_bytes(2, "big") + _string(topic) + b"\x00")


def publish_packet(topic: str, payload: bytes, qos: int, mid: int) -> bytes:
    number = mid.to_bytes(2, "big") if qos else b""
    return _packet(_PUBLISH | qos << 1, _string(topic) + number + payload)


@dataclass(kw_only=True)
class LoadedGateway:
    """One connection: frames still to send, and when those in flight were sent."""

    gateway: Gateway
    packets: deque[bytes]
    sock: socket.socket
    received: bytearray = field(default_factory=bytearray)
    outgoing: bytearray = field(default_factory=bytearray)
    sent: int = 0
    acked: int = 0
    verdicts: int = 0
    reads_verdicts: bool = True


def prepare(gateway: Gateway, frames: list[bytes], port: int, qos: int) -> LoadedGateway:
    """Connect a gateway and make its packets; blocks until the broker has subscribed it.

    It says hello, as the real agent does, so its acks name the head.
    """
    topic = frames_topic(NAME, gateway.name)
    packets = deque(
        publish_packet(topic, frame, qos, 1 + index % 65_535) for index, frame in enumerate(frames)
    )
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(connect_packet(f"load-{gateway.name}"))
    _expect(sock, 0x20, 4)
    sock.sendall(subscribe_packet(acks_topic(NAME, gateway.name)))
    _expect(sock, 0x90, 5)
    hello = Hello(device=gateway.device, chain=CHAIN)
    sock.sendall(publish_packet(topic, seal_hello(hello, gateway.key), 0, 0))
    sock.setblocking(False)
    return LoadedGateway(gateway=gateway, packets=packets, sock=sock)


def _expect(sock: socket.socket, kind: int, size: int) -> None:
    data = b""
    while len(data) < size:
        data += sock.recv(size - len(data))
    assert data[0] == kind, data


def add(load: LoadedGateway, frames: list[bytes], qos: int) -> None:
    """Add frames to send, for the next `drive`."""
    topic = frames_topic(NAME, load.gateway.name)
    first = load.sent + len(load.packets)
    load.packets.extend(
        publish_packet(topic, frame, qos, 1 + (first + index) % 65_535)
        for index, frame in enumerate(frames)
    )


def drive(loads: list[LoadedGateway], timeout_s: float, *, hang_up: bool = True) -> float:
    """Send everything as fast as acks allow; the seconds until the last frame was acked."""
    selector = selectors.DefaultSelector()
    for load in loads:
        selector.register(load.sock, selectors.EVENT_READ, load)
    started = time.perf_counter()
    waiting = len(loads)
    for load in loads:
        _send(load, selector)
    while waiting:
        for key, events in selector.select(1):
            load = key.data
            if events & selectors.EVENT_READ and _receive(load):
                waiting -= 1
            _send(load, selector)
        if time.perf_counter() - started > timeout_s:
            raise AssertionError(f"{waiting} gateways still wait for acks after {timeout_s} s")
    elapsed = time.perf_counter() - started
    if hang_up:
        for load in loads:
            load.sock.close()
    selector.close()
    return elapsed


def _send(load: LoadedGateway, selector: selectors.BaseSelector) -> None:
    while load.packets and load.sent - load.acked < WINDOW:
        load.outgoing += load.packets.popleft()
        load.sent += 1
    if load.outgoing:
        with suppress(BlockingIOError):
            del load.outgoing[: load.sock.send(load.outgoing)]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if load.outgoing else 0)
        selector.modify(load.sock, wanted, load)


def _receive(load: LoadedGateway) -> bool:
    """Read what has come; true when this made the last frame acked."""
    try:
        data = load.sock.recv(65_536)
    except BlockingIOError:
        return False
    assert data, "the broker closed the connection"
    load.received += data
    before = load.acked
    for kind, body in packets_in(load.received):
        if kind & 0xF0 == _PUBLISH:
            size = int.from_bytes(body[:2], "big")
            payload = cose.split(bytes(body[2 + size :]))[2]
            if load.reads_verdicts:
                ack = decode_ack(payload)
                load.verdicts += len(ack.verdicts)
                next_seq = ack.next_seq
            else:
                next_seq = cbor2.loads(payload[_NEXT_SEQ_AT:])
            load.acked = max(load.acked, next_seq)
    return before < load.acked == load.sent and not load.packets


def packets_in(received: bytearray) -> list[tuple[int, bytes]]:
    """Return the complete packets at the start of a buffer, (first byte, body), which
    are removed.
    """
    found, position = [], 0
    while True:
        size = shift = 0
        at = position + 1
        while at < len(received):
            size |= (received[at] & 0x7F) << shift
            shift += 7
            at += 1
            if not received[at - 1] & 0x80:
                break
        else:
            break
        if at + size > len(received):
            break
        found.append((received[position], bytes(received[at : at + size])))
        position = at + size
    del received[:position]
    return found
