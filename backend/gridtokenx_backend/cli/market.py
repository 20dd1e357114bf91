"""`gridtokenx-backend market`: halts and resumes trading, and shows the state of the zones."""

from __future__ import annotations

from datetime import tzinfo
from typing import Annotated, Any

import msgspec
import typer

from gridtokenx_backend.cli.local_time import community_zone, local_second
from gridtokenx_backend.cli.operator_api import OperatorApi, operator_api
from gridtokenx_backend.cli.options import (
    CONFIG,
    ConfigOption,
    JsonOption,
    ReasonOption,
    UrlOption,
    example,
)
from gridtokenx_backend.cli.output import print_answer, print_json, print_table
from gridtokenx_backend.core.messages.inputs import MarketCommand

ZoneOption = Annotated[
    str, typer.Option(metavar="NAME", help="Take only this zone. The default is all zones.")
]
market = typer.Typer(no_args_is_help=True, help="Halt and resume trading.")


@market.command(epilog=example("market status"))
def status(
    config: ConfigOption = CONFIG, url: UrlOption = "", *, as_json: JsonOption = False
) -> None:
    """Show each zone's state, prices and links."""
    api = operator_api(config, url)
    found = api.get("/v1/zones")
    if as_json:
        print_json(found)
        return
    local = community_zone(api)
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
def halt(
    reason: ReasonOption,
    zone: ZoneOption = "",
    config: ConfigOption = CONFIG,
    url: UrlOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Stop everything but expiry: nobody places, amends, cancels or trades."""
    command = MarketCommand(action="halt", zone=zone, reason=reason)
    _switch(command, operator_api(config, url), as_json=as_json)


@market.command(
    "cancel-only",
    epilog=example('market cancel-only --reason "prices of a faulty meter"'),
)
def cancel_only(
    reason: ReasonOption,
    zone: ZoneOption = "",
    config: ConfigOption = CONFIG,
    url: UrlOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Stop trading, but let members withdraw their orders."""
    command = MarketCommand(action="cancel_only", zone=zone, reason=reason)
    _switch(command, operator_api(config, url), as_json=as_json)


@market.command(epilog=example('market resume --reason "feeder works again"'))
def resume(
    reason: ReasonOption,
    zone: ZoneOption = "",
    config: ConfigOption = CONFIG,
    url: UrlOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Trade again, after a halt, after cancel-only, or before a breaker's pause is over."""
    command = MarketCommand(action="resume", zone=zone, reason=reason)
    _switch(command, operator_api(config, url), as_json=as_json)


def _switch(command: MarketCommand, api: OperatorApi, *, as_json: bool) -> None:
    done = api.post("/v1/operator/market", msgspec.to_builtins(command))
    state, entry = _state(done["status"]), done["journal_seq"]
    text = f"{', '.join(done['zones'])}: {state} (entry {entry})"
    print_answer(done, text, as_json=as_json)


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
