"""Pushed values, decoded by a profile's template: the meter's name, its registers, its
time. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from gridtokenx_dlms.data import Data, DataType
from gridtokenx_dlms.errors import MalformedError
from gridtokenx_dlms.obis import LOGICAL_NAME_BYTES, Obis
from gridtokenx_dlms.objects.selection import CaptureObject
from gridtokenx_dlms.xdlms.notification import DataNotification
from gridtokenx_edge.meters.dlms import DlmsProfile
from gridtokenx_edge.meters.dlms_time import MeterZone
from gridtokenx_edge.meters.dlms_values import (
    UNIT_W,
    UNIT_WH,
    ScalerUnit,
    energy_uwh,
    name_text,
    power_w,
)
from gridtokenx_edge.meters.identity import meter_id

_DEEPEST = 8
_VALUE = 2
# OBIS value groups A (medium) of electricity and of abstract objects.
_ELECTRICITY = (0, 1)
_F_IS_ANY = 255
_MOST_CODES = 12


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """What a notification says; None where it does not say it."""

    meter: str | None = None
    time_ms: int | None = None
    import_uwh: int | None = None
    export_uwh: int | None = None
    power_w: int | None = None


class Valued(msgspec.Struct, frozen=True):
    """A value, and its scaler and unit if they were sent."""

    value: Data
    scale: ScalerUnit | None = None


def decode_push(
    notification: DataNotification,
    profile: DlmsProfile,
    zone: MeterZone,
    near_ms: int | None = None,
) -> Pushed:
    """Return what a notification says. Raises MalformedError where its values do not fit the
    template.

    `near_ms` is what the meter's clock should show, where that is known.
    """
    template = profile.push
    assert template
    if template.layout == "positional":
        found = _by_place(notification.value, profile)
    else:
        found = _by_code(notification.value, profile)
    time = found.get("clock")
    moment = time.value.moment() if time else notification.time
    seen = zone.read(moment, near_ms) if moment else None
    name = found.get("identity")
    text = name_text(name.value) if name else ""
    return Pushed(
        meter=meter_id(profile.maker, text) if text else None,
        time_ms=seen.time_ms if seen else None,
        import_uwh=_energy(found.get("energy_import"), template.energy_scaler),
        export_uwh=_energy(found.get("energy_export"), template.energy_scaler),
        power_w=_power(found, template.power_scaler),
    )


def contents_text(notification: DataNotification) -> str:
    """Return what a notification holds, for a person: its codes, or how many values it has."""
    value = notification.value
    is_list = type(value.value) is tuple
    codes = [str(code) for item in _leaves(value, 0) if (code := _obis(item))]
    listed = [str(column.obis) for column in _captures(value)] if is_list else []
    if found := list(dict.fromkeys(listed or codes)):
        more = f" and {len(found) - _MOST_CODES} more" if len(found) > _MOST_CODES else ""
        return f"the codes {', '.join(found[:_MOST_CODES])}{more}"
    return f"{len(value.items())} values without codes" if is_list else "one value without a code"


def _energy(found: Valued | None, scaler: int) -> int | None:
    if found is None:
        return None
    return energy_uwh(found.value, found.scale or ScalerUnit(scaler=scaler, unit=UNIT_WH))


def _power(found: Mapping[str, Valued], scaler: int) -> int | None:
    values = []
    for name in ("power_import", "power_export"):
        told = found.get(name)
        scale = told.scale if told and told.scale else ScalerUnit(scaler=scaler, unit=UNIT_W)
        values.append(power_w(told.value, scale) if told else None)
    if values == [None, None]:
        return None
    return (values[0] or 0) - (values[1] or 0)


def _by_place(value: Data, profile: DlmsProfile) -> dict[str, Valued]:
    """Return the values by the names of the list with as many elements; nothing if no
    length fits.
    """
    assert profile.push
    items = value.items()
    for names in profile.push.lists:
        if len(names) == len(items):
            return {name: Valued(item) for name, item in zip(names, items, strict=True) if name}
    return {}


def _by_code(value: Data, profile: DlmsProfile) -> dict[str, Valued]:
    """Return the values that follow their OBIS codes, with the scaler and unit that may follow
    them.
    """
    assert profile.push
    power = (*profile.power, "", "")
    wanted = {
        "energy_import": profile.energy_import,
        "energy_export": profile.energy_export,
        "power_import": power[0],
        "power_export": power[1],
        "clock": profile.clock,
        "identity": profile.identity.obis,
    }
    codes = {Obis.parse(code): name for name, code in wanted.items() if code}
    found: dict[str, Valued] = {}
    if captures := _captures(value):
        # The list of what is pushed comes along, as the first of the values itself.
        for capture, item in zip(captures, value.items(), strict=False):
            if capture.attribute == _VALUE and capture.obis in codes:
                found[codes[capture.obis]] = Valued(item)
        return found
    name, is_due = "", False
    leaves = list(_leaves(value, 0))
    place = profile.push.identity_place
    # Another list of the meter may end with a number, which names nobody.
    is_there = place is not None and -len(leaves) <= place < len(leaves)
    if place is not None and is_there and type(leaves[place].value) is bytes:
        found["identity"] = Valued(leaves[place])
    for item in leaves:
        code = None if is_due and name == "identity" else _obis(item)
        if code is not None:
            name, is_due = codes.get(code, ""), True
        elif is_due:
            is_due = False
            if name:
                found[name] = Valued(item)
        elif name and item.type is DataType.STRUCTURE:
            found[name] = Valued(found[name].value, ScalerUnit.from_data(item))
    return found


def _captures(value: Data) -> list[CaptureObject]:
    """Return the push object list that begins the values, if there is one."""
    items = value.items()
    if not items or items[0].type is not DataType.ARRAY:
        return []
    try:
        return [CaptureObject.from_data(item) for item in items[0].items()]
    except MalformedError:
        return []


def _leaves(value: Data, depth: int) -> Iterator[Data]:
    """Yield the values in their order. A scaler stays together with its unit."""
    if depth > _DEEPEST:
        raise MalformedError("expected pushed values less deep")
    if type(value.value) is not tuple or _is_scale(value):
        yield value
        return
    for item in value.items():
        yield from _leaves(item, depth + 1)


def _is_scale(value: Data) -> bool:
    kinds = [item.type for item in value.items()]
    return value.type is DataType.STRUCTURE and kinds == [DataType.INTEGER, DataType.ENUM]


def _obis(item: Data) -> Obis | None:
    if item.type is not DataType.OCTET_STRING or len(item.value) != LOGICAL_NAME_BYTES:
        return None
    code = Obis.from_bytes(item.value)
    return code if code.a in _ELECTRICITY and code.f == _F_IS_ANY else None
