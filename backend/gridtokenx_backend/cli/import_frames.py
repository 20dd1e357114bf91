"""`gridtokenx-backend import`: a gateway's frames out of a file into the running backend."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer

from gridtokenx_backend.cli.api_call import call
from gridtokenx_backend.cli.terminal import CONFIG, ConfigOption, JsonOption, print_json
from gridtokenx_backend.config.settings import Settings, load_settings
from gridtokenx_backend.errors import OperatorError
from gridtokenx_wire.carried import ACKS, Header, encode_header, read_frames
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import device_text

_BATCH_BYTES = 256 * 1024
_BATCH_FRAMES = 256


class ImportRefused(OperatorError):
    """The file or one of its frames is not as it must be."""


class Imported(msgspec.Struct, frozen=True):
    """`duplicates` were stored before. `next_seq` is what the backend expects next."""

    device: str
    frames: int
    accepted: int
    duplicates: int
    readings: int
    readings_thinned: int
    next_seq: int
    acks: str


def import_frames(
    file: Annotated[Path, typer.Argument(help="What `gridtokenx-edge outbox export` wrote.")],
    config: ConfigOption = CONFIG,
    *,
    api: Annotated[
        str,
        typer.Option("--api", metavar="URL", help="The API's address, if not as in the config."),
    ] = "",
    acks: Annotated[
        Path | None, typer.Option(help="Where the acks go; else FILE with .acks.", metavar="FILE")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Put a gateway's frames out of a file to the running backend, and write its acks.

    For a site that never comes online. Frames that are stored already change nothing, so that it
    may be done again. Give the acks to the gateway: gridtokenx-edge outbox acked FILE.
    """
    receipts = acks or file.with_name(f"{file.name}.acks")
    report = put(file, load_settings(config), api, receipts, _show_progress)
    if as_json:
        print_json(msgspec.structs.asdict(report))
        return
    typer.echo(
        f"{file}: {report.frames} frames with {report.readings} readings of {report.device}: "
        f"{report.accepted} stored now, {report.duplicates} stored before, "
        f"{report.readings_thinned} readings left out by the gateway"
    )
    if report.acks:
        typer.echo(f"to the gateway: gridtokenx-edge outbox acked {report.acks}")


def _show_progress(reached: int, end: int) -> None:
    """On a terminal, one line that is written over."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\rframe {reached} of {end}" + ("\n" if reached == end else ""))
        sys.stderr.flush()


def put(
    path: Path, settings: Settings, api: str, acks: Path, progress: Callable[[int, int], None]
) -> Imported:
    """Puts a file's frames to the backend at `api` and writes its acks.

    What was put before a refusal stays; doing it again changes nothing. `progress` gets the
    frames' next seq and where they end. Raises ImportRefused, and what `call` raises.
    """
    header, readings, thinned = check_file(path)
    device = device_text(header.device)
    frames = accepted = duplicates = next_seq = 0
    receipts: list[bytes] = []
    try:
        with path.open("rb") as stream:
            for batch, reached in _batches(stream):
                where = f"/v1/devices/{device}/frames"
                taken = call(settings, api, "POST", where, b"".join(batch))
                receipts += map(bytes.fromhex, taken["acks"])
                frames += len(batch)
                accepted += taken["accepted"]
                duplicates += taken["duplicates"]
                next_seq = taken["next_seq"]
                if taken["refused"]:
                    raise ImportRefused(f"{path}: refused by the backend: {taken['refused']}")
                progress(reached, header.next_seq)
    finally:
        if receipts:
            _write_acks(acks, header, next_seq, receipts)
    named = str(acks) if receipts else ""
    return Imported(device, frames, accepted, duplicates, readings, thinned, next_seq, named)


def check_file(path: Path) -> tuple[Header, int, int]:
    """Header, number of readings, and of readings left out. Raises ImportRefused.

    Looks at every frame's form and link; signatures are the backend's to check.
    """
    readings = thinned = 0
    try:
        with path.open("rb") as stream:
            header, frames = read_frames(stream)
            for _, frame in frames:
                readings += len(frame.time_ms)
                thinned += frame.left_out
    except OSError as error:
        raise ImportRefused(f"{path}: cannot be read: {error.strerror}") from None
    except WireError as error:
        raise ImportRefused(f"{path}: {error}") from None
    return header, readings, thinned


def _batches(stream: BinaryIO) -> Iterator[tuple[list[bytes], int]]:
    """Frames for one request each, and the seq behind them."""
    _, frames = read_frames(stream)
    batch: list[bytes] = []
    size = reached = 0
    for message, frame in frames:
        batch.append(message)
        size += len(message)
        reached = frame.seq + 1
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_FRAMES:
            yield batch, reached
            batch, size = [], 0
    if batch:
        yield batch, reached


def _write_acks(path: Path, header: Header, next_seq: int, receipts: Iterable[bytes]) -> None:
    start = encode_header(Header(ACKS, header.device, header.chain, 0, next_seq))
    try:
        path.write_bytes(start + b"".join(receipts))
    except OSError as error:
        raise ImportRefused(f"{path}: cannot be written: {error.strerror}") from None
