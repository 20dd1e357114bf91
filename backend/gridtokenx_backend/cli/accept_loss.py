"""`gridtokenx-backend accept-loss`: goes on without what a start has found lost."""

from __future__ import annotations

import asyncio

import msgspec

from gridtokenx_backend.cli.options import CONFIG, ConfigOption, JsonOption, ReasonOption
from gridtokenx_backend.cli.output import print_answer
from gridtokenx_backend.config.settings import load_settings
from gridtokenx_backend.errors import OperatorError


def accept_loss(
    reason: ReasonOption, config: ConfigOption = CONFIG, *, as_json: JsonOption = False
) -> None:
    """Go on without what was lost, as the refused start has said; the journal says so for ever.

    Lost keys are made anew. Try `restore` first: a backup brings back more.
    """
    from gridtokenx_backend.startup.accepted_loss import accept_loss as accept  # noqa: PLC0415

    if not 1 <= len(reason) <= 500 or not reason.isprintable():
        raise OperatorError("--reason: expected 1 to 500 printable characters")
    done = asyncio.run(accept(load_settings(config), reason))
    lines = [*done.lost, f"accepted: entry {done.journal_seq}"]
    print_answer(msgspec.structs.asdict(done), "\n".join(lines), as_json=as_json)
