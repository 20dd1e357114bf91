"""`gridtokenx-edge profile new`: makes a profile from what the meter's display shows."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from gridtokenx_edge.cli.meter_place import (
    AddressOption,
    BaudOption,
    HostOption,
    ParityOption,
    PlaceOptions,
    PortOption,
    RtuOption,
    StopBitsOption,
    run_on_line,
)
from gridtokenx_edge.cli.options import JsonOption
from gridtokenx_edge.cli.terminal import FINDING, fail, print_json, say, writing
from gridtokenx_edge.commissioning.profile.contact import MeterPlace, open_meter
from gridtokenx_edge.commissioning.profile.displayed_values import (
    QUANTITIES,
    DisplayedValue,
    parse_displayed,
)
from gridtokenx_edge.commissioning.profile.profile_text import ProfileDraft, profile_text
from gridtokenx_edge.commissioning.profile.registers import (
    FORM,
    parse_ranges,
    parse_register,
    register_text,
)
from gridtokenx_edge.commissioning.profile.search import (
    Fit,
    choices,
    find,
    find_serial,
    still_fits,
    with_order,
    without,
)
from gridtokenx_edge.commissioning.profile.survey import CHUNK, chosen_places, survey, usual_places
from gridtokenx_edge.commissioning.scan.prober import Prober
from gridtokenx_edge.commissioning.scan.settings import LineSettings
from gridtokenx_edge.meters.point import Point
from gridtokenx_edge.meters.profile import Profile, load_profile, profile_names
from gridtokenx_wire.config import load_toml
from gridtokenx_wire.errors import ConfigError

# A register that nobody answers for costs a time-out. A meter that is silent so often is gone.
_MOST_SILENCES = 20
_ALL = 1 << 16
# The other quantities are easy to recognise, and may be left out.
_NEEDED = ("import", "export", "power")
_ASKED = ("import", "export", "power", "voltage", "frequency")


class DisplaySearch(msgspec.Struct, kw_only=True):
    """What is looked for: what the display shows now, and what it shows some time later."""

    shown: list[DisplayedValue] = []
    then: list[DisplayedValue] = []
    serial: str = ""


NameOption = Annotated[str, typer.Option(help='The maker and the model, such as "Acme EM3".')]
MakerOption = Annotated[
    str, typer.Option(help="The maker as it begins the meters' ids, such as ACME.")
]
OutOption = Annotated[str, typer.Option(help="The file to write. The default is made of the name.")]
ShowsOption = Annotated[
    list[str] | None, typer.Option(help="What the display shows now, such as import=1234.5.")
]
ThenOption = Annotated[
    list[str] | None, typer.Option(help="What the display shows after --wait-s.")
]
WaitOption = Annotated[
    float,
    typer.Option(min=0, max=3600, help="How many seconds pass between --shows and --then."),
]
RegisterOption = Annotated[
    list[str] | None, typer.Option(help=f"A register that is known: {FORM}.")
]
WordOrderOption = Annotated[
    str, typer.Option(help="The order of words, msw_first or lsw_first, if it is known.")
]
RegistersOption = Annotated[
    str, typer.Option(help="Look only at these registers, such as 0-511,0x5000-0x50ff.")
]


def new(
    name: NameOption = "",
    maker: MakerOption = "",
    out: OutOption = "",
    shows: ShowsOption = None,
    then: ThenOption = None,
    wait_s: WaitOption = 30,
    register: RegisterOption = None,
    word_order: WordOrderOption = "",
    registers: RegistersOption = "",
    port: PortOption = "",
    host: HostOption = "",
    address: AddressOption = "",
    baud: BaudOption = "",
    parity: ParityOption = "",
    stop_bits: StopBitsOption = 1,
    rtu_over_tcp: RtuOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the profile of a meter that is not in the list.

    Looks for what the display shows in the meter's registers, and only reads. Asks for what is
    missing when it runs on a terminal.
    """
    asks = sys.stdin.isatty() and not as_json
    name, maker = _ask_names(name, maker, asks=asks)
    try:
        _check_word_order(word_order)
        known = dict(parse_register(text) for text in register or [])
        at = PlaceOptions(
            port=port,
            host=host,
            address=address,
            baud=baud,
            parity=parity,
            stop_bits=stop_bits,
            rtu_over_tcp=rtu_over_tcp,
        ).place(LineSettings(9600))
        places = chosen_places(parse_ranges(registers)) if registers else _usual()
        search = _search(shows or [], then or [], asks=asks and not shows, has_meter=at is not None)
    except ValueError as error:
        fail(str(error))
    file = _new_file(out, name)
    found, serial = _look(at, places, search, wait_s, asks=asks) if at else ({}, None)
    found = _settle({of: with_order(fits, word_order) for of, fits in found.items()})
    chosen, others, open_ = _choose(found, known, asks=asks)
    if open_:
        _print_open(open_, as_json=as_json)
        raise typer.Exit(FINDING)
    draft = ProfileDraft(
        name=name,
        maker=maker,
        date=_today(),
        points=known | chosen,
        serial=serial,
        others=others,
        settings=_settings(at),
    )
    _write(file, draft, at, as_json=as_json)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _ask_names(name: str, maker: str, *, asks: bool) -> tuple[str, str]:
    if asks:
        name = name or typer.prompt("Maker and model", err=True)
        maker = maker or typer.prompt("Maker as in ids", default=name.split()[0].upper(), err=True)
    if not name.strip() or not maker:
        fail("expected --name and --maker")
    return name.strip(), maker


