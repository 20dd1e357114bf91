"""One visit to chosen meters, for the installer's `read`: everything that they tell."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from gridtokenx_edge.commissioning.check.line_exchanges import LineExchange, ListeningLine
from gridtokenx_edge.config.edge_config import BusConfig, EdgeConfig, MeterConfig
from gridtokenx_edge.meters.sunspec.models import READING_POINTS
from gridtokenx_edge.modbus.readers import Readers
from gridtokenx_edge.modbus.register_reader import RegisterReader
from gridtokenx_edge.modbus.sunspec_reader import SunSpecReader
from gridtokenx_edge.polling.driver import Reader
from gridtokenx_edge.polling.faults import BusFault, MeterGarbled, MeterSilent
from gridtokenx_wire.clock import Clock, make_clock
from gridtokenx_wire.reading import Reading


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking a meter: a reading, or one line that says why there is none.

    `values` are what the model tells beside the reading, in base units and as the site sees them.
    `exchanges` are all requests with their bytes, in their order.
    """

    bus: str
    meter: MeterConfig
    reading: Reading | None = None
    values: dict[str, int | None] = {}
    exchanges: tuple[LineExchange, ...] = ()
    error: str = ""


async def visit_meters(
    config: EdgeConfig, chosen: Sequence[tuple[BusConfig, Sequence[MeterConfig]]]
) -> list[Visit]:
    """Ask the chosen meters, the buses side by side. The answers are in the config's order."""
    clock = make_clock(config.clock)
    of_buses = await asyncio.gather(*(_visit_bus(bus, meters, clock) for bus, meters in chosen))
    return [visit for visits in of_buses for visit in visits]


async def _visit_bus(bus: BusConfig, meters: Sequence[MeterConfig], clock: Clock) -> list[Visit]:
    line = ListeningLine(bus, clock)
    try:
        await line.connect()
        readers = Readers(line, clock)
        return [await _visit_meter(line, readers.make(meter), bus, meter) for meter in meters]
    except BusFault as fault:
        return [Visit(bus=bus.name, meter=meter, error=str(fault)) for meter in meters]
    finally:
        line.close()


async def _visit_meter(
    line: ListeningLine, reader: Reader, bus: BusConfig, meter: MeterConfig
) -> Visit:
    reading: Reading | None = None
    for attempts_left in reversed(range(1 + bus.retries)):
        try:
            reading = reading or await reader.poll()
            values = site_view(await values_beside(reader), invert=meter.invert)
            return Visit(
                bus=bus.name,
                meter=meter,
                reading=reading,
                values=values,
                exchanges=tuple(line.take()),
            )
        except (MeterSilent, MeterGarbled) as fault:
            error = str(fault)
            if not attempts_left:
                break
        except BusFault as fault:
            error = str(fault)
            break
    return Visit(
        bus=bus.name,
        meter=meter,
        reading=reading,
        values={},
        exchanges=tuple(line.take()),
        error=error,
    )


async def values_beside(reader: Reader) -> dict[str, int | None]:
    """Return what a meter tells beside its reading, in base units. Raises BusFault."""
    if isinstance(reader, RegisterReader):
        return await reader.read_values()
    if isinstance(reader, SunSpecReader):
        values = await reader.values()
        return {name: value for name, value in values.items() if name not in READING_POINTS}
    return {}


def site_view(values: Mapping[str, int | None], *, invert: bool) -> dict[str, int | None]:
    """Return the values as the site sees them.

    The phases of an inverted meter have import and export exchanged, too.
    """
    if not invert:
        return dict(values)
    seen: dict[str, int | None] = {}
    for name, value in values.items():
        if name.startswith("energy_"):
            words = {"import": "export", "export": "import"}
            name = "_".join(words.get(word, word) for word in name.split("_"))  # noqa: PLW2901
        is_directed = name.startswith(("power_l", "reactive"))
        seen[name] = -value if is_directed and value is not None else value
    return {name: seen[name] for name in [*values, *seen] if name in seen}
