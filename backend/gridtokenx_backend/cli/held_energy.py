"""`gridtokenx-backend held`: energy that may never have been measured, and the decision on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gridtokenx_backend.cli.local_time import community_zone, local_minute
from gridtokenx_backend.cli.operator_api import operator_api
from gridtokenx_backend.cli.options import (
    CONFIG,
    ConfigOption,
    JsonOption,
    ReasonOption,
    UrlOption,
    example,
)
from gridtokenx_backend.cli.output import print_answer, print_json, print_table
from gridtokenx_backend.errors import OperatorError

held = typer.Typer(
    no_args_is_help=True,
    help="Energy that may never have been measured: it waits here until you decide what it is.",
)
_WORDS = {
    "jump": "refused readings went on from a jump",
    "rollback": "refused readings went on from a fall",
    "first_reading": "a first reading of zero, or too much after it",
}
MeterArgument = Annotated[
    str, typer.Argument(metavar="METER", help="The meter's id, as `held list` shows it.")
]


@held.command("list", epilog=example("held list"))
def list_held(
    config: ConfigOption = CONFIG, url: UrlOption = "", *, as_json: JsonOption = False
) -> None:
    """Show the doubtful steps of meters, and what these meters have counted since."""
    api = operator_api(config, url)
    found = api.get("/v1/operator/held")
    if as_json:
        print_json(found)
        return
    zone = community_zone(api)
    rows = []
    for each in found:
        for step in each["steps"]:
            span = f"{local_minute(step['from_ms'], zone)} - {local_minute(step['to_ms'], zone)}"
            rows.append((each["meter"], span, step["surplus_kwh"], _WORDS[step["reason"]]))
        for part in each["later"]:
            why = f"at its usual pace, for {part['owner']}"
            rows.append((each["meter"], "since then", part["surplus_kwh"], why))
    print_table(("meter", "time", "kWh", "why"), rows)


@held.command("release", epilog=example('held release ABB-1 --reason "new meter, photo of 1 June"'))
def release(
    meter: MeterArgument,
    reason: ReasonOption,
    config: ConfigOption = CONFIG,
    url: UrlOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Say that all of it is real: it is minted to who owned the meter then."""
    _decide("release", meter, reason, config, url, as_json=as_json)


@held.command("void", epilog=example('held void ABB-1 --reason "meter was replaced"'))
def void(
    meter: MeterArgument,
    reason: ReasonOption,
    config: ConfigOption = CONFIG,
    url: UrlOption = "",
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Void what was counted after the steps as well.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say that the doubtful steps are not real: the registers begin after them.

    What the meter has counted since is minted.
    """
    decision = "void_all" if everything else "void"
    _decide(decision, meter, reason, config, url, as_json=as_json)


def _decide(
    decision: str, meter: str, reason: str, config: Path, url: str, *, as_json: bool
) -> None:
    api = operator_api(config, url)
    known: list[dict[str, Any]] = api.get("/v1/operator/held")
    seen = next((each for each in known if each["meter"] == meter), None)
    if seen is None:
        raise OperatorError(f"METER: expected a meter whose energy is held, got {meter!r}")
    body = {
        "decision": decision,
        "since_entry": seen["since_entry"],
        "steps": len(seen["steps"]),
        "reason": reason,
    }
    done = api.post(f"/v1/operator/held/{quote(meter, safe='')}", body)
    lines = [f"{each['surplus_kwh']} kWh minted to {each['owner']}" for each in done["minted"]]
    lines += [f"{each['surplus_kwh']} kWh void for {each['owner']}" for each in done["voided"]]
    text = "; ".join(lines) or "nothing to mint"
    print_answer(done, f"{done['meter']}: {text} (entry {done['journal_seq']})", as_json=as_json)