def _check_word_order(word_order: str) -> None:
    """Raise ValueError unless it is a word order, or "" for any."""
    if word_order not in ("", "msw_first", "lsw_first"):
        raise ValueError(f"expected msw_first or lsw_first, got {word_order!r}")


def _new_file(out: str, name: str) -> Path:
    """Return the file to write, which must not be there yet."""
    file = Path(out or f"{re.sub(r'[^a-z0-9]+', '_', name.lower()).strip('_')}.toml")
    if file.exists():
        fail(f"{file}: expected no such file yet")
    return file


def _search(
    shows: Sequence[str], then: Sequence[str], *, asks: bool, has_meter: bool
) -> DisplaySearch:
    """Return what to look for, from the options or from the installer. Raises ValueError."""
    search = DisplaySearch()
    if asks and has_meter:
        for quantity in _ASKED:
            text = typer.prompt(
                f"The display's {quantity} (Enter: not shown, or zero)", default="",
                show_default=False, err=True,
            )  # fmt: skip
            if text:
                search.shown.append(parse_displayed(f"{quantity}={text}"))
        search.serial = typer.prompt(
            "The label's serial number", default="", show_default=False, err=True
        )
    for text in shows:
        if text.startswith("serial="):
            search.serial = text.removeprefix("serial=").strip()
        else:
            search.shown.append(parse_displayed(text))
    search.then = [parse_displayed(text) for text in then]
    if (search.shown or search.serial) and not has_meter:
        raise ValueError("expected --port or --host of the meter whose display was read")
    if unknown := {of.name for of in search.then} - {of.name for of in search.shown}:
        raise ValueError(f"expected --shows {unknown.pop()}=… before --then")
    return search


def _usual() -> dict[int, list[int]]:
    return usual_places(load_profile(name) for name in profile_names())


def _look(
    at: MeterPlace,
    places: dict[int, list[int]],
    search: DisplaySearch,
    wait_s: float,
    *,
    asks: bool,
) -> tuple[dict[str, list[Fit]], tuple[int, int, str, int] | None]:
    """Return what agrees with the display for each quantity, and where the serial number stands."""
    words = run_on_line(_read(at, places))
    found = {shown.name: find(words, shown) for shown in search.shown}
    unsettled = {of: fits for of, fits in _settle(found).items() if of in _NEEDED}
    then = search.then
    if asks and any(len(choices(fits)) > 1 for fits in unsettled.values()):
        then, wait_s = _ask_again(unsettled), 0
    if then:
        chunks = {fc: _chunks_of(found, fc) for fc in (3, 4)}
        later = run_on_line(_read(at, chunks, wait_s))
        for shown in then:
            found[shown.name] = still_fits(found[shown.name], later, shown)
    if not words:
        fail(f"{at}: no register answered; gridtokenx-edge scan finds meters")
    return found, find_serial(words, search.serial) if search.serial else None


def _ask_again(found: dict[str, list[Fit]]) -> list[DisplayedValue]:
    typer.echo("Several registers agree. Wait until the display has changed, then:", err=True)
    again = []
    for name, fits in found.items():
        if len(choices(fits)) > 1 and (text := typer.prompt(f"The display's {name}", err=True)):
            again.append(parse_displayed(f"{name}={text}"))
    return again


