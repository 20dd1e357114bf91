"""`gridtokenx-backend market`: halts and resumes trading, and shows the state of the zones."""

from __future__ import annotations

from datetime import tzinfo
from typing import Annotated, Any

import msgspec
import typer

from gridtokenx_backend.cli.local_time import local_second
from gridtokenx_backend.cli.operator_command import OperatorCall, with_operator_api
from gridtokenx_backend.cli.options import (
    ReasonOption,
    example,
)
from gridtokenx_backend.cli.output import print_json, print_table
from gridtokenx_backend.core.messages.inputs import MarketCommand

ZoneOption = Annotated[
    str, typer.Option(metavar="NAME", help="Take only this zone. The default is all zones.")
]
market = typer.Typer(no_args_is_help=True, help="Halt and resume trading.")


@market.command(epilog=example("market status"))
@with_operator_api
def status(call: OperatorCall) -> None:
    """Show each zone's state, prices and links."""
    found = call.api.get("/v1/zones")
    if call.as_json:
        print_json(found)
        return
    local = call.zone()
    print_table(
        ("zone", "state", "last GRX/kWh", "floor", "ceiling", "breaker", "why"),
        [_zone(each, local) for each in found["zones"]],
    )
    if found["links"]:
        print_table(
            ("from", "to", "kWh in 15 min", "room now", "wheeling GRX/kWh", "loss GRX/kWh"),
            [_link(each) for each in found["links"]],
        )


@market.command(epilog=example('market halt --zone north --reason "works on the feeder"'))
@with_operator_api
def halt(
    call: OperatorCall,
    reason: ReasonOption,
    zone: ZoneOption = "",
) -> None:
    """Stop everything but expiry: nobody places, amends, cancels or trades."""
    command = MarketCommand(action="halt", zone=zone, reason=reason)
    _switch(call, command)


@market.command(
    "cancel-only",
    epilog=example('market cancel-only --reason "prices of a faulty meter"'),
)
@with_operator_api
def cancel_only(
    call: OperatorCall,
    reason: ReasonOption,
    zone: ZoneOption = "",
) -> None:
    """Stop trading, but let members withdraw their orders."""
    command = MarketCommand(action="cancel_only", zone=zone, reason=reason)
    _switch(call, command)


@market.command(epilog=example('market resume --reason "feeder works again"'))
@with_operator_api
def resume(
    call: OperatorCall,
    reason: ReasonOption,
    zone: ZoneOption = "",
) -> None:
    """Trade again, after a halt, after cancel-only, or before a breaker's pause is over."""
    command = MarketCommand(action="resume", zone=zone, reason=reason)
    _switch(call, command)


def _switch(call: OperatorCall, command: MarketCommand) -> None:
    done = call.api.post("/v1/operator/market", msgspec.to_builtins(command))
    state, entry = _state(done["status"]), done["journal_seq"]
    text = f"{', '.join(done['zones'])}: {state} (entry {entry})"
    call.tell(done, text)


def _state(status: str) -> str:
    """Return a status of the API as the commands spell it."""
    return status.replace("_", "-")


def _zone(zone: dict[str, Any], local: tzinfo) -> tuple[str, ...]:
    state = _state(zone["status"])
    if until_ms := zone["paused_until_ms"]:
        state += f" until {local_second(until_ms, local)}"
    breaker = f"{zone['breaker_bps'] / 100:g} %" if zone["breaker_bps"] else "off"
    prices = (zone[f"{name}_grx_per_kwh"] or "-" for name in ("last_price", "floor", "ceiling"))
    return zone["zone"], state, *prices, breaker, zone["reason"]


def _link(link: dict[str, Any]) -> tuple[str, ...]:
    names = ("from_zone", "to_zone", "capacity_kwh", "room_kwh")
    charges = ("wheeling_grx_per_kwh", "loss_grx_per_kwh")
    return tuple(link[name] for name in (*names, *charges))
