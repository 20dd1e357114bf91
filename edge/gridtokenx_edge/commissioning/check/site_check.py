"""The check before leaving a site: gateway, lines, meters, broker, and the way to an ack."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_edge.commissioning.check.agent_status import ask_agent
from gridtokenx_edge.commissioning.check.broker import reach_broker, try_mqtt
from gridtokenx_edge.commissioning.check.bus_time import PollTime, judge_bus_time, line_us, rest_us
from gridtokenx_edge.commissioning.check.counter_findings import Flow, judge_counters
from gridtokenx_edge.commissioning.check.dlms_as_bus import as_bus
from gridtokenx_edge.commissioning.check.dlms_findings import judge_dlms, judge_pushed
from gridtokenx_edge.commissioning.check.dlms_sampling import sample_dlms
from gridtokenx_edge.commissioning.check.dlms_visit import dlms_files_of
from gridtokenx_edge.commissioning.check.finding import Finding, Severity, note, ok
from gridtokenx_edge.commissioning.check.format_quantity import kwh
from gridtokenx_edge.commissioning.check.host import (
    judge_clock,
    judge_disk,
    judge_down,
    judge_key,
    judge_port,
)
from gridtokenx_edge.commissioning.check.identities import (
    IdentityAnswer,
    judge_identities,
    judge_profile,
)
from gridtokenx_edge.commissioning.check.plausibility import judge_values, power_fits
from gridtokenx_edge.commissioning.check.ports import agent_runs
from gridtokenx_edge.commissioning.check.pushed_meter import pushed_meters
from gridtokenx_edge.commissioning.check.receipt import AckWatch, judge_receipt, send_reading
from gridtokenx_edge.commissioning.check.sampling import BusSamples, MeterSamples, Pace, sample_bus
from gridtokenx_edge.commissioning.check.wiring import judge_bus
from gridtokenx_edge.config.dlms_config import DlmsBus, DlmsMeter, DlmsPush, DlmsSerial, DlmsTcp
from gridtokenx_edge.config.edge_config import BusConfig, EdgeConfig, MeterConfig, Paths
from gridtokenx_edge.dlms.line import line_baud
from gridtokenx_edge.meters.profile import Profile
from gridtokenx_edge.store.clock_status import kernel_synchronised
from gridtokenx_wire.clock import Clock, make_clock
from gridtokenx_wire.errors import KeyFileError
from gridtokenx_wire.keys import device_id, device_text, load_private_key
from gridtokenx_wire.reading import Reading
from gridtokenx_wire.topics import acks_topic


class CheckRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the installer asks for. `duration_s` is community time, the others are real time.

    The shortest round is faster than any serial line, and slow enough for a meter on a network.
    """

    chosen: Sequence[tuple[BusConfig, Sequence[MeterConfig]]]
    duration_s: int
    flow: Flow
    ack_wait_s: float
    version: str
    shortest_round_s: float = 0.05
    dlms: Sequence[tuple[DlmsBus, Sequence[DlmsMeter]]] = ()


