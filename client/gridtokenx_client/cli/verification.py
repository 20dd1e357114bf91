"""The commands `gridtokenx verify ...`, by which anybody computes again what was published."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from gridtokenx_client.cli.wallet import DEFAULT_API, ApiOption, JsonOption
from gridtokenx_client.problem import Mistake, one_line
from gridtokenx_client.verification.auction_check import Comparison, check_auction
from gridtokenx_client.verification.clearing_document import Clearing, read_clearings
from gridtokenx_client.verification.coupling_check import check_coupling
from gridtokenx_terminal.table import Column, TerminalTable

DIFFERS = 1
_WIDEST = 60
_TAKES_A_WHILE = 300
"""Orders in a book: trying every price of it takes longer than a second."""

verify_app = typer.Typer(help="Compute again what the community publishes.", no_args_is_help=True)


@verify_app.callback()
def _commands() -> None:
    """Keep `clearing` a word of its own, although it is the only command here."""


@verify_app.command(
    epilog="Example: gridtokenx verify clearing --interval 1790000100000 --zone main"
)
def clearing(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="A clearing, or a list of them, in JSON."),
    ] = None,
    interval: Annotated[
        int | None,
        typer.Option("--interval", metavar="MS", help="The start of an interval, Unix ms."),
    ] = None,
    zone: Annotated[
        str | None,
        typer.Option("--zone", metavar="NAME", help="Verify one zone only, without coupling."),
    ] = None,
    api: ApiOption = DEFAULT_API,
    *,
    as_json: JsonOption = False,
) -> None:
    """Recompute clearings from their published books; exit 1 if anything differs."""
    if (file is None) == (interval is None):
        raise Mistake("expected either a file or --interval")
    if file is not None:
        found = read_clearings(file)
    else:
        assert interval is not None
        found = _fetch(api, interval, zone)
    if zone is not None:
        found = [each for each in found if each.zone == zone]
        if not found:
            raise Mistake(f"expected a clearing of zone {zone!r}")
    try:
        comparisons = _comparisons(found)
    except ValueError as error:
        raise Mistake(f"expected a clearing with amounts that can be read: {error}") from None
    _show(comparisons, as_json=as_json)
    if not all(each.holds for each in comparisons):
        raise typer.Exit(DIFFERS)


def _fetch(api: str, interval_ms: int, zone: str | None) -> list[Clearing]:
    """Return one zone's clearing, or all of the interval's."""
    from gridtokenx_client.api import Api  # noqa: PLC0415

    with Api(api) as community:
        if zone is not None:
            return [community.clearing(zone, interval_ms)]
        zones = community.zones_of(interval_ms)
        if not zones:
            raise Mistake(f"expected an interval that was cleared, got {interval_ms}")
        return [community.clearing(name, interval_ms) for name in zones]


def _comparisons(clearings: Sequence[Clearing]) -> list[Comparison]:
    """Return the comparisons for each document, and for the coupling of each interval whose zones
    are all there.
    """
    comparisons: list[Comparison] = []
    for each in clearings:
        if len(each.book) > _TAKES_A_WHILE:
            sys.stderr.write(f"{one_line(each.zone)}: {len(each.book)} orders ...\n")
        comparisons += check_auction(each)
    for interval_ms in sorted({each.interval_ms for each in clearings}):
        together = [each for each in clearings if each.interval_ms == interval_ms]
        zones = {each.zone for each in together}
        named = {
            name
            for each in together
            for link in each.links
            for name in (link.from_zone, link.to_zone)
        }
        if named and named <= zones:
            comparisons += check_coupling(together)
    return comparisons


def _show(comparisons: Sequence[Comparison], *, as_json: bool) -> None:
    if as_json:
        report = {
            "holds": all(each.holds for each in comparisons),
            "verdicts": [msgspec.structs.asdict(each) for each in comparisons],
        }
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
        return
    texts = [Column(name, wraps=True) for name in ("check", "computed", "verdict")]
    table = TerminalTable([Column("zone"), *texts])
    for each in comparisons:
        said = "holds" if each.holds else f"differs: {_short(each.published)} is published"
        table.add(
            *(Text(one_line(text)) for text in (each.zone, each.check, _short(each.computed), said))
        )
    Console(markup=False).print(table)
    wrong = sum(not each.holds for each in comparisons)
    sys.stdout.write(f"{len(comparisons)} checks, {wrong} differ\n")


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
