"""`gridtokenx-backend run`: the server itself."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from gridtokenx_backend.cli.options import CONFIG, ConfigOption
from gridtokenx_backend.config.risks import risks
from gridtokenx_backend.config.settings import load_settings
from gridtokenx_backend.config.surroundings import check_surroundings


def run(
    config: ConfigOption = CONFIG,
    *,
    is_new: Annotated[
        bool,
        typer.Option(
            "--new", help="Begin a new community, though the journal of another one was here."
        ),
    ] = False,
) -> None:
    """Run the community until SIGTERM. Prints one JSON line when it serves."""
    import uvloop  # noqa: PLC0415 - the web server takes a second to import

    from gridtokenx_backend import logs, server  # noqa: PLC0415

    settings = load_settings(config)
    check_surroundings(settings, config)
    logs.configure()
    logs.tell_risks(risks(settings, config))
    uvloop.run(server.run(settings, _print_ready, is_new=is_new))


def _print_ready(api: str) -> None:
    sys.stdout.write(json.dumps({"ready": True, "api": api}) + "\n")
    sys.stdout.flush()
