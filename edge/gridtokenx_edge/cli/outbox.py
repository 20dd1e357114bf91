"""`gridtokenx-edge outbox`: shows what is stored, and gets it out without a network.

The offline transfer has two files: `export` writes a frame file, and `acked` reads the ack file
that the operator's `gridtokenx-backend import` wrote for it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from rich.console import Console
from rich.progress import Progress as Bar

from gridtokenx_edge.cli.options import ConfigOption, JsonOption
from gridtokenx_edge.cli.terminal import FINDING, example, fail, load_form, print_json, say, writing
from gridtokenx_edge.config.edge_config import EdgeConfig, Paths, resolve_paths
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.store.outbox_errors import (
    OutboxRefusedError,
    OutboxUnavailableError,
    OutboxUnreadableError,
)
from gridtokenx_edge.store.outbox_reader import OutboxSnapshot, Progress, open_snapshot
from gridtokenx_edge.uplink.ack_file import leave_acks, read_acks
from gridtokenx_wire.ack import Ack
from gridtokenx_wire.errors import KeyFileError, WireError
from gridtokenx_wire.keys import device_id, device_text, load_private_key

_SILENT_S = 1.0

app = typer.Typer(
    help="Show, verify and export the frames that are stored and not acked.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.command(epilog=example("outbox status --config config/edge.toml"))
def status(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Show how much is stored, since when, and how long there is room."""
    loaded, paths = _site(config)
    with _snapshot(paths) as snapshot, _progress("reading") as progress:
        found = snapshot.status(device_text(snapshot.device), loaded.outbox, progress)
    if as_json:
        print_json(found)
        return
    say(f"{paths.outbox}: device {found.device}, chain {found.chain}")
    say(f"frames    {found.frames:,} (seq {found.first_seq} to {found.next_seq - 1})")
    say(f"readings  {found.readings:,}, and {found.readings_thinned:,} left out for want of room")
    say(f"oldest    {_time(found.oldest_ms)}")
    say(f"newest    {_time(found.newest_ms)}")
    say(
        f"size      {found.used_bytes / 1e6:.3f} of {found.max_bytes / 1e6:.0f} MB"
        f" ({found.fill_percent} %), on disk {found.file_bytes / 1e6:.3f} MB"
    )
    if found.full_in_days is not None:
        say(f"room for  {found.full_in_days:,} days at the present rate, if nothing is acked")


