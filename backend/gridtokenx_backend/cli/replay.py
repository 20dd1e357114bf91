"""`gridtokenx-backend replay`: the community's state, computed again from its journal."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from gridtokenx_backend.cli.options import CONFIG, ConfigOption, JsonOption
from gridtokenx_backend.cli.output import print_answer
from gridtokenx_backend.config.settings import load_settings


def replay(
    config: ConfigOption = CONFIG,
    *,
    verify: Annotated[
        bool, typer.Option("--verify", help="Verify from the first entry on, with every signature.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Rebuild the community from its journal and print the digest of its state.

    With --verify everything is computed again and compared: outcomes, leaf hashes, the newest
    snapshot's digest, and the signature of every frame and order.
    """
    from gridtokenx_backend.cli.replay_report import make_report  # noqa: PLC0415 - slow to import

    settings = load_settings(config)
    series = settings.series if settings.series.exists() else None
    report = asyncio.run(make_report(settings.journal, series, verify=verify))
    text = "\n".join(f"{name:>20}  {value}" for name, value in report.items())
    print_answer(report, text, as_json=as_json)
