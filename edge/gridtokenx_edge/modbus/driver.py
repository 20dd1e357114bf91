"""The Modbus driver: the buses of `[[bus]]`, serial and TCP, with meters and SunSpec units."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gridtokenx_edge.config.edge_config import BusConfig, MeterConfig, SerialBus
from gridtokenx_edge.log import FaultLog
from gridtokenx_edge.meters.plan import plan_blocks
from gridtokenx_edge.meters.profile import Profile
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.modbus.readers import Readers, load_any
from gridtokenx_edge.polling.driver import BusFacts, MeterModel, PolledMeter, Surroundings
from gridtokenx_edge.polling.reading_sink import ReadingSink
from gridtokenx_edge.polling.watch import LineWatch
from gridtokenx_wire.reading import Reading

# A loop that is late by more than this hangs; the time comes on top of what its requests may take.
_HANGS_AFTER_S = 60.0
# Besides its blocks, a poll may have to ask after a late reply and for the meter's identity.
_OTHER_REQUESTS = 3
# The models of a SunSpec unit are read one after the other, from three possible places.
_SUNSPEC_REQUESTS = 60


class ModbusBus:
    """One Modbus line with the readers of its meters."""

    def __init__(self, config: BusConfig, surroundings: Surroundings, watch: LineWatch) -> None:
        self._line = Line(config, FaultLog(surroundings.log), watch)
        self._readers = Readers(self._line, surroundings.clock, surroundings.is_synchronised)

    @property
    def is_up(self) -> bool:
        return self._line.is_up

    async def run(self) -> None:
        await self._line.keep_up()

    def open_meter(self, meter: MeterConfig, sink: ReadingSink) -> PolledMeter:
        return PolledMeter(
            line=self._line,
            reader=self._readers.make(meter),
            sink=sink,
            address=meter.address,
            retries=self._line.retries_of(meter),
        )

    async def close_meter(self, meter: str) -> None:
        """Do nothing: Modbus meters know nothing of who asks them."""


class ModbusDriver:
    """Opens Modbus buses."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings

    def facts(self, bus: BusConfig) -> BusFacts:
        return BusFacts(
            line=msgspec.structs.replace(bus, meter=[]),
            where=_where(bus),
            models={meter.id: _model(meter) for meter in bus.meter},
            poll_bound_s=poll_bound_s(bus),
            turn_bound_s=_HANGS_AFTER_S + 4 * bus.timeout_ms / 1000,
        )

    async def prepare(self, buses: Sequence[BusConfig]) -> None:
        """Do nothing: nothing has to be read first."""

    def open_bus(self, bus: BusConfig, watch: LineWatch) -> ModbusBus:
        return ModbusBus(bus, self._surroundings, watch)

    def stored(self, readings: Sequence[Reading]) -> None:
        """Do nothing: a Modbus meter has no load profile from which gaps could be filled."""

    def close(self) -> None:
        """Do nothing: nothing is kept."""


def _where(bus: BusConfig) -> str:
    if isinstance(bus, SerialBus):
        return f"{bus.port} {bus.baud} {bus.parity}"
    return f"{bus.host}:{bus.port}"


def _model(meter: MeterConfig) -> MeterModel:
    profile = load_any(meter.profile)
    return MeterModel(
        name=profile.name,
        address=meter.address,
        maker=profile.maker if isinstance(profile, Profile) else "",
        is_contested=profile.confidence == "contested",
        notes=profile.notes,
    )


def poll_bound_s(bus: BusConfig) -> float:
    """Return how long a poll may take at most, in seconds. A longer one counts as a hang.

    Every meter of the bus may come before it, and each of their requests may wait in vain as often
    as it is repeated. Silent meters also wait until their share of the bus allows a request.
    """
    longest_s = 0.0
    for meter in bus.meter:
        profile = load_any(meter.profile)
        requests, gap_ms = _SUNSPEC_REQUESTS, 0
        if isinstance(profile, Profile):
            requests = len(plan_blocks(profile, set(), bridge=False)) + _OTHER_REQUESTS
            gap_ms = profile.min_gap_ms
        timeout_ms = bus.timeout_ms if meter.timeout_ms is None else meter.timeout_ms
        retries = bus.retries if meter.retries is None else meter.retries
        longest_s += requests * (1 + retries) * (timeout_ms + gap_ms) / 1000
    return _HANGS_AFTER_S + longest_s * 100 / bus.silent_share_percent
