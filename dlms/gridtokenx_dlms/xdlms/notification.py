"""DATA-NOTIFICATION: what a meter pushes unasked (Green Book 9.3.10)."""

from __future__ import annotations

import msgspec

from gridtokenx_dlms.axdr import Reader
from gridtokenx_dlms.data import Data, encode, encode_length
from gridtokenx_dlms.date_time import CosemDateTime
from gridtokenx_dlms.errors import MalformedError

DATA_NOTIFICATION_TAG = 0x0F
# Where the time is no octet string but carries the tag of one, as some meters write it.
_TAGGED_TIME = 0x09


class DataNotification(msgspec.Struct, frozen=True):
    """What a meter pushes.

    `invoke` is the long-invoke-id-and-priority, 32 bits; `time` may be missing.
    """

    invoke: int
    time: CosemDateTime | None
    value: Data

    def to_bytes(self) -> bytes:
        time = self.time.to_bytes() if self.time else b""
        head = bytes((DATA_NOTIFICATION_TAG,)) + self.invoke.to_bytes(4, "big")
        return head + encode_length(len(time)) + time + encode(self.value)


def parse_data_notification(message: bytes) -> DataNotification:
    """Return the notification in a message. Raises MalformedError."""
    reader = Reader(message)
    if reader.byte() != DATA_NOTIFICATION_TAG:
        raise MalformedError("expected the tag of a data notification")
    invoke = int.from_bytes(reader.take(4), "big")
    if message[reader.at : reader.at + 2] == bytes((_TAGGED_TIME, 12)):
        reader.byte()
    time = reader.octets()
    moment = CosemDateTime.from_bytes(time) if time else None
    notification = DataNotification(invoke, moment, reader.data())
    reader.end()
    return notification
