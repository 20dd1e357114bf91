"""`gridtokenx-backend grid` and `reconcile`: the grid operator's files, read and compared."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import msgspec
import typer

from gridtokenx_backend.cli.exit_codes import FINDING
from gridtokenx_backend.cli.local_time import community_zone, local_minute
from gridtokenx_backend.cli.operator_api import OperatorApi, operator_api
from gridtokenx_backend.cli.options import CONFIG, ConfigOption, JsonOption, UrlOption, example
from gridtokenx_backend.cli.output import print_answer, print_json, print_table, say, write_file
from gridtokenx_backend.config.settings import load_settings
from gridtokenx_backend.config.terms_file import load_terms
from gridtokenx_backend.core.messages.grid_data import GridSeries
from gridtokenx_backend.core.messages.sharing_outcomes import Allocation
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS
from gridtokenx_backend.errors import OperatorError
from gridtokenx_backend.grid_data import reconciliation
from gridtokenx_backend.grid_data.file_reader import ReadFile, read_file
from gridtokenx_backend.grid_data.file_writer import allocation_lines, as_csv, as_xlsx
from gridtokenx_backend.grid_data.local_time import find_zone, unix_ms
from gridtokenx_backend.grid_data.reconciliation import COMPARED, Direction, Tolerance
from gridtokenx_wire.units import UWH_PER_KWH, parse_kwh

_SHOWN = ("meter", "day", "direction", "gateway kWh", "grid kWh", "verdict")
_LATEST_MS = 2**53
_LONGEST_MS = 93 * 86_400_000
_REGISTER = {"consumption": "import_kwh", "generation": "export_kwh"}

grid = typer.Typer(
    help="Import, show and compare the grid operator's data, and export allocations."
)

FileArgument = Annotated[Path, typer.Argument(help="A file in CSV, XLSX or ebUtilities XML.")]
ZoneOption = Annotated[
    str,
    typer.Option(
        help="The zone of times without an offset, such as Europe/Vienna.", metavar="ZONE"
    ),
]


class BadOption(OperatorError):
    """An option has a bad value. Its text says what was expected."""


@grid.command("import", epilog=example("grid import march.xlsx --zone Europe/Vienna"))
def import_file(
    file: FileArgument,
    config: ConfigOption = CONFIG,
    *,
    zone: ZoneOption = "",
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Put a file's energies into the community's journal, all of them or none.

    In the mode `imported` they are what the next clearing allocates, and what of them cannot be is
    told. The same file again changes nothing.
    """
    api = operator_api(config, url)
    found = read_file(file, zone)
    answer = api.post("/v1/operator/grid-data", msgspec.to_builtins(found.data))
    report = _report(found) | {"entry": answer["entry"], "is_new": answer["is_new"]}
    report["contradictions"] = answer["contradictions"]
    if as_json:
        print_json(report)
        return
    _print_report(file, report)
    state = "journaled as" if answer["is_new"] else "was there before, as"
    say(f"{state} entry {answer['entry']}")
    local = community_zone(api) if answer["contradictions"] else UTC
    for each in answer["contradictions"]:
        say(f"contradiction: {_contradiction(each, local)}", err=True)


def _contradiction(found: dict[str, Any], local: tzinfo) -> str:
    """Return in words what the operator's figures say that cannot be."""
    limit = "it consumed" if found["meter"] else "known producers generated"
    return (
        f"{found['meter'] or 'all meters together'} received more than {limit} in "
        f"{found['intervals']} intervals from {local_minute(found['first_ms'], local)} on: "
        f"{found['said_kwh']} kWh, of which {found['counted_kwh']} kWh count"
    )


