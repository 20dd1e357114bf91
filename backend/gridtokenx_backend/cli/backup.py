"""`gridtokenx-backend backup` and `restore`: all that a community needs, in one place and back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from gridtokenx_backend.cli.options import CONFIG, ConfigOption, JsonOption
from gridtokenx_backend.cli.output import print_answer
from gridtokenx_backend.config.settings import load_settings

_MIB = 1 << 20


def backup(
    out: Annotated[
        Path,
        typer.Argument(
            metavar="FILE-or-FOLDER", help="One file if it ends in .tar, else a folder."
        ),
    ],
    config: ConfigOption = CONFIG,
    *,
    as_json: JsonOption = False,
) -> None:
    """Copy all that the community needs: journal, documents, keys, tokens, certificates, config.

    The server may run meanwhile. Whoever has the backup has the keys: keep it as safe as those.
    """
    from gridtokenx_backend.backup.backup_writer import make_backup  # noqa: PLC0415

    made = make_backup(load_settings(config), config, out)
    size = sum(each.size for each in made.files)
    lines = [
        f"{out}: {made.community}, {made.entries} entries, {len(made.files)} files, "
        f"{size / _MIB:.1f} MiB"
    ]
    lines += [f"not in it, because it is elsewhere: {path}" for path in made.elsewhere]
    answer = {
        "backup": str(out),
        "community": made.community,
        "entries": made.entries,
        "files": len(made.files),
        "bytes": size,
        "elsewhere": made.elsewhere,
    }
    print_answer(answer, "\n".join(lines), as_json=as_json)


def restore(
    backup_path: Annotated[
        Path, typer.Argument(metavar="FILE-or-FOLDER", help="What `backup` has made.")
    ],
    config: ConfigOption = CONFIG,
    reason: Annotated[
        str,
        typer.Option(
            metavar="TEXT", help="Why later entries are given up; it goes into the journal."
        ),
    ] = "",
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put the present data folder aside; it is kept.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Put a backup back, once every entry of it was computed again and verified.

    If the config file is missing, it is taken from the backup. No server may run.
    """
    from gridtokenx_backend.backup.restoration import restore_backup  # noqa: PLC0415

    console = Console(stderr=True, markup=False)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("verifying", total=None)
        done = asyncio.run(
            restore_backup(
                backup_path,
                config,
                replace=replace,
                reason=reason,
                progress=lambda seq: progress.update(task, completed=seq),
            )
        )
    lines = [f"{done.data}: {done.community}, {done.entries} entries, verified"]
    lines += [f"{done.lost}; the journal says so"] if done.lost else []
    lines += [f"the former data folder is {done.kept}"] if done.kept else []
    print_answer(msgspec.structs.asdict(done), "\n".join(lines), as_json=as_json)
