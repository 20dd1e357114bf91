"""Reads a SunSpec meter or inverter: which device of its unit it is, and one reading of it."""

from __future__ import annotations

from collections.abc import Collection

from gridtokenx_edge.config.edge_config import MeterConfig
from gridtokenx_edge.meters.plan import quantities
from gridtokenx_edge.meters.site_reading import site_reading
from gridtokenx_edge.meters.sunspec.chain import Chain, Instance, instances
from gridtokenx_edge.meters.sunspec.models import MODELS, READING_POINTS
from gridtokenx_edge.meters.sunspec.nameplate import Nameplate
from gridtokenx_edge.meters.sunspec.plan import (
    ModelPlan,
    MovedError,
    decode_model,
    is_complete,
    plan_model,
)
from gridtokenx_edge.meters.sunspec.points import ScaleError
from gridtokenx_edge.meters.sunspec.profile import SunSpecProfile
from gridtokenx_edge.modbus.sunspec_unit import SunSpecUnit
from gridtokenx_edge.polling.faults import MeterGarbled, MeterStrange, ValueMissing
from gridtokenx_wire.reading import Reading, ReadingFlag


class SunSpecReader:
    """Reads one meter or inverter. Every value of a reading was read by the poll that
    reports it.
    """

    def __init__(self, unit: SunSpecUnit, config: MeterConfig, profile: SunSpecProfile) -> None:
        self._unit = unit
        self._config = config
        self._profile = profile
        self._chain: Chain | None = None
        self._plan: ModelPlan | None = None
        self._nameplate: Nameplate | None = None
        self._has_own_id = True
        self._counted: set[str] = set()

    @property
    def clock_drift_ms(self) -> None:
        """None: the models of SunSpec's meters and inverters have no clock that could be
        compared.
        """

    def forget_identity(self) -> None:
        """The meter was away: look again who it is, and where its registers are, before the next
        reading.
        """
        self._plan = None
        self._unit.forget()

    async def contact(self) -> None:
        """Make sure that the meter is there and is the configured one. Raises BusFault."""
        await self._planned()

    async def poll(self) -> Reading:
        """Return a reading with the time at which its registers were asked for. Raises BusFault."""
        plan = await self._planned()
        time_ms, values = await self._values(plan)
        return self._reading(time_ms, values)

    async def values(self, names: Collection[str] = ()) -> dict[str, int | None]:
        """Return everything that the model tells, or what `names` choose of it. Raises BusFault."""
        plan = await self._planned()
        chosen = names or MODELS[plan.model.id].points
        plan = plan_model(plan.model, self._profile.max_registers, chosen)
        _, values = await self._values(plan)
        return values

    async def _planned(self) -> ModelPlan:
        chain = await self._unit.chain()
        if self._plan is None or chain is not self._chain:
            instance = self._choose(chain)
            nameplate = await self._unit.nameplate(instance.common)
            self._check_id(nameplate, instance)
            self._plan = plan_model(instance.model, self._profile.max_registers)
            self._nameplate, self._chain = nameplate, chain
        return self._plan

    def _choose(self, chain: Chain) -> Instance:
        kind, wanted = self._profile.kind, self._config.instance
        found = instances(chain, kind)
        if len(found) < wanted:
            why = f" ({chain.broken})" if chain.broken else ""
            raise MeterStrange(f"expected {kind} {wanted} of this unit, it has {len(found)}{why}")
        instance = found[wanted - 1]
        if not is_complete(instance.model):
            model = instance.model
            raise MeterStrange(f"expected more of model {model.id} than {model.length} registers")
        return instance

    def _check_id(self, nameplate: Nameplate, instance: Instance) -> None:
        found = nameplate.meter_id(instance.suffix)
        self._has_own_id = bool(found)
        if not nameplate.maker:
            raise MeterStrange("expected a maker in the common model, found none")
        if found and found != self._config.id:
            raise MeterStrange.of_id(self._config.id, found)
        if not found and not self._config.id.startswith(f"{nameplate.maker}-"):
            raise MeterStrange(f"expected {self._config.id}, but its maker is {nameplate.maker}")

    async def _values(self, plan: ModelPlan) -> tuple[int, dict[str, int | None]]:
        maker = self._nameplate.maker if self._nameplate else ""
        time_ms, replies = await self._unit.read(plan.blocks)
        try:
            values = decode_model(
                plan, replies, signed_counters=maker in self._profile.signed_counter_makers
            )
        except MovedError as error:
            self.forget_identity()
            raise MeterGarbled(str(error)) from None
        except ScaleError as error:
            raise ValueMissing(str(error)) from None
        if maker in self._profile.reversed_power_makers:
            values = {name: _turned(name, value) for name, value in values.items()}
        return time_ms, values

    def _reading(self, time_ms: int, values: dict[str, int | None]) -> Reading:
        energies = {name for name in READING_POINTS[:2] if values.get(name) is not None}
        if not energies:
            raise ValueMissing("the energy registers hold no value; an inverter may be asleep")
        if missing := self._counted - energies:
            raise ValueMissing(f"the {min(missing)[7:]} register holds no value any more")
        self._counted |= energies
        flags = ReadingFlag(0) if self._has_own_id else ReadingFlag.CONFIGURED_ID
        config = self._config
        return site_reading(
            config.id, quantities(values), time_ms=time_ms, invert=config.invert, flags=flags
        )


def _turned(name: str, value: int | None) -> int | None:
    is_power = name == "active_power" or name.startswith("power_l")
    return -value if is_power and value is not None else value
