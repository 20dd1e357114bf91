"""A real gateway, a real backend and a broker between them, and somebody with a copy of the key."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from tests.backend.parts import until
from tests.backend.running import site_in
from tests.backend.village import Gateway, reading
from tests.edge.uplink.sending_uplink import sending

from gridtokenx_edge.config.edge_config import BrokerConfig
from gridtokenx_wire.keys import load_private_key


async def test_a_gateway_keeps_the_frame_that_a_copy_of_its_key_was_faster_with(
    tmp_path: Path,
) -> None:
    async with site_in(tmp_path) as site:
        backend = await site.start()
        north = site.village.north
        pinned = SimpleNamespace(key=load_private_key(site.settings().ack_key))
        broker = BrokerConfig(host="127.0.0.1", port=site.broker.port, insecure=True)
        async with sending(tmp_path, north.key, pinned, broker, 3, ack_timeout_s=1) as bench:
            await until(lambda: bench.uplink.counts.acked == 3)
            copy = Gateway("north", bench.outbox.chain)
            copy.seq, copy.prev = 3, await bench.outbox.head_before(3)
            link = await site.link(copy)
            await link.publish(copy.next([reading("ABB-1", 1)]))
            await link.acked(4)
            await until(lambda: bench.uplink.trouble)
            assert bench.uplink.trouble is not None
            assert bench.uplink.trouble.name == "forked"
            await bench.seal(40)
            await until(lambda: bench.uplink.state)
            assert bench.uplink.state is not None
            assert bench.uplink.state.name == "held"
            assert bench.uplink.unacked == 40
            assert set(range(3, 43)) <= set(await bench.stored())
            assert backend.writer.community.devices[north.device].held == "two frames of number 3"
