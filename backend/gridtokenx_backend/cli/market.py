"""`gridtokenx-backend market`: halts and resumes trading, and shows how the zones stand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from gridtokenx_backend.cli.api_call import call
from gridtokenx_backend.cli.terminal import (
    CONFIG,
    ConfigOption,
    JsonOption,
    print_json,
    print_table,
)
from gridtokenx_backend.config.settings import load_settings

ApiOption = Annotated[
    str, typer.Option("--api", metavar="URL", help="The API's address, if not as in the config.")
]
ReasonOption = Annotated[str, typer.Option(metavar="TEXT", help="Goes into the journal.")]
ZoneOption = Annotated[str, typer.Option(metavar="NAME", help="Only this zone; else all.")]
market = typer.Typer(no_args_is_help=True, help="Halt and resume trading.")


@market.command(epilog="Example: gridtokenx-backend market status")
def status(
    config: ConfigOption = CONFIG, api: ApiOption = "", *, as_json: JsonOption = False
) -> None:
    """Show each zone's state, prices and links."""
    found = call(load_settings(config), api, "GET", "/v1/zones")
    if as_json:
        print_json(found)
        return
    print_table(
        ("zone", "state", "last GRX/kWh", "floor", "ceiling", "breaker", "why"),
        [_zone(each) for each in found["zones"]],
    )
    if found["links"]:
        print_table(
            ("from", "to", "kWh in 15 min", "room now", "wheeling GRX/kWh", "loss GRX/kWh"),
            [_link(each) for each in found["links"]],
        )


@market.command(
    epilog='Example: gridtokenx-backend market halt --zone north --reason "works on the feeder"'
)
def halt(
    reason: ReasonOption,
    zone: ZoneOption = "",
    config: ConfigOption = CONFIG,
    api: ApiOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Stop everything but expiry: nobody places, amends, cancels or trades."""
    _switch("halt", zone, reason, (config, api), as_json=as_json)


@market.command(
    "cancel-only",
    epilog='Example: gridtokenx-backend market cancel-only --reason "prices of a faulty meter"',
)
def cancel_only(
    reason: ReasonOption,
    zone: ZoneOption = "",
    config: ConfigOption = CONFIG,
    api: ApiOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Stop trading, but let members withdraw their orders."""
    _switch("cancel_only", zone, reason, (config, api), as_json=as_json)


@market.command(epilog='Example: gridtokenx-backend market resume --reason "feeder works again"')
def resume(
    reason: ReasonOption,
    zone: ZoneOption = "",
    config: ConfigOption = CONFIG,
    api: ApiOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Trade again, after a halt, after cancel-only, or before a breaker's pause is over."""
    _switch("resume", zone, reason, (config, api), as_json=as_json)


def _switch(action: str, zone: str, reason: str, where: tuple[Any, str], *, as_json: bool) -> None:
    config, api = where
    body = {"action": action, "zone": zone, "reason": reason}
    done = call(load_settings(config), api, "POST", "/v1/operator/market", body)
    if as_json:
        print_json(done)
    else:
        state, entry = _state(done["status"]), done["journal_seq"]
        typer.echo(f"{', '.join(done['zones'])}: {state} (entry {entry})")


def _state(said: str) -> str:
    return said.replace("_", "-")


def _zone(zone: dict[str, Any]) -> tuple[str, ...]:
    state = _state(zone["status"])
    if until_ms := zone["paused_until_ms"]:
        state += f" until {datetime.fromtimestamp(until_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    breaker = f"{zone['breaker_bps'] / 100:g} %" if zone["breaker_bps"] else "off"
    prices = (zone[f"{name}_grx_per_kwh"] or "-" for name in ("last_price", "floor", "ceiling"))
    return zone["zone"], state, *prices, breaker, zone["reason"]


def _link(link: dict[str, Any]) -> tuple[str, ...]:
    names = ("from_zone", "to_zone", "capacity_kwh", "room_kwh")
    charges = ("wheeling_grx_per_kwh", "loss_grx_per_kwh")
    return tuple(link[name] for name in (*names, *charges))
