"""`gridtokenx-backend key`: the key that signs acks, and how it is changed."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from gridtokenx_backend.cli.options import CONFIG, ConfigOption, JsonOption, example
from gridtokenx_backend.cli.output import print_answer
from gridtokenx_backend.config.settings import load_settings
from gridtokenx_backend.errors import CannotStart
from gridtokenx_wire.keys import create_private_key, load_private_key, public_key_text

key = typer.Typer(invoke_without_command=True)


@key.callback(epilog=example("key --config config/backend.toml"))
def show(
    context: typer.Context, config: ConfigOption = CONFIG, *, as_json: JsonOption = False
) -> None:
    """Print the public key that gateways pin; makes the data folder and the key if need be.

    `key rotate` changes it.
    """
    from gridtokenx_backend.config.data_folder import prepare_data_folder  # noqa: PLC0415

    if context.invoked_subcommand:
        return
    settings = load_settings(config)
    prepare_data_folder(settings)
    public = public_key_text(load_private_key(settings.ack_key).public_key())
    print_answer({"ack_key": public}, public, as_json=as_json)


@key.command("rotate", epilog=example("key rotate --config backend.toml"))
def rotate(
    config: ConfigOption = CONFIG,
    *,
    finish: Annotated[
        bool, typer.Option("--finish", help="Sign with the next key from the next start on.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make the next key that signs acks, for gateways to pin beside the present one.

    From the next start on, new gateways get both. When all gateways have both, use --finish.
    """
    settings = load_settings(config)
    following = settings.ack_key_next
    if finish:
        if not following.exists():
            raise CannotStart(
                f"{following}: expected the next key; run key rotate without --finish"
            )
        load_private_key(following)
        former = settings.ack_key_former
        former.unlink(missing_ok=True)
        # A link and not a move, so that the file of `ack_key` is there at every moment.
        former.hardlink_to(settings.ack_key)
        following.replace(settings.ack_key)
        public = public_key_text(load_private_key(settings.ack_key).public_key())
        meaning = "signs acks from the next start on; then gateways may drop the former key"
    else:
        load_private_key(settings.ack_key)
        with suppress(FileExistsError):
            create_private_key(following)
        public = public_key_text(load_private_key(following).public_key())
        meaning = "is next: enter it beside the present one as ack_key of every gateway"
    answer = {"ack_key": public, "in_use": finish}
    print_answer(answer, f"{public} {meaning}", as_json=as_json)
