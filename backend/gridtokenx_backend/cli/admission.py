"""`gridtokenx-backend token` and `device`: admits gateways to the community and revokes them."""

from __future__ import annotations

from datetime import tzinfo
from typing import Annotated

import typer

from gridtokenx_backend.cli.local_time import local_minute
from gridtokenx_backend.cli.operator_command import OperatorCall, with_operator_api
from gridtokenx_backend.cli.options import (
    ReasonOption,
    example,
)
from gridtokenx_backend.cli.output import print_json, print_table, say

DeviceArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The gateway's id, as `device list` shows it.")
]
token = typer.Typer(
    no_args_is_help=True, help="Create, list and revoke one-time tokens for installers."
)
device = typer.Typer(no_args_is_help=True, help="List, approve, release and revoke gateways.")


@token.command("create", epilog=example('token create --site "Sonnenweg 3"'))
@with_operator_api
def create_token(
    call: OperatorCall,
    site: Annotated[str, typer.Option(help="The site whose gateway may enrol with it.")],
    valid_hours: Annotated[int, typer.Option(help="How many hours it may be used, 1 to 720.")] = 24,
) -> None:
    """Make a token with which one gateway may enrol once. It is shown only here."""
    body = {"site": site, "valid_hours": valid_hours}
    made = call.api.post("/v1/tokens", body)
    if call.as_json:
        print_json(made)
        return
    say(made["token"])
    until = local_minute(made["expires_ms"], call.zone())
    say(f"id {made['id']}, for {site}, once, until {until}", err=True)


@token.command("list", epilog=example("token list"))
@with_operator_api
def list_tokens(call: OperatorCall) -> None:
    """Show all tokens that are stored, by id: open, used, withdrawn or expired."""
    found = call.api.get("/v1/tokens")
    if call.as_json:
        print_json(found)
        return
    zone = call.zone()
    rows = [
        (
            each["id"],
            each["site"],
            each["status"],
            local_minute(each["expires_ms"], zone),
            each["device"],
        )
        for each in found
    ]
    print_table(("id", "site", "status", "expires", "used by"), rows)


@token.command("revoke", epilog=example("token revoke 5f2b6c0a11d04e97"))
@with_operator_api
def withdraw_token(
    call: OperatorCall,
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="The token's id, as `token list` shows it.")
    ],
) -> None:
    """Withdraw a token that nobody has used, so that nobody can use it."""
    path = f"/v1/tokens/{identifier}/withdraw"
    withdrawn = call.api.post(path)
    text = f"token {withdrawn['id']} for {withdrawn['site']}: {withdrawn['status']}"
    call.tell(withdrawn, text)


@device.command("list", epilog=example("device list"))
@with_operator_api
def list_devices(call: OperatorCall) -> None:
    """Show all gateways with their status, and when each was last heard."""
    found = call.api.get("/v1/devices")
    if call.as_json:
        print_json(found)
        return
    zone = call.zone()
    rows = [
        (
            each["device"],
            each["site"],
            _status(each, zone),
            each["origin"],
            str(each["next_seq"]),
            local_minute(each["last_heard_ms"], zone) if each["last_heard_ms"] else "-",
        )
        for each in found
    ]
    print_table(("device", "site", "status", "origin", "frames", "last heard"), rows)


def _status(device: dict[str, str], zone: tzinfo) -> str:
    if device["why"]:
        return f"{device['status']}: {device['why']}"
    if device["retire_ms"]:
        return f"{device['status']} until {local_minute(int(device['retire_ms']), zone)}"
    return device["status"]


@device.command("approve", epilog=example("device approve pijlp4oeg2eyo5okbnohpaizb4"))
@with_operator_api
def approve_device(
    call: OperatorCall,
    identifier: DeviceArgument,
    *,
    beside: Annotated[
        bool, typer.Option("--beside", help="Let the site's other gateways go on working.")
    ] = False,
) -> None:
    """Admit a pending gateway in place of the one that its site has, which is revoked."""
    path = f"/v1/devices/{identifier}/approve"
    done = call.api.post(path, {"beside": beside})
    if call.as_json:
        print_json(done)
        return
    say(f"{done['device']}: {done['status']}")
    for former in done["replaced"]:
        say(f"{former}: revoked")


@device.command(
    "release",
    epilog=example('device release pijlp4oeg2eyo5okbnohpaizb4 --reason "the copy is destroyed"'),
)
@with_operator_api
def release_device(call: OperatorCall, identifier: DeviceArgument, reason: ReasonOption) -> None:
    """Take frames of a held gateway again, behind those that are stored."""
    path = f"/v1/devices/{identifier}/release"
    done = call.api.post(path, {"reason": reason})
    call.tell(done, f"{done['device']}: {done['status']}")


@device.command(
    "revoke",
    epilog=example("device revoke pijlp4oeg2eyo5okbnohpaizb4 --reason stolen"),
)
@with_operator_api
def revoke_device(call: OperatorCall, identifier: DeviceArgument, reason: ReasonOption) -> None:
    """Revoke a gateway's key and certificates for ever; it takes a few seconds."""
    path = f"/v1/devices/{identifier}/revoke"
    done = call.api.post(path, {"reason": reason})
    if call.as_json:
        print_json(done)
        return
    say(f"{done['device']}: {done['status']}")
    for follower in done["followed_by"]:
        say(f"{follower}: active; its key follows the revoked one. Revoke it too, if need be")
