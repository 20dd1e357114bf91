"""Writes docs/meters.md out of the gateway's profiles: `python docs/write_meters.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

from gridtokenx_edge.meters.dlms import DlmsProfile, dlms_names, load_dlms
from gridtokenx_edge.meters.point import Point
from gridtokenx_edge.meters.profile import (
    Identity,
    Profile,
    Provenance,
    SerialDefaults,
    load_profile,
    profile_names,
)
from gridtokenx_edge.meters.sunspec.models import MODELS, READING_POINTS
from gridtokenx_edge.meters.sunspec.points import SunSpecPoint
from gridtokenx_edge.meters.sunspec.profile import SunSpecProfile, load_sunspec, sunspec_names

PAGE = Path(__file__).with_name("meters.md")

_HEAD = """\
# Meters

This page lists the models that a gateway can read. `docs/write_meters.py` makes it from the
profiles in `edge/gridtokenx_edge/profiles/`, and a test keeps it up to date.

**Confidence** says how well the registers are known. *Confirmed*: independent sources, or a
source and the maker's document, agree on address, type, order and scale. *Single*: there is one
source. *Contested*: sources disagree, and the agent says so when it starts; compare with the
meter's display before anything is minted. None of these meters was at hand, so compare once in
any case.
"""

_KEY = """\
**Line** is the factory setting of baud rate, parity, stop bits and address, where a scan begins;
it is 9600 8N1 at address 1 if no source says otherwise. **Id** says whether the meter has a
readable serial number, or its type as well (*model*). A meter without either has the id of the
config, and each of its readings says so. **Phases** and **more** are values beside the reading:
voltage (V), current (A), power (W), imported (I) and exported (E) energy of each phase; frequency
(Hz), power factor (pf), reactive (var) and apparent power (VA).

Registers are zero-based addresses, as they are sent on the line, with the function code (3
holding, 4 input). If no source says how many registers a request may ask for, it asks for at most
60.
"""

_SUNSPEC = """\
Devices with **SunSpec** describe their own registers, so one profile reads the devices of every
maker:
"""

_DLMS = """\
## DLMS/COSEM

