"""`gridtokenx-backend import`: a gateway's frames out of a file into the running backend."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import msgspec

from gridtokenx_backend.api.views import FramesTakenView
from gridtokenx_backend.errors import OperatorError
from gridtokenx_wire.carried import ACKS, Header, encode_header, read_frames
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import device_text

_TIMEOUT_S = 60.0
_BATCH_BYTES = 256 * 1024
_BATCH_FRAMES = 256


class ImportRefused(OperatorError):
    """The file, the backend's address or one of the frames is not as it must be."""


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


def put(
    path: Path, api: str, token: str, acks: Path, progress: Callable[[int, int], None]
) -> Imported:
    """Puts a file's frames to the backend at `api` and writes its acks. Raises ImportRefused.

    What was put before a refusal stays; doing it again changes nothing. `progress` gets the
    frames' next seq and where they end.
    """
    header, readings, thinned = check_file(path)
    device = device_text(header.device)
    connection = _connection(api)
    frames = accepted = duplicates = next_seq = 0
    receipts: list[bytes] = []
    try:
        with path.open("rb") as stream:
            for batch, reached in _batches(stream):
                taken = _post(connection, f"/v1/devices/{device}/frames", token, b"".join(batch))
                receipts += map(bytes.fromhex, taken.acks)
                frames += len(batch)
                accepted += taken.accepted
                duplicates += taken.duplicates
                next_seq = taken.next_seq
                if taken.refused:
                    raise ImportRefused(f"{path}: refused by the backend: {taken.refused}")
                progress(reached, header.next_seq)
    finally:
        connection.close()
        if receipts:
            _write_acks(acks, header, next_seq, receipts)
    named = str(acks) if receipts else ""
    return Imported(device, frames, accepted, duplicates, readings, thinned, next_seq, named)


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


def _connection(api: str) -> http.client.HTTPConnection:
    address = urlsplit(api)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ImportRefused(f"--api: expected an address such as http://127.0.0.1:8080, got {api}")
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    try:
        return kind(address.hostname, address.port, timeout=_TIMEOUT_S)
    except ValueError:
        raise ImportRefused(f"--api: expected a port number in {api}") from None


def _post(
    connection: http.client.HTTPConnection, path: str, token: str, body: bytes
) -> FramesTakenView:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/cbor-seq"}
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        where = f"{connection.host}:{connection.port}"
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ImportRefused(f"{where}: expected the running backend: {reason}") from None
    if answer.status != 200:
        raise ImportRefused(f"the backend answers {answer.status}: {_detail(content)}")
    try:
        return msgspec.json.decode(content, type=FramesTakenView)
    except ValueError:
        raise ImportRefused("expected the answer of a gridtokenx-backend") from None


def _detail(content: bytes) -> str:
    try:
        return str(msgspec.json.decode(content, type=dict[str, object]).get("detail", ""))
    except ValueError:
        return "not an answer of a gridtokenx-backend"


def _write_acks(path: Path, header: Header, next_seq: int, receipts: Iterable[bytes]) -> None:
    start = encode_header(Header(ACKS, header.device, header.chain, 0, next_seq))
    try:
        path.write_bytes(start + b"".join(receipts))
    except OSError as error:
        raise ImportRefused(f"{path}: cannot be written: {error.strerror}") from None