@grid.command("export", epilog=example("grid export march.xlsx --from 2026-03-01"))
def export_file(
    file: Annotated[Path, typer.Argument(help="The file to write, .csv or .xlsx.")],
    config: ConfigOption = CONFIG,
    *,
    since: Annotated[
        str, typer.Option("--from", help="The first day, in local time.", metavar="DAY")
    ],
    until: Annotated[
        str,
        typer.Option(
            "--to",
            help="The last day, in local time. The default is the last one there is.",
            metavar="DAY",
        ),
    ] = "",
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Write the allocations: a line for each meter, quantity and interval."""
    if file.suffix not in (".csv", ".xlsx"):
        raise BadOption(f"{file}: expected a name that ends with .csv or .xlsx")
    settings = load_settings(config)
    zone = find_zone(load_terms(settings.community).community.time_zone)
    from_ms, to_ms = _first_ms("--from", since, zone), _LATEST_MS
    if until:
        to_ms = _first_ms("--to", until, zone, days=1)
        if to_ms <= from_ms:
            raise BadOption(f"--to: expected {since} or a later day, got {until}")
    allocations = _allocations(OperatorApi(settings, url), from_ms, to_ms)
    lines = allocation_lines(allocations, zone)
    write_file(file, as_xlsx(lines) if file.suffix == ".xlsx" else as_csv(lines))
    answer = {"file": str(file), "lines": len(lines)}
    print_answer(answer, f"{file}: {len(lines)} lines", as_json=as_json)


def _first_ms(option: str, day: str, zone: ZoneInfo, days: int = 0) -> int:
    """Return when a local day begins, or the day that is `days` later. Raises BadOption."""
    try:
        first = datetime.combine(date.fromisoformat(day) + timedelta(days), time.min, zone)
    except (ValueError, OverflowError):
        raise BadOption(f"{option}: expected a day such as 2026-03-01, got {day!r}") from None
    return unix_ms(first)


def _allocations(api: OperatorApi, from_ms: int, to_ms: int) -> list[Allocation]:
    """Return the allocations of intervals in [from_ms, to_ms), out of the running backend.

    Clearings are asked for from the newest on, because each may correct earlier intervals.
    """
    found: list[Allocation] = []
    before_ms: int | None = _LATEST_MS
    while before_ms is not None and before_ms > from_ms:
        path = f"/v1/operator/allocations?{urlencode({'before_ms': before_ms})}"
        answer = api.get(path)
        page = msgspec.convert(answer["allocations"], list[Allocation])
        found += [each for each in page if from_ms <= each.interval_ms < to_ms]
        before_ms = answer["more_before_ms"]
    return found


@grid.command("show", epilog=example("grid show march.xml"))
def show_file(file: FileArgument, *, zone: ZoneOption = "", as_json: JsonOption = False) -> None:
    """Show what a file contains, and change nothing."""
    report = _report(read_file(file, zone))
    if as_json:
        print_json(report)
    else:
        _print_report(file, report)


def _report(found: ReadFile) -> dict[str, Any]:
    return {
        "format": found.data.format,
        "source": found.data.source,
        "series": len(found.data.series),
        "values": found.values,
        "missing": sum(each.energies_uwh.count(None) for each in found.data.series),
        "left_out": found.left_out,
    }


def _print_report(file: Path, report: dict[str, Any]) -> None:
    say(
        f"{file}: {report['format']}, {report['series']} series of {report['values']} values, "
        f"{report['missing']} missing; SHA-256 {report['source']}"
    )
    for code, count in report["left_out"].items():
        say(f"left out: {count} values of {code or 'no code'}")


def reconcile(
    file: FileArgument,
    config: ConfigOption = CONFIG,
    *,
    zone: ZoneOption = "",
    tolerance_permille: Annotated[
        int,
        typer.Option(
            min=0, max=1000, help="The tolerated thousandths of the operator's energy of a day."
        ),
    ] = 10,
    tolerance_kwh: Annotated[
        str, typer.Option(help="The difference that is tolerated in any case.")
    ] = "0.1",
    to_csv: Annotated[
        Path | None,
        typer.Option("--csv", help="Write the lines to this file, too.", metavar="FILE"),
    ] = None,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Compare the gateways' energy with the grid operator's, by meter and day.

    Exit code 1 if anything differs by more than the tolerance, or is incomplete.
    """
    settings = load_settings(config)
    terms = load_terms(settings.community)
    try:
        tolerance = Tolerance(permille=tolerance_permille, least_uwh=parse_kwh(tolerance_kwh))
    except ValueError as error:
        raise BadOption(f"--tolerance-kwh: {error}") from None
    found = read_file(file, zone)
    local = find_zone(zone or terms.community.time_zone)
    points = {meter.metering_point or meter.id: meter.id for meter in terms.meter}
    series = [
        msgspec.structs.replace(each, meter=points.get(each.meter, each.meter))
        for each in found.data.series
        if each.quantity in COMPARED
    ]
    known = {meter.id for meter in terms.meter}
    for each in series:
        if each.meter not in known:
            raise BadOption(f"{file}: expected meters of {settings.community}, got {each.meter}")
    ours = _ours(OperatorApi(settings, url), series)
    lines = reconciliation.compare(series, ours, local, tolerance)
    if to_csv is not None:
        write_file(to_csv, _as_csv(lines))
    if as_json:
        print_json(
            [dict(zip(reconciliation.HEADINGS, _cells(line), strict=True)) for line in lines]
        )
    else:
        print_table(_SHOWN, [_shown(line) for line in lines])
    if any(line.verdict != "ok" for line in lines):
        raise typer.Exit(FINDING)


def _shown(line: reconciliation.ReconciledDay) -> tuple[str, ...]:
    """Return a line for people that fits a terminal; --csv and --json have all of it."""
    return (
        line.meter,
        line.day,
        line.direction,
        f"{line.gateway_uwh / UWH_PER_KWH:.3f}",
        f"{line.operator_uwh / UWH_PER_KWH:.3f}",
        line.verdict,
    )


def _cells(line: reconciliation.ReconciledDay) -> list[str | int]:
    """Return a line for programs, in which counts are numbers."""
    return [int(cell) if cell.isdecimal() else cell for cell in reconciliation.cells(line)]


def _as_csv(lines: list[reconciliation.ReconciledDay]) -> bytes:
    out = io.StringIO()
    reconciliation.write_csv(out, lines)
    return out.getvalue().encode()


def _ours(api: OperatorApi, series: list[GridSeries]) -> reconciliation.GatewayEnergies:
    """Return the gateways' energies over the span of the file, out of the running backend."""
    spans: dict[str, tuple[int, int]] = {}
    for each in series:
        end_ms = each.start_ms + len(each.energies_uwh) * INTERVAL_MS
        first_ms, last_ms = spans.get(each.meter, (each.start_ms, end_ms))
        spans[each.meter] = min(first_ms, each.start_ms), max(last_ms, end_ms)
    ours: dict[tuple[str, Direction], dict[int, int]] = {}
    for meter, (from_ms, to_ms) in sorted(spans.items()):
        for start_ms in range(from_ms, to_ms, _LONGEST_MS):
            span = {"from_ms": start_ms, "to_ms": min(to_ms, start_ms + _LONGEST_MS)}
            path = f"/v1/meters/{quote(meter, safe='')}/intervals?{urlencode(span)}"
            for row in api.get(path)["intervals"]:
                for direction in COMPARED:
                    if (text := row[_REGISTER[direction]]) is not None:
                        known = ours.setdefault((meter, direction), {})
                        known[row["start_ms"]] = parse_kwh(text)
    return ours
