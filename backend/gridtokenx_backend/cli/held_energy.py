"""`gridtokenx-backend held`: energy that may never have been measured, and the decision on it."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from gridtokenx_backend.cli.local_time import local_minute
from gridtokenx_backend.cli.operator_command import OperatorCall, with_operator_api
from gridtokenx_backend.cli.options import (
    ReasonOption,
    example,
)
from gridtokenx_backend.cli.output import print_json, print_table
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
@with_operator_api
def list_held(call: OperatorCall) -> None:
    """Show the doubtful steps of meters, and what these meters have counted since."""
    found = call.api.get("/v1/operator/held")
    if call.as_json:
        print_json(found)
        return
    zone = call.zone()
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
@with_operator_api
def release(call: OperatorCall, meter: MeterArgument, reason: ReasonOption) -> None:
    """Say that all of it is real: it is minted to who owned the meter then."""
    _decide(call, "release", meter, reason)


@held.command("void", epilog=example('held void ABB-1 --reason "meter was replaced"'))
@with_operator_api
def void(
    call: OperatorCall,
    meter: MeterArgument,
    reason: ReasonOption,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Void what was counted after the steps as well.")
    ] = False,
) -> None:
    """Say that the doubtful steps are not real: the registers begin after them.

    What the meter has counted since is minted.
    """
    decision = "void_all" if everything else "void"
    _decide(call, decision, meter, reason)


def _decide(call: OperatorCall, decision: str, meter: str, reason: str) -> None:
    known: list[dict[str, Any]] = call.api.get("/v1/operator/held")
    seen = next((each for each in known if each["meter"] == meter), None)
    if seen is None:
        raise OperatorError(f"METER: expected a meter whose energy is held, got {meter!r}")
    body = {
        "decision": decision,
        "since_entry": seen["since_entry"],
        "steps": len(seen["steps"]),
        "reason": reason,
    }
    done = call.api.post(f"/v1/operator/held/{quote(meter, safe='')}", body)
    lines = [f"{each['surplus_kwh']} kWh minted to {each['owner']}" for each in done["minted"]]
    lines += [f"{each['surplus_kwh']} kWh void for {each['owner']}" for each in done["voided"]]
    text = "; ".join(lines) or "nothing to mint"
    call.tell(done, f"{done['meter']}: {text} (entry {done['journal_seq']})")
