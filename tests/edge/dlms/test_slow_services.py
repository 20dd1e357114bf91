"""A DLMS meter that answers for ever: a service has a deadline, and a line has other meters."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.edge.dlms.dlms_gateway import Gateway, Times, WaitUntil, tcp_bus
from tests.edge.dlms.dlms_meter import TestedMeter

from gridtokenx_dlms import data
from gridtokenx_dlms.aio.client_transport import run_service
from gridtokenx_dlms.client import LEAST_BLOCK_BYTES, ClientAssociation
from gridtokenx_dlms.errors import LinkError, MalformedError
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.xdlms.attribute import Attribute
from gridtokenx_edge.config.dlms_config import DlmsTcp
from gridtokenx_edge.dlms.line import DlmsLine

IMPORT = Attribute(3, Obis(1, 0, 1, 8, 0), 2)


class Blocks:
    """A transport whose meter cuts its answer into blocks of this size."""

    def __init__(self, size: int, delay_s: float = 0.0) -> None:
        self.size, self.delay_s = size, delay_s
        self.sent = 0
        self.content = data.encode(data.octet_string(bytes(range(200))))

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def exchange(self, message: bytes) -> bytes:
        await asyncio.sleep(self.delay_s)
        invoke = message[2]
        part = self.content[self.sent * self.size : (self.sent + 1) * self.size]
        self.sent += 1
        is_last = self.sent * self.size >= len(self.content)
        head = bytes((0xC4, 0x02, invoke, is_last)) + self.sent.to_bytes(4, "big")
        return head + bytes((0, len(part))) + part


def opened() -> ClientAssociation:
    association = ClientAssociation()
    association.is_open = True
    return association


@pytest.mark.parametrize("size", [LEAST_BLOCK_BYTES, 40, 120])
async def test_a_value_in_blocks_of_a_usual_size_is_put_together(size: int) -> None:
    meter = Blocks(size)
    value = await run_service(opened().get(IMPORT), meter, within_s=5)
    assert value.octets() == bytes(range(200))


@pytest.mark.parametrize("size", [1, 3, LEAST_BLOCK_BYTES - 1])
async def test_a_value_in_crumbs_is_given_up_after_a_few_of_them(size: int) -> None:
    meter = Blocks(size)
    with pytest.raises(MalformedError, match="expected blocks of 16 bytes or more"):
        await run_service(opened().get(IMPORT), meter, within_s=5)
    assert meter.sent == 4


async def test_a_service_that_goes_on_for_ever_ends_at_its_deadline() -> None:
    with pytest.raises(LinkError, match=r"no whole answer within 0\.1 s"):
        await run_service(opened().get(IMPORT), Blocks(20, delay_s=0.03), within_s=0.1)


async def test_a_line_knows_how_long_each_meter_has_held_it() -> None:
    line = DlmsLine(DlmsTcp(name="hall", host="127.0.0.1", meter=[]))
    async with line.hold(1):
        await asyncio.sleep(0.02)
    async with line.hold(2):
        pass
    assert line.silent_meters.spent_s[1] >= 0.02 > line.silent_meters.spent_s[2]


async def test_a_meter_that_stops_answering_waits_for_its_share_and_the_next_is_read(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    clock = Times()
    meter = TestedMeter(clock.now_ms)
    async with meter.on_tcp() as port, Gateway(tmp_path, tcp_bus(port), clock) as gateway:
        await wait_until(lambda: gateway.sealer.sealed >= 2)
        bus = gateway.buses._open["tcp"].bus
        budget = bus._line.silent_meters  # type: ignore[attr-defined]
        assert budget._alive == {1}
        budget.spend(2, 3.0, 0.0)
        assert budget.wait_s(0.0) == 27.0, "ten times what it cost, which was held already"
