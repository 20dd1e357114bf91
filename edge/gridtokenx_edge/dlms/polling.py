"""All DLMS lines of a site: readers, pollers and listeners, until cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gridtokenx_edge.config import Paths
from gridtokenx_edge.dlms.config import DlmsBus, DlmsMeter, DlmsPush
from gridtokenx_edge.dlms.line import DlmsLine
from gridtokenx_edge.dlms.listener import Listener
from gridtokenx_edge.dlms.marks import Marks
from gridtokenx_edge.dlms.poller import DlmsPoller
from gridtokenx_edge.dlms.reader import DlmsReader
from gridtokenx_edge.dlms.repair import GapRepair
from gridtokenx_edge.dlms.terms import Setting, Terms, each_terms
from gridtokenx_edge.log import Logger
from gridtokenx_edge.meters.dlms import load_dlms
from gridtokenx_edge.modbus.poller import ReadingSink
from gridtokenx_edge.outbox import Outbox
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.keys import device_id

_GOODBYE_S = 1.0


class Surroundings(msgspec.Struct, frozen=True):
    """What an agent hands to its DLMS lines."""

    sink: ReadingSink
    clock: Clock
    log: Logger
    outbox: Outbox
    paths: Paths
    key: Ed25519PublicKey
    is_synchronised: Callable[[], bool]


class DlmsPolling:
    """The DLMS meters of a config. Give `sealed` every frame's readings."""

    def __init__(self, buses: Sequence[DlmsBus], around: Surroundings) -> None:
        self._buses = buses
        self._around = around
        state = around.paths.outbox.parent
        self._setting = Setting(around.paths.folder, state, device_id(around.key))
        meters = [meter.id for bus in buses for meter in bus.meter]
        self._marks = Marks(state / "dlms.marks", meters, around.log)
        self.sealed = self._marks.sealed

    async def run(self) -> None:
        """Works until cancelled; then associations are released."""
        around = self._around
        await self._marks.load(around.outbox, around.key)
        readers: list[DlmsReader] = []
        lines: list[DlmsLine] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                for bus in self._buses:
                    terms = each_terms(list(bus.meter), self._setting, self._refused)
                    if isinstance(bus, DlmsPush):
                        listener = Listener(
                            bus,
                            terms,
                            around.sink,
                            around.clock,
                            around.log,
                            around.is_synchronised,
                        )
                        tasks.create_task(listener.run(), name=f"dlms {bus.name}")
                        continue
                    line = DlmsLine(bus, line_baud(bus))
                    lines.append(line)
                    for each in terms:
                        reader = DlmsReader(line, each, around.clock, around.is_synchronised)
                        readers.append(reader)
                        poller = self._poller(line, each, reader)
                        tasks.create_task(poller.run(), name=f"meter {each.meter.id}")
        finally:
            await _goodbye(readers)
            for line in lines:
                line.close()

    def keep_marks(self) -> None:
        """Once everything is sealed, before the agent ends."""
        self._marks.save()

    def _poller(self, line: DlmsLine, terms: Terms, reader: DlmsReader) -> DlmsPoller:
        around = self._around
        last = self._marks.last(terms.meter.id)
        repair = GapRepair(reader, terms, around.sink, last, around.log)
        return DlmsPoller(line, terms, reader, repair, around.sink, around.clock, around.log)

    def _refused(self, meter: DlmsMeter, reason: str) -> None:
        self._around.log.error("meter_unreadable", meter=meter.id, reason=reason)


def line_baud(bus: DlmsBus) -> int:
    """The line's rate: the config's, or the first meter's own."""
    chosen = getattr(bus, "baud", None)
    return chosen or load_dlms(bus.meter[0].profile).link.baud


async def _goodbye(readers: Sequence[DlmsReader]) -> None:
    """A meter that is left without a word refuses the next client for minutes."""
    closing = [asyncio.create_task(reader.close()) for reader in readers]
    if closing:
        _, late = await asyncio.wait(closing, timeout=_GOODBYE_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*closing, return_exceptions=True)
