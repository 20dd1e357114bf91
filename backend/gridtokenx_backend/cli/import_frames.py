"""`gridtokenx-backend import`: a gateway's frames out of a file into the running backend."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer

from gridtokenx_backend.cli.operator_api import OperatorApi, operator_api
from gridtokenx_backend.cli.options import CONFIG, ConfigOption, JsonOption, UrlOption
from gridtokenx_backend.cli.output import print_answer, write_file
from gridtokenx_backend.errors import OperatorError
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import device_text
from gridtokenx_wire.message_file import FileType, Header, encode_header, read_frames

_BATCH_BYTES = 256 * 1024
_BATCH_FRAMES = 256


class ImportRefused(OperatorError):
    """The file, or one of its frames, cannot be imported. Its text says why."""


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file's frames.

    `duplicates` were stored before. `next_seq` is what the backend expects next. `acks` is the
    file of the acks, or empty if there are none.
    """

    device: str
    frames: int
    accepted: int
    duplicates: int
    readings: int
    readings_thinned: int
    next_seq: int
    acks: str


def import_frames(
    file: Annotated[
        Path, typer.Argument(help="The file that `gridtokenx-edge outbox export` wrote.")
    ],
    config: ConfigOption = CONFIG,
    *,
    url: UrlOption = "",
    acks: Annotated[
        Path | None,
        typer.Option(help="The file for the acks. The default is FILE with .acks.", metavar="FILE"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Put a gateway's frames out of a file to the running backend, and write its acks.

    For a site that never comes online. Frames that are stored already change nothing, so that it
    may be done again. Give the acks to the gateway: gridtokenx-edge outbox acked FILE.
    """
    receipts = acks or file.parent / f"{file.name}.acks"
    report = put(file, operator_api(config, url), receipts, _show_progress)
    text = (
        f"{file}: {report.frames} frames with {report.readings} readings of {report.device}: "
        f"{report.accepted} stored now, {report.duplicates} stored before, "
        f"{report.readings_thinned} readings left out by the gateway"
    )
    if report.acks:
        text += f"\nto the gateway: gridtokenx-edge outbox acked {report.acks}"
    print_answer(msgspec.structs.asdict(report), text, as_json=as_json)


def _show_progress(reached: int, end: int) -> None:
    """Show on a terminal how far the import is, in one line that is written again and again."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\rframe {reached} of {end}" + ("\n" if reached == end else ""))
        sys.stderr.flush()


def put(
    path: Path, api: OperatorApi, acks: Path, progress: Callable[[int, int], None]
) -> ImportReport:
    """Put a file's frames to the backend, and write its acks into the file `acks`.

    Frames that were stored before a refusal stay; to put them again changes nothing. `progress`
    gets the `seq` behind the frames that were put, and the one behind the last frame of the file.
    Raises ImportRefused, and what `OperatorApi` raises.
    """
    header, readings, thinned = check_file(path)
    device = device_text(header.device)
    frames = accepted = duplicates = next_seq = acked = 0
    receipts: list[bytes] = []
    try:
        with path.open("rb") as stream:
            for batch, reached in _batches(stream):
                where = f"/v1/devices/{device}/frames"
                answer = api.post_frames(where, b"".join(batch))
                receipts += map(bytes.fromhex, answer["acks"])
                frames += len(batch)
                accepted += answer["accepted"]
                duplicates += answer["duplicates"]
                next_seq, acked = answer["next_seq"], min(answer["next_seq"], reached)
                if answer["refused"]:
                    raise ImportRefused(f"{path}: refused by the backend: {answer['refused']}")
                progress(reached, header.next_seq)
    finally:
        if receipts:
            _write_acks(acks, header, acked, receipts)
    return ImportReport(
        device=device,
        frames=frames,
        accepted=accepted,
        duplicates=duplicates,
        readings=readings,
        readings_thinned=thinned,
        next_seq=next_seq,
        acks=str(acks) if receipts else "",
    )


def check_file(path: Path) -> tuple[Header, int, int]:
    """Return a file's header, and how many readings it holds and were left out of it.

    The form of every frame and its place in the chain are checked here; the backend checks the
    signatures. Raises ImportRefused.
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
    """Yield the frames of each request, and the `seq` behind the last of them."""
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
    start = encode_header(
        Header(
            type=FileType.ACKS,
            device=header.device,
            chain=header.chain,
            first_seq=0,
            next_seq=next_seq,
        )
    )
    write_file(path, start + b"".join(receipts))