class SiteCheck:
    """One check. `tell` gets each finding when it is made, `progress` gets what is being done."""

    def __init__(
        self,
        config: EdgeConfig,
        paths: Paths,
        wanted: CheckRequest,
        tell: Callable[[Finding], None],
        progress: Callable[[str], None],
    ) -> None:
        self._config = config
        self._paths = paths
        self._wanted = wanted
        self._tell = tell
        self._progress = progress
        self._clock: Clock = make_clock(config.clock)
        self._agent_runs = agent_runs(paths.outbox)
        self._readings: list[Reading] = []
        self._rounds = 0

    async def run(self) -> None:
        self._say([judge_key(self._paths.key)])
        self._say([judge_clock(self._config.clock, kernel_synchronised)])
        self._say(judge_disk(self._paths.outbox))
        await asyncio.gather(self._check_buses(), self._check_dlms())
        await self._check_uplink()

    def _say(self, findings: Iterator[Finding] | Sequence[Finding]) -> bool:
        """Tell findings. Returns whether none of them is an error."""
        told = list(findings)
        for each in told:
            self._tell(each)
        return not any(each.severity is Severity.ERROR for each in told)

    async def _check_buses(self) -> None:
        usable = [
            (bus, meters)
            for bus, meters in self._wanted.chosen
            if self._say(judge_port(bus, agent_runs=self._agent_runs))
        ]
        sampled = await asyncio.gather(
            *(
                sample_bus(bus, meters, self._clock, self._pace, self._count_round)
                for bus, meters in usable
            )
        )
        self._say(judge_identities([_answered(meter) for bus in sampled for meter in bus.meters]))
        for bus in sampled:
            self._judge_bus(bus)

    async def _check_dlms(self) -> None:
        usable: list[tuple[DlmsSerial | DlmsTcp, Sequence[DlmsMeter]]] = []
        for bus, meters in self._wanted.dlms:
            if isinstance(bus, DlmsPush):
                heard = await asyncio.to_thread(pushed_meters, self._config.status.port)
                for meter in meters:
                    self._say(judge_pushed(meter.id, heard.get(meter.id)))
            elif self._say(judge_port(as_bus(bus, line_baud(bus)), agent_runs=self._agent_runs)):
                usable.append((bus, meters))
        files = dlms_files_of(self._paths)
        sampled = await asyncio.gather(
            *(
                sample_dlms(bus, meters, files, self._clock, self._pace, self._count_round)
                for bus, meters in usable
            )
        )
        visits = [visit for each in sampled for visit in each.visits]
        for each in sampled:
            for visit in each.visits:
                self._say(judge_dlms(visit, visits))
            if each.bus.meters or each.bus.down:
                self._judge_bus(each.bus)

    @property
    def _pace(self) -> Pace:
        duration_s = self._clock.real_seconds(self._wanted.duration_s * 1000)
        return Pace(duration_s=duration_s, shortest_round_s=self._wanted.shortest_round_s)

    def _count_round(self) -> None:
        self._rounds += 1
        seconds = self._wanted.duration_s
        self._progress(f"polling the meters for {seconds} s, round {self._rounds}")

    def _judge_bus(self, sampled: BusSamples) -> None:
        if sampled.down:
            self._say([judge_down(sampled.bus, sampled.down)])
            return
        self._say(
            judge_bus(
                sampled.bus,
                [(each.meter.id, each.statistics) for each in sampled.meters],
                sampled.hint,
            )
        )
        for each in sampled.meters:
            is_sound = self._say(_meter_findings(each, self._wanted.flow))
            if each.reading and not each.refusal and is_sound:
                self._readings.append(each.reading)
        polls = [self._poll_time(each, sampled.bus) for each in sampled.meters]
        self._say(judge_bus_time(sampled.bus, polls))

    def _poll_time(self, found: MeterSamples, bus: BusConfig) -> PollTime:
        measured_us = found.polls_us // found.polls if found.polls else 0
        every_us = round(self._clock.real_seconds(found.meter.every_ms) * 10**6)
        profile = found.profile
        if not isinstance(profile, Profile):  # only the device knows its plan
            return PollTime(meter=found.meter.id, takes_us=measured_us, every_us=max(1, every_us))
        takes_us = max(measured_us, line_us(profile, bus))
        return PollTime(
            meter=found.meter.id,
            takes_us=takes_us,
            every_us=max(1, every_us),
            rest_us=rest_us(profile),
        )

    async def _check_uplink(self) -> None:
        try:
            key = load_private_key(self._paths.key)
        except KeyFileError:
            return  # this was told already, and nothing can be sent without it
        device = device_id(key.public_key())
        self._progress("connecting to the broker")
        name = device_text(device)
        reach = await reach_broker(self._config.broker, self._paths, name, datetime.now(UTC))
        if not self._say(reach.findings) or reach.broker is None:
            return
        if self._agent_runs and not self._config.broker.insecure:
            self._progress("asking the running agent")
            self._say([await ask_agent(self._config.status.port, self._longest_ack_s)])
            return
        watch = AckWatch(self._config.backend.ack_key, device)
        topic = acks_topic(self._config.site.community, name)
        # A second connection under the agent's name would end the agent's.
        client = f"{name}-check" if self._agent_runs else name
        found, connection = await try_mqtt(reach.broker, client, topic, watch.on_message)
        is_connected = self._say([found])
        if connection:
            if self._agent_runs:
                await self._await_agents_ack(watch)
            await connection.disconnect()
            connection.close()
        if is_connected and not self._agent_runs:
            await self._send_one(key)

    async def _await_agents_ack(self, watch: AckWatch) -> None:
        """Wait for the next ack to the agent, which is as good as an ack to this command."""
        self._progress("waiting for the next ack to the running agent")
        wait_s = self._longest_ack_s
        heard = await watch.wait(wait_s)
        if heard.ack_ms is None and self._config.status.port:
            self._say([await ask_agent(self._config.status.port, wait_s)])
            return
        self._say(judge_receipt(heard, self._config.site.community, wait_s))

    @property
    def _longest_ack_s(self) -> float:
        """How long the next ack may take: a poll, its frame, and the way to the backend."""
        every_ms = max(
            meter.every_ms for bus in (*self._config.bus, *self._config.dlms) for meter in bus.meter
        )
        group_ms = round(self._config.uplink.seal_after_s * 1000)
        real_s = self._clock.real_seconds(every_ms) + self._clock.real_seconds(group_ms)
        return self._wanted.ack_wait_s + min(real_s, 300.0)

    async def _send_one(self, key: Ed25519PrivateKey) -> None:
        if not self._readings:
            seen = "not tried: there is no reading that could be sent"
            self._say([note("ack_untried", "", seen, "mend the meters' findings first")])
            return
        if foreign := _foreign_owner(self._paths.outbox):
            do = "run the check as that user, so that the agent can use what it makes"
            self._say([note("ack_untried", "", f"not tried: {foreign}", do)])
            return
        self._progress("sending one reading, waiting for its ack")
        wanted = self._wanted
        reading = max(self._readings, key=lambda each: each.time_ms)
        heard = await send_reading(
            self._config, self._paths, key, reading, wanted.version, wanted.ack_wait_s
        )
        if isinstance(heard, Finding):
            self._say([heard])
            return
        self._say([ok("outbox", "", f"one reading of {reading.meter} sealed and stored")])
        self._say(judge_receipt(heard, self._config.site.community, wanted.ack_wait_s))

    def _meters(self) -> list[MeterConfig | DlmsMeter]:
        buses = (*self._config.bus, *self._config.dlms)
        return [meter for bus in buses for meter in bus.meter]