def _chunks_of(found: dict[str, list[Fit]], fc: int) -> list[int]:
    """Return the chunks of registers that are to be read again."""
    firsts = {
        at - at % CHUNK
        for fits in found.values()
        for fit in fits
        if fit.fc == fc
        for at in (fit.address, fit.address + 3)
    }
    return sorted(firsts)


async def _read(
    at: MeterPlace, places: dict[int, list[int]], wait_s: float = 0.0
) -> dict[tuple[int, int], int]:
    await asyncio.sleep(wait_s)
    console = Console(stderr=True, markup=False)
    total = sum(map(len, places.values()))
    if not console.is_terminal:
        console.print(f"reading up to {total * CHUNK} registers")
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading registers", total=total)
        async with open_meter(at) as source:
            asker = Prober(source, _MOST_SILENCES, _ALL)
            return await survey(asker, places, lambda: bar.advance(task))


def _settle(found: dict[str, list[Fit]]) -> dict[str, list[Fit]]:
    """Take from each quantity the registers that another one is sure to have."""
    settled = dict(found)
    for name in found:
        ways = choices(settled[name])
        for other in found if len(ways) == 1 else ():
            if other != name:
                settled[other] = without(settled[other], ways[0][:1])
    return settled


def _choose(
    found: dict[str, list[Fit]], known: dict[str, Point], *, asks: bool
) -> tuple[dict[str, Point], dict[str, list[Fit]], dict[str, list[list[Fit]]]]:
    """Return the points, what else agrees with them, and what the installer has to decide."""
    chosen: dict[str, Point] = {}
    others: dict[str, list[Fit]] = {}
    open_: dict[str, list[list[Fit]]] = {}
    for name, fits in found.items():
        quantity = QUANTITIES[name]
        if quantity.point in known:
            continue
        ways = choices(fits)
        if len(ways) > 1 and asks:
            ways = [_ask_which(name, ways)]
        if len(ways) != 1:
            if name in _NEEDED:
                open_[name] = ways
            continue
        best = ways[0][0]
        chosen[quantity.point] = best.point(quantity)
        here = {(fit.type, fit.address): fit for fit in reversed(ways[0])}
        del here[best.type, best.address]
        if here:
            others[quantity.point] = list(here.values())
    return chosen, others, open_


def _ask_which(name: str, ways: list[list[Fit]]) -> list[Fit]:
    for number, fits in enumerate(ways, start=1):
        typer.echo(f"{number}: {register_text(fits[0])} = {fits[0].value:g}", err=True)
    number = 0
    while not 1 <= number <= len(ways):
        number = typer.prompt(f"Which is the {name}, 1 to {len(ways)}", type=int, err=True)
    return ways[number - 1]


def _print_open(open_: dict[str, list[list[Fit]]], *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "ok": False,
                "choices": {
                    name: [register_text(fits[0]) for fits in ways] for name, ways in open_.items()
                },
            }
        )
        return
    for name, ways in open_.items():
        if not ways:
            say(f"{name}: no register agrees with the display; look elsewhere with --registers")
            continue
        say(f"{name}: {len(ways)} ways agree; look again with --then, or choose one:")
        for fits in ways:
            say(f"  --register {register_text(fits[0])}  # {fits[0].value:g}")


def _settings(at: MeterPlace | None) -> dict[str, int | str]:
    if at is None:
        return {}
    if at.settings is None:
        return {"address": at.address}
    of = at.settings
    return {
        "baud": of.baud,
        "parity": of.parity,
        "stop_bits": of.stop_bits,
        "address": at.address,
    }


def _write(file: Path, draft: ProfileDraft, at: MeterPlace | None, *, as_json: bool) -> None:
    needed = {"energy_import": "import", "active_power": "power"}
    if missing := [word for point, word in needed.items() if point not in draft.points]:
        fail(f"expected {' and '.join(missing)}: --shows with a meter, or --register")
    try:
        with writing(file):
            file.write_text(profile_text(draft))
        load_toml(file, Profile)
    except ConfigError as error:
        file.unlink()
        fail("\n".join(error.lines))
    if as_json:
        points = {name: msgspec.to_builtins(point) for name, point in draft.points.items()}
        print_json({"ok": True, "file": str(file), "points": points})
        return
    say(f"{file}: written; what is still to find out stands at its top")
    where = f"--port {at.target}" if at and at.settings else f"--host {at.target}" if at else ""
    say(f"test it: gridtokenx-edge profile test {file} {where}".rstrip())
