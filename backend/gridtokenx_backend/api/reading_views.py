"""How the API shows the readings of a meter."""

from __future__ import annotations

import msgspec


class ReadingView(msgspec.Struct, frozen=True, kw_only=True):
    """A reading of a meter's registers, with the oracle's verdict."""

    time_ms: int
    import_kwh: str
    export_kwh: str
    power_w: int | None
    verdict: str
    journal_seq: int


class RefusedFrameView(msgspec.Struct, frozen=True, kw_only=True):
    """A large frame of which every reading was refused: the journal has its hash and verdicts.

    Its readings are not known any more, nor of which of the gateway's meters they were. `verdicts`
    counts them by reason; `sha256` is that of the whole signed frame, in hex.
    """

    journal_seq: int
    device: str
    readings: int
    verdicts: dict[str, int]
    sha256: str


class ReadingsView(msgspec.Struct, frozen=True, kw_only=True):
    """A meter's readings, newest first.

    `refused_frames` are frames of its gateways in the same span that are kept by their hash only.
    """

    meter: str
    readings: list[ReadingView]
    refused_frames: list[RefusedFrameView] = []
