"""`gridtokenx-edge key`: shows who this device is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gridtokenx_edge.cli.options import JsonOption
from gridtokenx_edge.cli.terminal import fail, load_form, print_json, say
from gridtokenx_edge.config.edge_config import resolve_paths
from gridtokenx_wire.errors import KeyFileError
from gridtokenx_wire.keys import (
    create_private_key,
    device_id,
    device_text,
    load_private_key,
    public_key_text,
)


def key(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The site's edge.toml.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show who this device is; makes its key if there is none. `key rotate` makes the next."""
    if context.invoked_subcommand:
        return
    if config is None:
        fail("gridtokenx-edge: Missing option '--config' / '-c'.")
    # Only the form of the file is checked: TLS files are made for a key, and so after it.
    paths = resolve_paths(load_form(config), config)
    path = paths.key
    if paths.is_key_credential:
        fail(
            f"{config}: device.key: expected a file for this command; make the key there, then"
            f" systemd-creds encrypt --name={path.name} FILE {path.name}.cred"
        )
    try:
        try:
            public = create_private_key(path).public_key()
            is_new = True
        except FileExistsError:
            public = load_private_key(path).public_key()
            is_new = False
    except KeyFileError as error:
        fail(str(error))
    fields = {
        "device": device_text(device_id(public)),
        "public_key": public_key_text(public),
        "key_file": str(path),
        "created": is_new,
    }
    if as_json:
        print_json(fields)
        return
    for name in ("device", "public_key", "key_file"):
        say(f"{name:<10} {fields[name]}")
