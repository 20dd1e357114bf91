"""The DLMS driver: the lines of `[[dlms]]`, with meters that are asked and meters that push."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gridtokenx_edge.config.dlms_config import DlmsBus, DlmsMeter, DlmsPush, DlmsTcp
from gridtokenx_edge.dlms.last_readings import LastReadings, marks_file
from gridtokenx_edge.dlms.line import line_baud
from gridtokenx_edge.dlms.meter_access import DlmsFiles, logical_device_of
from gridtokenx_edge.dlms.polled_bus import PolledBus
from gridtokenx_edge.meters.dlms import load_dlms
from gridtokenx_edge.polling.driver import Bus, BusFacts, MeterModel, Surroundings
from gridtokenx_edge.polling.watch import LineWatch
from gridtokenx_wire.reading import Reading

# A loop that is late by more than this hangs; the time comes on top of what its polls may take.
_HANGS_AFTER_S = 60.0
# An association is opened, asked and opened again; each exchange has a bound of its own.
_LONGEST_POLL_S = 600.0


class DlmsDriver:
    """Opens DLMS lines, and knows the last reading of each meter, where a gap would begin."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._files = DlmsFiles(
            folder=surroundings.folder, state=surroundings.state, seed=surroundings.device
        )
        path = marks_file(surroundings.state, surroundings.device)
        self._last_readings = LastReadings(path, surroundings.log)

    def facts(self, bus: DlmsBus) -> BusFacts:
        return BusFacts(
            line=(msgspec.structs.replace(bus, meter=[]), line_baud(bus)),
            where=_where(bus),
            models={meter.id: _model(meter) for meter in bus.meter},
            # Each meter of the line comes before it.
            poll_bound_s=_HANGS_AFTER_S + len(bus.meter) * _LONGEST_POLL_S,
        )

    async def prepare(self, buses: Sequence[DlmsBus]) -> None:
        meters = {meter.id for bus in buses for meter in bus.meter}
        await self._last_readings.follow(meters, self._surroundings.stored_readings)

    def open_bus(self, bus: DlmsBus, watch: LineWatch) -> Bus[DlmsMeter]:
        if not isinstance(bus, DlmsPush):
            return PolledBus(bus, self._files, self._last_readings, self._surroundings, watch)
        # Imported where it is wanted: memory is dear on a Pi.
        from gridtokenx_edge.dlms.listener import Listener  # noqa: PLC0415

        around = self._surroundings
        return Listener(bus, self._files, around.clock, around.log, around.is_synchronised)

    def stored(self, readings: Sequence[Reading]) -> None:
        self._last_readings.stored(readings)

    def close(self) -> None:
        self._last_readings.close()


def _where(bus: DlmsBus) -> str:
    if isinstance(bus, DlmsTcp):
        return f"{bus.host}:{bus.port}"
    if isinstance(bus, DlmsPush) and (port := bus.network_port):
        return f":{port}"
    return f"{bus.port} {line_baud(bus)} N"


def _model(meter: DlmsMeter) -> MeterModel:
    profile = load_dlms(meter.profile)
    return MeterModel(
        name=profile.name,
        address=logical_device_of(meter, profile),
        maker=profile.maker,
        is_contested=profile.confidence == "contested",
        notes=profile.notes,
    )