@app.command(epilog=example("outbox verify --config config/edge.toml"))
def verify(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Check every signature and every link of the chain; exit code 1 if one does not hold."""
    _, paths = _site(config)
    key = _key(paths).public_key()
    with _snapshot(paths) as snapshot, _progress("verifying") as progress:
        try:
            _check_owner(paths, snapshot, key)
            chain = snapshot.verify(key, progress)
        except WireError as error:
            _report_broken(paths, str(error), as_json=as_json)
    if as_json:
        print_json({"ok": True, **msgspec.structs.asdict(chain)})
        return
    say(
        f"{paths.outbox}: ok, {chain.frames:,} frames (seq {chain.first_seq} to"
        f" {chain.next_seq - 1}), {chain.summaries:,} of them summaries"
    )
    say(f"{chain.readings:,} readings signed, {chain.readings_thinned:,} said to be left out")


@app.command(epilog=example("outbox export site.frames --config config/edge.toml"))
def export(
    file: Annotated[Path, typer.Argument(help="The file to which the frames are written.")],
    config: ConfigOption,
    as_json: JsonOption = False,
) -> None:
    """Copy the frames into a file for the operator; the agent may run meanwhile.

    The operator's `gridtokenx-backend import` takes it and gives acks back, for `outbox acked`.
    """
    _, paths = _site(config)
    draft = file.parent / f"{file.name}.part"
    with _snapshot(paths) as snapshot, _progress("copying") as progress:
        with writing(file):
            draft.touch(0o600)
            with draft.open("wb") as stream:
                snapshot.export(stream, progress)
                stream.flush()
                os.fsync(stream.fileno())
            size = draft.stat().st_size
            draft.replace(file)
        fields = {
            "file": str(file),
            "frames": snapshot.count,
            "first_seq": snapshot.first_seq,
            "next_seq": snapshot.next_seq,
            "bytes": size,
        }
    if as_json:
        print_json(fields)
        return
    say(f"{file}: {fields['frames']:,} frames, {size:,} bytes")
    say(f"to the operator: gridtokenx-backend import {file.name} --acks {file.name}.acks")


@app.command(epilog=example("outbox acked site.acks --config config/edge.toml"))
def acked(
    file: Annotated[Path, typer.Argument(help="The file that `gridtokenx-backend import` wrote.")],
    config: ConfigOption,
    as_json: JsonOption = False,
) -> None:
    """Let go of the frames that acks in a file cover; they must be signed by the pinned key."""
    loaded, paths = _site(config)
    key = _key(paths)
    with _snapshot(paths) as snapshot:
        device, chain, before = snapshot.device, snapshot.chain, snapshot.next_seq
    ack_keys = [Ed25519PublicKey.from_public_bytes(each) for each in loaded.backend.ack_key]
    try:
        content = file.read_bytes()
        newest = max(read_acks(file, ack_keys, device, chain), key=lambda ack: ack.next_seq)
    except OSError as error:
        fail(f"{file}: cannot be read: {error.strerror}")
    except WireError as error:
        fail(f"{file}: {error}")
    next_seq = newest.next_seq
    if next_seq > before:
        fail(f"{file}: expected acks of this outbox up to {before}, got {next_seq}")
    handed_over = not asyncio.run(_discard(paths, key, newest))
    if handed_over:
        try:
            leave_acks(paths.outbox, content)
        except OSError as error:
            fail(f"{paths.outbox}: the acks cannot be left beside it: {error.strerror}")
    if as_json:
        print_json({"next_seq": next_seq, "taken": "by_agent" if handed_over else "now"})
        return
    how = "the running agent takes them within a minute" if handed_over else "they are let go of"
    say(f"{file}: the backend has every frame below {next_seq}; {how}")


def _site(config: Path) -> tuple[EdgeConfig, Paths]:
    # Only the form of the file is checked: a site that is never online needs no TLS files.
    loaded = load_form(config)
    return loaded, resolve_paths(loaded, config)


def _key(paths: Paths) -> Ed25519PrivateKey:
    try:
        return load_private_key(paths.key)
    except KeyFileError as error:
        fail(f"{error} (this device's key: gridtokenx-edge key makes it)")


@contextmanager
def _snapshot(paths: Paths) -> Iterator[OutboxSnapshot]:
    try:
        with open_snapshot(paths.outbox) as snapshot:
            yield snapshot
    except OutboxUnreadableError as error:
        fail(str(error))


def _check_owner(paths: Paths, snapshot: OutboxSnapshot, key: Ed25519PublicKey) -> None:
    if device_id(key) != snapshot.device:
        raise WireError(
            f"expected an outbox of {paths.key.name}'s device {device_text(device_id(key))},"
            f" got one of {device_text(snapshot.device)}"
        )


def _report_broken(paths: Paths, reason: str, *, as_json: bool) -> NoReturn:
    if as_json:
        print_json({"ok": False, "reason": reason})
    else:
        say(f"{paths.outbox}: {reason}")
    raise typer.Exit(FINDING)


async def _discard(paths: Paths, key: Ed25519PrivateKey, ack: Ack) -> bool:
    """Delete the frames that are acked. Returns False if an agent has the outbox open."""
    outbox = Outbox(paths.outbox, key)
    try:
        await outbox.open()
        if ack.head and ack.head != await outbox.head_before(ack.next_seq):
            fail(f"expected an ack of this outbox's own frame {ack.next_seq - 1}")
        await outbox.discard_below(ack.next_seq)
    except OutboxUnavailableError as fault:
        fail(str(fault))
    except OutboxRefusedError as refusal:
        if not outbox.is_elsewhere:
            fail(str(refusal))
        return False
    finally:
        await outbox.close()
    return True


def _time(time_ms: int | None) -> str:
    if time_ms is None:
        return "none"
    return datetime.fromtimestamp(time_ms // 1000, UTC).isoformat().replace("+00:00", "Z")


@contextmanager
def _progress(what: str) -> Iterator[Progress]:
    """Show a bar on stderr if the work takes more than a second."""
    started = time.monotonic()
    with Bar(console=Console(stderr=True, markup=False), transient=True, disable=False) as bar:
        task = bar.add_task(what, visible=False)

        def show(done: int, of: int) -> None:
            if done % 64 == 0 and time.monotonic() - started > _SILENT_S:
                bar.update(task, completed=done, total=of, visible=True)

        yield show
