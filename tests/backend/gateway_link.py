"""A gateway's connection to the broker, made by hand, so that a test can send any bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.rig.load import connect_packet, packets_in, publish_packet, subscribe_packet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tests.backend.village import NAME, Gateway

from gridtokenx_wire.ack import Ack
from gridtokenx_wire.state_notice import StateNotice, open_answer
from gridtokenx_wire.topics import acks_topic, frames_topic

_PUBLISH, _CONNACK, _SUBACK, _PUBACK = 0x30, 0x20, 0x90, 0x40


class Link:
    """Publishes frames and opens acks, which must verify under the backend's key."""

    def __init__(
        self,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        gateway: Gateway,
        key: Ed25519PublicKey,
    ) -> None:
        self._reader, self._writer = streams
        self._gateway = gateway
        self._key = key
        self._received = bytearray()
        self._packets: list[tuple[int, bytes]] = []
        self._mid = 0

    async def publish(self, frame: bytes, topic: str = "", *, retain: bool = False) -> None:
        """Send a frame, by default on the gateway's own topic, and wait for the broker's PUBACK."""
        self._mid += 1
        topic = topic or frames_topic(NAME, self._gateway.name)
        packet = bytearray(publish_packet(topic, frame, 1, self._mid))
        packet[0] |= retain
        self._writer.write(packet)
        await self._next(_PUBACK)

    async def ack(self) -> Ack:
        """Wait for the next ack, and pass over notices."""
        while isinstance(answer := await self.answer(), StateNotice):
            pass
        return answer

    async def notice(self) -> StateNotice:
        """Wait for the next answer, which must be a notice."""
        answer = await self.answer()
        assert isinstance(answer, StateNotice), answer
        return answer

    async def answer(self) -> Ack | StateNotice:
        """Wait for the next answer of the backend."""
        body = await self._next(_PUBLISH)
        size = int.from_bytes(body[:2], "big")
        assert body[2 : 2 + size].decode() == acks_topic(NAME, self._gateway.name)
        answer = open_answer(body[2 + size :], self._key)
        assert answer.device == self._gateway.device
        return answer

    async def acked(self, next_seq: int) -> Ack:
        """Wait for the ack with this `next_seq`; those before it must have a lower one."""
        while (ack := await self.ack()).next_seq < next_seq:
            pass
        assert ack.next_seq == next_seq
        return ack

    def no_ack(self) -> bool:
        """Return whether no ack is among what was received so far."""
        return not self.has_ack()

    def has_ack(self) -> bool:
        """Return whether an ack is among what was received so far."""
        answers = [body for kind, body in self._packets if kind & 0xF0 == _PUBLISH]
        sealed = [body[2 + int.from_bytes(body[:2], "big") :] for body in answers]
        return any(isinstance(open_answer(each, self._key), Ack) for each in sealed)

    async def subscribe(self, topic: str) -> None:
        self._writer.write(subscribe_packet(topic))
        await self._next(_SUBACK)

    async def _next(self, kind: int) -> bytes:
        async with asyncio.timeout(20):
            while True:
                for index, (first, body) in enumerate(self._packets):
                    if first & 0xF0 == kind & 0xF0:
                        del self._packets[index]
                        return body
                data = await self._reader.read(65_536)
                assert data, "the broker closed the connection"
                self._received += data
                self._packets += packets_in(self._received)


@asynccontextmanager
async def linked(gateway: Gateway, port: int, key: Ed25519PublicKey) -> AsyncIterator[Link]:
    """Connect a gateway and subscribe it to its acks."""
    streams = await asyncio.open_connection("127.0.0.1", port)
    try:
        link = Link(streams, gateway, key)
        streams[1].write(connect_packet(f"gateway-{gateway.name}"))
        await link._next(_CONNACK)
        await link.subscribe(acks_topic(NAME, gateway.name))
        yield link
    finally:
        streams[1].close()
