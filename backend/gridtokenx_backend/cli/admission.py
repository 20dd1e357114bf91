"""`gridtokenx-backend token` and `device`: who may come, who came, and who must go."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

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
DeviceArgument = Annotated[str, typer.Argument(metavar="ID", help="As `device list` shows it.")]
token = typer.Typer(no_args_is_help=True, help="One-time tokens for installers.")
device = typer.Typer(no_args_is_help=True, help="Gateways: list, approve, revoke.")


@token.command("create", epilog='Example: gridtokenx-backend token create --site "Sonnenweg 3"')
def create_token(
    site: Annotated[str, typer.Option(help="The site whose gateway may enrol with it.")],
    valid_hours: Annotated[int, typer.Option(help="How long it may be used: 1 to 720.")] = 24,
    config: ConfigOption = CONFIG,
    api: ApiOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Make a token with which one gateway may enrol, once. It is shown here and nowhere else."""
    body = {"site": site, "valid_hours": valid_hours}
    made = call(load_settings(config), api, "POST", "/v1/tokens", body)
    if as_json:
        print_json(made)
        return
    typer.echo(made["token"])
    until = _time(made["expires_ms"])
    typer.echo(f"id {made['id']}, for {site}, once, until {until}", err=True)


@token.command("list", epilog="Example: gridtokenx-backend token list")
def list_tokens(
    config: ConfigOption = CONFIG, api: ApiOption = "", *, as_json: JsonOption = False
) -> None:
    """Show all tokens that are remembered, by id: open, used, withdrawn or expired."""
    found = call(load_settings(config), api, "GET", "/v1/tokens")
    if as_json:
        print_json(found)
        return
    rows = [
        (each["id"], each["site"], each["status"], _time(each["expires_ms"]), each["device"])
        for each in found
    ]
    print_table(("id", "site", "status", "expires", "used by"), rows)


@token.command("revoke", epilog="Example: gridtokenx-backend token revoke 5f2b6c0a11d04e97")
def withdraw_token(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.")],
    config: ConfigOption = CONFIG,
    api: ApiOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Make a token worthless that nobody has used."""
    path = f"/v1/tokens/{identifier}/withdraw"
    left = call(load_settings(config), api, "POST", path)
    if as_json:
        print_json(left)
    else:
        typer.echo(f"token {left['id']} for {left['site']}: {left['status']}")


@device.command("list", epilog="Example: gridtokenx-backend device list")
def list_devices(
    config: ConfigOption = CONFIG, api: ApiOption = "", *, as_json: JsonOption = False
) -> None:
    """Show all gateways and how they stand."""
    found = call(load_settings(config), api, "GET", "/v1/devices")
    if as_json:
        print_json(found)
        return
    rows = [
        (each["device"], each["site"], _standing(each), each["origin"], str(each["next_seq"]))
        for each in found
    ]
    print_table(("device", "site", "status", "origin", "frames"), rows)


def _standing(device: dict[str, str]) -> str:
    if device["why"]:
        return f"{device['status']}: {device['why']}"
    if device["retire_ms"]:
        return f"{device['status']} until {_time(int(device['retire_ms']))}"
    return device["status"]


@device.command(
    "approve", epilog="Example: gridtokenx-backend device approve pijlp4oeg2eyo5okbnohpaizb4"
)
def approve_device(
    identifier: DeviceArgument,
    config: ConfigOption = CONFIG,
    api: ApiOption = "",
    *,
    beside: Annotated[
        bool, typer.Option("--beside", help="The site's other gateways go on working.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Admit a pending gateway in place of the one that its site has, which is revoked."""
    path = f"/v1/devices/{identifier}/approve"
    done = call(load_settings(config), api, "POST", path, {"beside": beside})
    if as_json:
        print_json(done)
        return
    typer.echo(f"{done['device']}: {done['status']}")
    for former in done["replaced"]:
        typer.echo(f"{former}: revoked")


@device.command(
    "revoke",
    epilog="Example: gridtokenx-backend device revoke pijlp4oeg2eyo5okbnohpaizb4 --reason stolen",
)
def revoke_device(
    identifier: DeviceArgument,
    reason: Annotated[str, typer.Option(help="Goes into the journal.")],
    config: ConfigOption = CONFIG,
    api: ApiOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Shut a gateway out for good: its key and its certificates. Effective within seconds."""
    path = f"/v1/devices/{identifier}/revoke"
    done = call(load_settings(config), api, "POST", path, {"reason": reason})
    if as_json:
        print_json(done)
        return
    typer.echo(f"{done['device']}: {done['status']}")
    for follower in done["followed_by"]:
        typer.echo(
            f"{follower}: active; its key follows the revoked one. Revoke it too, if need be"
        )


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