These meters are configured under `[[dlms]]` ([how](installer.md#dlms-meters)). Quantities are
named by OBIS codes, and the meter says its own scalers and units. **Gaps** says whether intervals
that the gateway missed can be read later from the load profile, which must hold the registers
themselves. Confidence has the meaning given above. The grid operator may have changed addresses
and access rights.
"""

_PHASES = {
    "voltage": "V",
    "current": "A",
    "power": "W",
    "energy_import": "I",
    "energy_export": "E",
}
_TRANSPORTS = {"rtu": "RS-485", "tcp": "Modbus TCP"}
_MORE = {
    "frequency": "Hz",
    "power_factor": "pf",
    "reactive_power": "var",
    "apparent_power": "VA",
}


def page() -> str:
    """The whole page: one table of all, then each model."""
    profiles = [(name, load_profile(name)) for name in profile_names()]
    sunspec = [(name, load_sunspec(name)) for name in sunspec_names()]
    makers = {profile.maker for _, profile in profiles}
    sure = Counter(profile.confidence for _, profile in profiles)
    lines = [
        _HEAD,
        f"{len(profiles)} models of {len(makers)} makers: "
        + ", ".join(f"{sure[level]} {level}" for level in ("confirmed", "single", "contested"))
        + ".",
        "",
        _KEY,
        "| profile | model | confidence | transport | line | counts | phases | more | id |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_overview_row(name, profile) for name, profile in profiles),
        "",
        _SUNSPEC,
        "| profile | devices | confidence |",
        "| --- | --- | --- |",
        *(_row(f"[`{name}`](#{name})", of.name, of.confidence) for name, of in sunspec),
    ]
    for name, profile in profiles:
        lines += ["", f"## {name}", "", *_section(profile)]
    for name, device in sunspec:
        lines += ["", f"## {name}", "", *_sunspec_section(device)]
    lines += ["", *_dlms_sections()]
    return "\n".join(lines) + "\n"


def _dlms_sections() -> Iterator[str]:
    profiles = [(name, load_dlms(name)) for name in dlms_names()]
    yield _DLMS
    yield "| profile | model | confidence | how | client, device, address | association | gaps |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, profile in profiles:
        yield _dlms_row(name, profile)
    for name, profile in profiles:
        yield from ("", f"## {name}", "", *_dlms_section(profile))


def _dlms_row(name: str, profile: DlmsProfile) -> str:
    terms = profile.association
    address = terms.physical_address
    places = f"{terms.client}, {terms.logical_device}, {'none' if address is None else address}"
    is_pushed = profile.transports == ("push",)
    return _row(
        f"[`{name}`](#{name})",
        profile.name,
        profile.confidence,
        ", ".join(profile.transports),
        "" if is_pushed else places,
        terms.protection if is_pushed else f"{terms.authentication}, {terms.protection}",
        "yes" if profile.load_profile else "no",
    )


def _dlms_section(profile: DlmsProfile) -> Iterator[str]:
    yield f"{profile.name}. Ids begin with `{profile.maker}-`. Confidence: {profile.confidence}."
    yield ""
    yield "| what | OBIS code | |"
    yield "| --- | --- | --- |"
    yield _row("name", f"`{profile.identity.obis}`", profile.identity.confidence)
    yield _row("energy import", f"`{profile.energy_import}`", "")
    if profile.energy_export:
        optional = "some have none" if profile.export_optional else ""
        yield _row("energy export", f"`{profile.energy_export}`", optional)
    for code in profile.power:
        yield _row("active power", f"`{code}`", "")
    yield _row("clock", f"`{profile.clock}`", "")
    if load := profile.load_profile:
        columns = ", ".join(f"`{code}`" for code in load.columns)
        yield _row("load profile", f"`{load.obis}`", f"{columns}; {load.confidence}")
    if push := profile.push:
        yield _row("pushed values", "", f"{push.layout.replace('_', ' ')}; {push.confidence}")
    yield ""
    if "serial" in profile.transports:
        opening = {"hdlc": "HDLC at once", "mode_e": "mode E first"}[profile.link.opening]
        yield f"{opening}, {profile.link.baud} baud."
        yield ""
    for note in profile.notes:
        yield f"- {note}"
    yield from _sources(profile.provenance)


def _overview_row(name: str, profile: Profile) -> str:
    identity = profile.identity
    return _row(
        f"[`{name}`](#{name})",
        profile.name,
        profile.confidence,
        ", ".join(profile.transports),
        _line(profile.serial) if "rtu" in profile.transports else "",
        "import, export" if profile.energy_export else "import",
        ", ".join(short for kind, short in _PHASES.items() if f"{kind}_l1" in profile.values),
        ", ".join(short for kind, short in _MORE.items() if kind in profile.values),
        "" if identity is None else "model" if identity.model else "serial",
    )


def _line(serial: SerialDefaults) -> str:
    return f"{serial.baud} 8{serial.parity}{serial.stop_bits}, {serial.address}"


def _section(profile: Profile) -> Iterator[str]:
    yield f"{profile.name}. Ids begin with `{profile.maker}-`. Confidence: {profile.confidence}."
    yield ""
    yield "| quantity | function | address | registers | scale | |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, point in profile.all_points().items():
        yield _point_row(name.replace("_", " "), point)
    if profile.identity:
        yield from _identity_rows(profile.identity)
    if clock := profile.clock:
        address = f"0x{clock.address:04X}"
        yield _row("clock", str(clock.fc), address, "DATETIME, 4 registers", "", clock.confidence)
    yield ""
    yield _limits(profile)
    yield ""
    for note in (*profile.notes, *_float_notes(profile)):
        yield f"- {note}"
    yield from _sources(profile.provenance)


def _float_notes(profile: Profile) -> Iterator[str]:
    """A float32 has 24 bits: a counter beyond so many of its steps loses the last ones."""
    energies = [point for point in profile.points().values() if point.is_energy]
    for resolution in sorted({point.resolution for point in energies if point.resolution}):
        unit = next(point.unit for point in energies if point.resolution == resolution)
        most = 2**24 * Decimal(resolution)
        yield (
            f"Energy is a float32: beyond {most:,f} {unit} its steps are no longer"
            f" {resolution} {unit}, but twice that, then four times, and so on."
        )


def _sunspec_section(profile: SunSpecProfile) -> Iterator[str]:
    """What a device's own registers tell: offsets from a model's id, whatever its address."""
    yield (
        f"{profile.name}. Ids begin with the maker that the device names."
        f" Confidence: {profile.confidence}."
    )
    yield ""
    yield "| models | quantity | offset from the model's id | registers | type | scale factor |"
    yield "| --- | --- | --- | --- | --- | --- |"
    shown: dict[tuple[str, SunSpecPoint], list[str]] = {}
    for number in sorted(profile.models):
        for name in READING_POINTS:
            if point := MODELS[number].points.get(name):
                shown.setdefault((name, point), []).append(str(number))
    for (name, point), numbers in shown.items():
        yield _row(
            ", ".join(numbers),
            name.replace("_", " "),
            str(point.offset),
            str(point.end - point.offset),
            f"{point.type}, {point.unit}",
            f"at {point.scale}" if point.scale else "none",
        )
    yield ""
    yield f"At most {profile.max_registers} registers in a request."
    yield ""
    for note in profile.notes:
        yield f"- {note}"
    yield from _sources(profile.provenance)


def _sources(provenance: Iterable[Provenance]) -> Iterator[str]:
    for source in provenance:
        where = f"https://github.com/{source.repo}/blob/{source.commit}/{quote(source.file)}"
        yield f"- Source: [{source.repo}]({where}): {source.says}."


def _point_row(name: str, point: Point) -> str:
    order = "" if point.count == 1 else f", {point.word_order.replace('_', ' ')}"
    step = f", rounded to {point.resolution} {point.unit}" if point.resolution else ""
    remarks = ["optional"] if point.optional else []
    remarks += [f"{raw} means none" for raw in point.invalid_raw]
    return _row(
        name,
        str(point.fc),
        f"0x{point.address:04X}",
        f"{point.type}{order}",
        f"{point.scale} {point.unit}{step}",
        "; ".join(remarks),
    )


def _identity_rows(identity: Identity) -> Iterator[str]:
    remarks = [identity.confidence, *(["optional"] if identity.optional else [])]
    kind = f"{identity.type}, {identity.count} registers"
    address = f"0x{identity.address:04X}"
    yield _row("serial number", str(identity.fc), address, kind, "", "; ".join(remarks))
    if model := identity.model:
        values = ", ".join(f"{value:#x}" for value in model.values)
        yield _row("type", str(model.fc), f"0x{model.address:04X}", model.type, "", values)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |".replace("  ", " ")


def _limits(profile: Profile) -> str:
    gap = f" {profile.min_gap_ms} ms of rest between two." if profile.min_gap_ms else ""
    transports = " or ".join(_TRANSPORTS[transport] for transport in profile.transports)
    return f"{transports}. At most {profile.max_registers} registers in a request.{gap}"


if __name__ == "__main__":
    PAGE.write_text(page())
