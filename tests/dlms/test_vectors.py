"""Frames and messages that others have printed, and the values beside them: `vectors/*.toml`."""

from __future__ import annotations

import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gridtokenx_dlms.data import Data
from gridtokenx_dlms.date_time import CosemDateTime
from gridtokenx_dlms.hdlc.address import HdlcAddress
from gridtokenx_dlms.hdlc.frame import FrameReader
from gridtokenx_dlms.hdlc.llc import without_llc
from gridtokenx_dlms.hdlc.parameters import parse_parameters
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.security import Keys, Protection
from gridtokenx_dlms.session import Ciphering
from gridtokenx_dlms.xdlms.ciphered_message import parse_ciphered
from gridtokenx_dlms.xdlms.general_block import BlockAssembler
from gridtokenx_dlms.xdlms.get import GET_RESPONSE_TAG, GetResponse, parse_get_response
from gridtokenx_dlms.xdlms.notification import DATA_NOTIFICATION_TAG, parse_data_notification

VECTORS = Path(__file__).parent / "vectors"


def printed(kind: str) -> list[Any]:
    return [
        pytest.param(entry, id=entry["name"])
        for path in sorted(VECTORS.glob("*.toml"))
        for entry in tomllib.loads(path.read_text()).get(kind, [])
    ]


def numbers(address: HdlcAddress) -> list[int]:
    return [address.upper] if address.lower is None else [address.upper, address.lower]


@pytest.mark.parametrize("entry", printed("frame"))
def test_a_printed_frame_is_read_and_written(entry: dict[str, Any]) -> None:
    assert entry["source"]
    raw = bytes.fromhex(entry["hex"])
    (frame,) = FrameReader().feed(raw)
    assert frame.kind.name == entry["kind"]
    assert numbers(frame.destination) == entry["destination"]
    assert numbers(frame.source) == entry["origin"]
    if "parameters" in entry:
        found = parse_parameters(frame.information)
        assert entry["parameters"] == [
            found.transmit_length,
            found.receive_length,
            found.transmit_window,
            found.receive_window,
        ]
    if "information" in entry:
        assert frame.information.hex().upper() == entry["information"]
    assert frame.to_bytes() == raw


def whole_message(entry: dict[str, Any]) -> bytes:
    """Out of its frames, segments and blocks."""
    raw = bytes.fromhex(entry["hex"])
    if entry["form"] == "message":
        return raw
    joined = [b""]
    for frame in FrameReader().feed(raw):
        joined[-1] += frame.information
        joined += [] if frame.segmented else [b""]
    assert joined.pop() == b""
    blocks = BlockAssembler()
    parts = [blocks.receive(without_llc(one)) for one in joined]
    assert parts[:-1] == [None] * (len(parts) - 1)
    assert parts[-1] is not None
    return parts[-1]


def opened(message: bytes, entry: dict[str, Any]) -> bytes:
    if "encryption_key" not in entry:
        return message
    authentication = entry.get("authentication_key", bytes(16).hex())
    keys = Keys(
        encryption=bytes.fromhex(entry["encryption_key"]),
        authentication=bytes.fromhex(authentication),
    )
    is_proven = "authentication_key" in entry
    protection = Protection.AUTHENTICATED_ENCRYPTED if is_proven else Protection.ENCRYPTED
    return Ciphering(keys=keys, title=bytes(8), protection=protection, counter=0).decipher(message)


def local(moment: CosemDateTime) -> datetime:
    """As it is printed; without a zone where the meter says none."""
    fields = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    time_ms = moment.unix_ms()
    if time_ms is None:
        return datetime(*fields)
    return datetime.fromtimestamp(time_ms / 1000).astimezone()


def by_code(items: tuple[Data, ...]) -> dict[str, Any]:
    """Return the values of pairs or triples that begin with a logical name."""
    pairs = [item.items()[:2] for item in items]
    codes = [str(Obis.from_bytes(name.octets())).removesuffix(".255") for name, _ in pairs]
    return dict(zip(codes, [plain(value) for _, value in pairs], strict=True))


def plain(value: Data) -> Any:
    return value.value.decode() if isinstance(value.value, bytes) else value.value


@pytest.mark.parametrize("entry", printed("message"))
def test_a_printed_message_has_the_values_beside_it(entry: dict[str, Any]) -> None:
    assert entry["source"]
    message = whole_message(entry)
    if "system_title" in entry:
        ciphered = parse_ciphered(message)
        assert ciphered.title.hex().upper() == entry["system_title"]
        assert len(message) == entry["message_bytes"]
        return
    message = opened(message, entry)
    if message[0] == GET_RESPONSE_TAG:
        response = parse_get_response(message)
        assert isinstance(response, GetResponse)
        assert isinstance(response.value, Data)
        assert local(response.value.moment()) == datetime.fromisoformat(entry["moment"])
        return
    assert message[0] == DATA_NOTIFICATION_TAG
    notice = parse_data_notification(message)
    expected = datetime.fromisoformat(entry["time"]) if "time" in entry else None
    assert (local(notice.time) if notice.time else None) == expected
    items = notice.value.items()
    values = entry.get("values", {})
    assert {place: plain(items[int(place)]) for place in values} == values
    if "codes" in entry:
        assert entry["codes"].items() <= by_code(items).items()


def test_every_file_of_vectors_is_read() -> None:
    assert len(printed("frame")) >= 3
    assert len(printed("message")) >= 11
