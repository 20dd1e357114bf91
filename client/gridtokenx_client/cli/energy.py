"""`gridtokenx energy METER`: what a meter counted, quarter-hour by quarter-hour."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gridtokenx_client.cli.energy_tables import (
    as_csv,
    buckets,
    day_label,
    energy_table,
    hour_label,
    span_of,
    zone_of,
)
from gridtokenx_client.cli.tables import community_zone
from gridtokenx_client.cli.wallet import (
    DEFAULT_API,
    ApiOption,
    JsonOption,
    KeyOption,
    key_file,
    show,
)
from gridtokenx_client.problem import Mistake
from gridtokenx_client.wallet import Wallet
from gridtokenx_wire.keys import read_token


def energy(
    meter: Annotated[str, typer.Argument(metavar="METER", help="The meter's id.")],
    day: Annotated[
        str | None, typer.Option("--day", metavar="DATE", help="A day, such as 2026-06-21.")
    ] = None,
    month: Annotated[
        str | None, typer.Option("--month", metavar="MONTH", help="A month, such as 2026-06.")
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(
            "--time-zone",
            metavar="ZONE",
            help="The zone by which days begin. The default is the community's.",
        ),
    ] = None,
    key: KeyOption = None,
    operator_token: Annotated[
        Path | None,
        typer.Option(
            "--operator-token",
            metavar="FILE",
            help="The file with the operator's token, which shows any meter.",
        ),
    ] = None,
    api: ApiOption = DEFAULT_API,
    *,
    as_json: JsonOption = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print each interval as CSV.")] = False,
) -> None:
    """Show a meter's energy: a day by the hour, or a month by the day.

    The meter must be yours, and the key the one of its owner's wallet.
    """
    from gridtokenx_client.api import Api  # noqa: PLC0415 (takes half a second)

    if (day is None) == (month is None):
        raise Mistake("expected either --day or --month")
    zone = zone_of(time_zone) if time_zone is not None else None
    span_of(day, month, zone)  # a mistake is told before anybody is asked
    secret = read_token(operator_token) if operator_token else None
    wallet = Wallet.load(key_file(key)) if secret is None else None
    with Api(api, operator_token=secret) as community:
        health = community.health()
        zone = zone or community_zone(health)
        from_ms, to_ms = span_of(day, month, zone)
        token = wallet.read_token(health) if wallet else None
        found = community.intervals(meter, from_ms, to_ms, token)
    if csv:
        sys.stdout.write(as_csv(found))
        return
    rows = buckets(found.intervals, hour_label(zone) if day else day_label(zone))
    show(found, energy_table(found, rows, day or month or ""), as_json=as_json)
