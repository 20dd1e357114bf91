"""`gridtokenx-edge check`: checks a site before the installer leaves it."""

from __future__ import annotations

import asyncio
import sys
import textwrap
from enum import Enum
from typing import Annotated

import typer

from gridtokenx_edge.cli.options import ConfigOption, JsonOption, MeterOption
from gridtokenx_edge.cli.read import choose
from gridtokenx_edge.cli.read_dlms import choose_dlms
from gridtokenx_edge.cli.terminal import WIDTH, ProgressLine, fail, finish, load, print_json, say
from gridtokenx_edge.commissioning.check.finding import Finding, Severity, is_ready, verdict
from gridtokenx_edge.commissioning.check.site_check import CheckRequest, SiteCheck
from gridtokenx_edge.config.edge_config import resolve_paths
from gridtokenx_wire.plain_text import escaped
from gridtokenx_wire.release import release

_MARKS = {
    Severity.OK: ("ok", None),
    Severity.NOTE: ("note", typer.colors.CYAN),
    Severity.WARNING: ("WARNING", typer.colors.YELLOW),
    Severity.ERROR: ("ERROR", typer.colors.RED),
}
_INDENT = 9


class FlowNow(Enum):
    """What flows at the meters now."""

    IMPORT = "import"
    EXPORT = "export"


def check(
    config: ConfigOption,
    meter: MeterOption = "",
    duration: Annotated[
        int, typer.Option(min=5, max=86_400, help="How many seconds the meters are polled.")
    ] = 60,
    flow: Annotated[
        FlowNow | None,
        typer.Option(help="The direction that you know the power at these meters to have now."),
    ] = None,
    ack_wait: Annotated[
        float, typer.Option(min=0.1, max=600, help="How many seconds to wait for an ack.")
    ] = 15.0,
    as_json: JsonOption = False,
) -> None:
    """Check the whole site before leaving it; exit code 1 if it is not ready.

    Polls the meters for a minute, judges wiring, direction, scale and identity, and sends one
    reading the whole way to the backend. Registers are read, never written.
    """
    loaded = load(config)
    chosen, of_dlms = choose(loaded, meter), choose_dlms(loaded, meter)
    if not chosen and not of_dlms:
        fail(f"{config}: expected a meter of this config, got {meter!r}")
    wanted = CheckRequest(
        chosen=chosen,
        duration_s=duration,
        flow=flow.value if flow else "",
        ack_wait_s=ack_wait,
        version=release(),
        dlms=of_dlms,
    )
    found: list[Finding] = []
    progress = ProgressLine()

    def tell(finding: Finding) -> None:
        found.append(finding)
        if not as_json:
            progress.clear()
            _print(finding)

    try:
        asyncio.run(
            SiteCheck(loaded, resolve_paths(loaded, config), wanted, tell, progress.show).run()
        )
    finally:
        progress.clear()
    if as_json:
        fields = {"ready": is_ready(found), "verdict": verdict(found), "findings": found}
        print_json(fields)
    else:
        say(f"\n{verdict(found)}")
    finish(is_good=is_ready(found))


def _print(finding: Finding) -> None:
    mark, colour = _MARKS[finding.severity]
    about = f"{finding.about}: " if finding.about else ""
    lines = textwrap.wrap(
        f"{finding.name}: {about}{finding.seen}",
        WIDTH,
        initial_indent=" " * _INDENT,
        subsequent_indent=" " * _INDENT,
        break_on_hyphens=False,
    )
    typer.echo(typer.style(f"{mark:<{_INDENT}}", fg=colour) + escaped(lines[0][_INDENT:]))
    for line in lines[1:]:
        say(line)
    if finding.do:
        indent = " " * (_INDENT + 4)
        do = textwrap.fill(
            finding.do,
            WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
            break_on_hyphens=False,  # so that a command can be copied whole
            break_long_words=False,
        )
        say(f"{' ' * _INDENT}do: {do.lstrip()}")
    sys.stdout.flush()
