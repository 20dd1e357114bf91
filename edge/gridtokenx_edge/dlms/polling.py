"""All DLMS lines of a site: readers, pollers and listeners, until cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gridtokenx_edge.config.dlms_config import DlmsBus, DlmsMeter, DlmsPush
from gridtokenx_edge.config.edge_config import Paths
from gridtokenx_edge.dlms.line import DlmsLine
from gridtokenx_edge.dlms.marks import Marks
from gridtokenx_edge.dlms.poller import DlmsPoller
from gridtokenx_edge.dlms.reader import DlmsReader
from gridtokenx_edge.dlms.repair import GapRepair
from gridtokenx_edge.dlms.stats import tally_of
from gridtokenx_edge.dlms.terms import Setting, Terms, each_terms
from gridtokenx_edge.log import Logger
from gridtokenx_edge.meters.dlms import load_dlms
from gridtokenx_edge.polling.reading_sink import ReadingSink
from gridtokenx_edge.polling.stats import MeterCounter
from gridtokenx_edge.progress import Progress
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.keys import device_id

if TYPE_CHECKING:
    from gridtokenx_edge.dlms.listener import Listener

_GOODBYE_S = 0.3
_PATIENCE_S = 60.0
# An association is opened, asked and opened again; each exchange has a bound of its own.
_LONGEST_POLL_S = 600.0


class Surroundings(msgspec.Struct, frozen=True):
    """What an agent hands to its DLMS lines."""

    sink: ReadingSink
    clock: Clock
    log: Logger
    outbox: Outbox
    paths: Paths
    key: Ed25519PublicKey
    is_synchronised: Callable[[], bool]
    progress: Progress


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
        self.tallies = {bus.name: tally_of(bus, line_baud(bus)) for bus in buses}
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Works until `stop`; then associations are released."""
        working = asyncio.create_task(self._work(), name="dlms")
        stopping = asyncio.create_task(self._stopped.wait(), name="dlms stop")
        try:
            await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not working.done():
                working.cancel()
            ended = (await asyncio.gather(working, return_exceptions=True))[0]
        if isinstance(ended, Exception):
            raise ended  # a bug of ours

    def stop(self) -> None:
        """Ends `run` soon."""
        self._stopped.set()

    async def _work(self) -> None:
        around = self._around
        await self._marks.load(around.outbox, around.key)
        readers: list[DlmsReader] = []
        lines: list[DlmsLine] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                for bus in self._buses:
                    terms = each_terms(list(bus.meter), self._setting, self._refused)
                    if isinstance(bus, DlmsPush):
                        listener = self._listener(bus, terms)
                        tasks.create_task(listener.run(), name=f"dlms {bus.name}")
                        continue
                    line = DlmsLine(bus, line_baud(bus))
                    lines.append(line)
                    self._watch_line(line)
                    for each in terms:
                        reader = DlmsReader(line, each, around.clock, around.is_synchronised)
                        readers.append(reader)
                        poller = self._poller(line, each, reader)
                        tasks.create_task(poller.run(), name=f"meter {each.meter.id}")
        finally:
            await _goodbye(readers)
            for line in lines:
                line.close()

    def forget(self) -> None:
        """Another part takes over: these loops turn no more."""
        for bus in self._buses:
            for meter in bus.meter:
                self._around.progress.forget(f"meter {meter.id}")

    def keep_marks(self) -> None:
        """Once everything is sealed, before the agent ends."""
        self._marks.save()

    def _watch_line(self, line: DlmsLine) -> None:
        self.tallies[line.name].is_up = lambda: line.is_up
        line.asked = self.tallies[line.name].asked

    def _listener(self, bus: DlmsPush, terms: Sequence[Terms]) -> Listener:
        # Imported where it is wanted: memory is dear on a Pi.
        from gridtokenx_edge.dlms.listener import Listener  # noqa: PLC0415

        around = self._around
        tally = self.tallies[bus.name]
        sinks = {meter: MeterCounter(each, around.sink) for meter, each in tally.meters.items()}
        tally.is_up = lambda: listener.is_up
        listener = Listener(bus, terms, sinks, around.clock, around.log, around.is_synchronised)
        return listener

    def _poller(self, line: DlmsLine, terms: Terms, reader: DlmsReader) -> DlmsPoller:
        around, meter = self._around, terms.meter
        tally = self.tallies[line.name].meters[meter.id]
        tally.clock_drift_ms = lambda: reader.clock_drift_ms
        beat = around.progress.expect(f"meter {meter.id}", _bound_s(line))
        counter = MeterCounter(tally, around.sink, beat)
        repair = GapRepair(reader, terms, counter, self._marks.last(meter.id), around.log)
        return DlmsPoller(line, terms, reader, repair, counter, around.clock, around.log)

    def _refused(self, meter: DlmsMeter, reason: str) -> None:
        self._around.log.error("meter_unreadable", meter=meter.id, reason=reason)


def _bound_s(line: DlmsLine) -> float:
    """How long a poll may take at most, in seconds: each meter of the line comes before it."""
    return _PATIENCE_S + len(line.config.meter) * _LONGEST_POLL_S


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
