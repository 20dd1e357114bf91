"""Listens to a serial port without asking, and says what sends by itself there."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec

from gridtokenx_edge.commissioning.scan.settings import LineSettings
from gridtokenx_edge.commissioning.scan.target import SerialTarget
from gridtokenx_edge.config.edge_config import SerialBus
from gridtokenx_edge.meters.foreign_bytes import ForeignBytes, recognise
from gridtokenx_edge.modbus.byte_stream import ByteStream, open_serial
from gridtokenx_edge.polling.faults import LineDown, LineUnfit

# How meters send by themselves: HAN interfaces, wired M-Bus, optical heads with SML, DSMR P1.
SETTINGS = (
    LineSettings(2400),
    LineSettings(2400, "E"),
    LineSettings(9600),
    LineSettings(115_200),
)
# Such meters send every 1 to 10 s.
_SILENCE_S = 11.0
# After a pause of this length a telegram has ended.
_PAUSE_S = 0.3
_FEWEST = 16
_KEPT = 4096


class HeardSender(msgspec.Struct, frozen=True):
    """What sends by itself, at which settings."""

    seen: ForeignBytes
    settings: LineSettings

    @property
    def text(self) -> str:
        """Return it in one line for a person."""
        seen, settings = self.seen, self.settings
        if not seen.is_dlms:
            return f"something sends by itself at {settings}: {seen.what}; {seen.do}"
        return (
            f"a meter sends by itself at {settings}: {seen.what}; read it with [[dlms]]"
            f' kind = "push", baud = {settings.baud}, parity = "{settings.parity}"'
        )


async def listen_for_senders(
    target: SerialTarget, silence_s: float = _SILENCE_S
) -> HeardSender | None:
    """Return what sends by itself on a port, or None if nothing is heard for `silence_s`.

    Bytes at one rate are bytes at every rate, so silence at the first settings is silence. Raises
    LineDown.
    """
    best: HeardSender | None = None
    for settings in SETTINGS:
        try:
            heard = await _hear(target, settings, silence_s)
        except LineUnfit:
            continue
        if len(heard) < _FEWEST:
            if best is None:
                return None
            continue
        found = HeardSender(recognise(heard), settings)
        if found.seen.has_form:
            return found
        best = best or found
    return best


async def _hear(target: SerialTarget, settings: LineSettings, silence_s: float) -> bytes:
    """Return what comes until it has a form, or all of it after `silence_s`."""
    heard = bytearray()
    came = asyncio.Event()

    def received(data: bytes) -> None:
        heard.extend(data)
        del heard[:-_KEPT]
        came.set()

    bus = target.bus(settings, 1.0)
    if not isinstance(bus, SerialBus):
        raise LineDown(f"expected a serial port, got {target}")
    stream = ByteStream(open_serial(bus), received, came.set)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(silence_s):
                await came.wait()
                while not (len(heard) >= _FEWEST and recognise(bytes(heard)).has_form):
                    await _until_pause(came)
    finally:
        stream.close()
    return bytes(heard)


async def _until_pause(came: asyncio.Event) -> None:
    """Wait for bytes, and then for the end of their telegram."""
    await came.wait()
    while came.is_set():
        came.clear()
        await asyncio.sleep(_PAUSE_S)