def _answered(found: MeterSamples) -> IdentityAnswer:
    return IdentityAnswer(
        bus=found.bus, meter=found.meter, says=found.says, strange=found.refusal, fits=found.fits
    )


def _meter_findings(found: MeterSamples, flow: Flow) -> Iterator[Finding]:
    meter = found.meter
    evidence = found.evidence
    if found.refusal or evidence is None or not evidence.series.times_ms:
        return
    if found.reading:
        reading = found.reading
        shown = f"import {kwh(reading.import_uwh)}, export {kwh(reading.export_uwh)}"
        yield from judge_profile(
            meter, found.profile.confidence, shown, has_identity=found.has_identity
        )
    fits = power_fits(found.values, found.values_power_w)
    counters = list(judge_counters(meter, evidence, flow, fits))
    is_explained = any(each.severity is Severity.ERROR for each in counters)
    for each in judge_values(meter.id, meter.profile, found.values, found.values_power_w):
        if not (is_explained and each.name == "power_scale"):
            yield each
    yield from counters


def _foreign_owner(outbox: Path) -> str:
    """Return why this user must not make or touch the outbox, or ""."""
    owned = outbox if outbox.exists() else outbox.parent
    owner = owned.stat().st_uid
    if owner == os.geteuid():
        return ""
    return f"{owned} belongs to user {owner}, not to this one"
