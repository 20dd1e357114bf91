"""Options and arguments that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The site's edge.toml.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]
MeterOption = Annotated[str, typer.Option("--meter", help="Take only the meter with this id.")]
WhereArgument = Annotated[str, typer.Argument(metavar="PORT|HOST[:PORT]", help="Where to look.")]
RecordOption = Annotated[
    str, typer.Option("--record", help="Write requests and replies to this file.")
]
