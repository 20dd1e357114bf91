"""`/metrics`: the Prometheus text exposition format, version 0.0.4. This module is pure."""

from __future__ import annotations

from collections.abc import Iterable

from gridtokenx_edge.status.state import BusState, GatewayState, MeterState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = dict[str, str]
Sample = tuple[Labels, float]


def metrics_text(state: GatewayState) -> str:
    """Return one family after the other. A value that does not exist has no sample."""
    families = [*_gateway(state), *_buses(state.buses), *_meters(state.buses)]
    return "".join(_family(*family) for family in families)


Family = tuple[str, str, str, list[tuple[str, Labels, float]]]
"""Name, type, help, and samples. A sample is the suffix of the name, labels, and the value."""


def _family(name: str, kind: str, meaning: str, samples: list[tuple[str, Labels, float]]) -> str:
    full = f"gridtokenx_edge_{name}"
    lines = [f"# HELP {full} {meaning}", f"# TYPE {full} {kind}"]
    lines += [f"{full}{suffix}{_labels(labels)} {value!r}" for suffix, labels, value in samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _one(name: str, kind: str, meaning: str, value: float | None) -> Family:
    return _many(name, kind, meaning, [] if value is None else [({}, value)])


def _many(name: str, kind: str, meaning: str, samples: Iterable[Sample]) -> Family:
    return name, kind, meaning, [("", labels, float(value)) for labels, value in samples]


def _gateway(state: GatewayState) -> list[Family]:
    outbox, uplink, clock = state.outbox, state.uplink, state.clock
    troubles = [({"name": uplink.trouble.name}, 1)] if uplink.trouble else []
    verdicts = [({"reason": reason}, count) for reason, count in uplink.verdicts.items()]
    return [
        _many("info", "gauge", "Always 1.", [({"version": state.version}, 1)]),
        _one("up_seconds", "gauge", "Since the agent started.", state.up_s),
        _one("cpu_seconds_total", "counter", "Processor time of the agent.", state.cpu_s),
        _one("resident_memory_bytes", "gauge", "Memory of the agent.", state.memory_bytes),
        _one("clock_synchronised", "gauge", "1 if a time service keeps the clock.",
             clock.is_synchronised),
        _one("clock_max_error_seconds", "gauge", "The kernel's bound on the clock's error.",
             None if clock.max_error_ms is None else clock.max_error_ms / 1000),
        _one("clock_drift_ppm", "gauge", "How far the clock's crystal is off.", clock.drift_ppm),
        _one("outbox_open", "gauge", "1 if the outbox's file can be used.", outbox.is_open),
        _one("outbox_frames", "gauge", "Frames in the outbox.", outbox.frames),
        _one("outbox_bytes", "gauge", "What the outbox takes on the disk.", outbox.bytes),
        _one("readings_held", "gauge", "Readings in no frame yet.", outbox.readings_held),
        _one("readings_sealed_total", "counter", "Readings in frames.", outbox.readings_sealed),
        _one("readings_dropped_total", "counter", "Readings lost as the disk took nothing.",
             outbox.readings_dropped),
        _one("broker_connected", "gauge", "1 if connected.", uplink.is_connected),
        _one("frames_unacked", "gauge", "Frames that no ack covers.", uplink.frames_unacked),
        _one("frames_sent_total", "counter", "Frames sent, again or not.", uplink.frames_sent),
        _one("frames_resent_total", "counter", "Frames sent again.", uplink.frames_resent),
        _one("frames_acked_total", "counter", "Frames that an ack covers.", uplink.frames_acked),
        _one("last_ack_age_seconds", "gauge", "Since the last valid ack.", uplink.last_ack_age_s),
        _many("trouble", "gauge", "1 for what keeps readings from being acked.", troubles),
        _many("verdicts_total", "counter", "Readings not simply accepted.", verdicts),
    ]  # fmt: skip


def _buses(buses: list[BusState]) -> list[Family]:
    named = [({"bus": bus.name}, bus) for bus in buses]
    return [
        _many("bus_up", "gauge", "1 if the port or connection is open.",
              [(labels, bus.is_up) for labels, bus in named]),
        _many("bus_utilisation_ratio", "gauge", "Share of time with a request on the bus.",
              [(labels, bus.utilisation) for labels, bus in named]),
        _many("bus_requests_total", "counter", "Requests.",
              [(labels, bus.requests) for labels, bus in named]),
        _many("bus_busy_seconds_total", "counter", "Time with a request on the bus.",
              [(labels, bus.busy_s) for labels, bus in named]),
    ]  # fmt: skip


def _meters(buses: list[BusState]) -> list[Family]:
    named = [({"bus": bus.name, "meter": meter.id}, meter) for bus in buses for meter in bus.meters]
    return [
        _many("readings_total", "counter", "Readings taken.",
              [(labels, meter.readings) for labels, meter in named]),
        _many("polls_missed_total", "counter", "Grid points that passed without a poll.",
              [(labels, meter.polls_missed) for labels, meter in named]),
        _many("poll_errors_total", "counter", "Polls without a reading.", _errors(named)),
        _many("value_age_seconds", "gauge", "Since the last reading was taken.",
              [(labels, meter.age_s) for labels, meter in named if meter.age_s is not None]),
        _many("power_watts", "gauge", "Last power; negative is export.",
              [(labels, meter.power_w) for labels, meter in named if meter.power_w is not None]),
        _energy("import_kwh_total", "Import register, since the meter was made.",
                [(labels, meter.import_uwh) for labels, meter in named]),
        _energy("export_kwh_total", "Export register, since the meter was made.",
                [(labels, meter.export_uwh) for labels, meter in named]),
        _many("meter_clock_ahead_seconds", "gauge", "The meter's own clock before the gateway's.",
              [(labels, meter.clock_ahead_ms / 1000) for labels, meter in named
               if meter.clock_ahead_ms is not None]),
        _round_trips(named),
    ]  # fmt: skip


def _errors(named: list[tuple[Labels, MeterState]]) -> list[Sample]:
    return [
        ({**labels, "kind": kind}, count)
        for labels, meter in named
        for kind, count in meter.errors.items()
    ]


def _energy(name: str, meaning: str, samples: list[tuple[Labels, int | None]]) -> Family:
    known = [(labels, uwh / 1e9) for labels, uwh in samples if uwh is not None]
    return _many(name, "counter", meaning, known)


def _round_trips(named: list[tuple[Labels, MeterState]]) -> Family:
    samples = []
    for labels, meter in named:
        samples.append(("_sum", labels, meter.answers_s))
        samples.append(("_count", labels, float(meter.answers)))
    return "round_trip_seconds", "summary", "From a request to its reply.", samples
