"""One line of DLMS meters that are asked for their readings."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from gridtokenx_dlms.errors import DlmsError
from gridtokenx_edge.config.dlms_config import DlmsMeter, DlmsSerial, DlmsTcp
from gridtokenx_edge.dlms.gap_repair import GapRepair
from gridtokenx_edge.dlms.last_readings import LastReadings
from gridtokenx_edge.dlms.line import DlmsLine, line_baud
from gridtokenx_edge.dlms.meter_access import DlmsFiles, usable_access
from gridtokenx_edge.dlms.reader import DlmsReader
from gridtokenx_edge.polling.driver import PolledMeter, Surroundings
from gridtokenx_edge.polling.reading_sink import ReadingSink
from gridtokenx_edge.polling.watch import LineWatch


class PolledBus:
    """One line, its readers, and the repair of the gaps between their readings."""

    def __init__(
        self,
        config: DlmsSerial | DlmsTcp,
        files: DlmsFiles,
        last_readings: LastReadings,
        surroundings: Surroundings,
        watch: LineWatch,
    ) -> None:
        self._files = files
        self._last_readings = last_readings
        self._surroundings = surroundings
        self._line = DlmsLine(config, line_baud(config))
        self._line.asked = watch.asked
        self._readers: dict[str, DlmsReader] = {}
        self._opened = 0
        """Numbers the meters for the line's budget."""

    @property
    def is_up(self) -> bool:
        return self._line.is_up

    async def run(self) -> None:
        """Wait until cancelled, as the readers open the line; then close it."""
        try:
            await asyncio.Event().wait()
        finally:
            self._line.close()

    def open_meter(self, meter: DlmsMeter, sink: ReadingSink) -> PolledMeter:
        around = self._surroundings
        access = usable_access(meter, self._files)
        self._opened += 1
        reader = DlmsReader(
            self._line, access, around.clock, around.is_synchronised, number=self._opened
        )
        repair = GapRepair(reader, access, sink, self._last_readings.last(meter.id), around.log)
        self._readers[meter.id] = reader
        return PolledMeter(
            line=self._line, reader=reader, sink=repair, address=self._opened, beside=repair.run
        )

    async def close_meter(self, meter: str) -> None:
        """Release the association. A meter whose client just goes away refuses the next one for
        minutes.
        """
        if reader := self._readers.pop(meter, None):
            with suppress(DlmsError):
                await reader.close()
