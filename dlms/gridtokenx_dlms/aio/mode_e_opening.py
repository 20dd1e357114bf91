"""Opens a meter in mode E of IEC 62056-21: 300 baud and 7E1 until both ends change to HDLC."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec

from gridtokenx_dlms.aio.line import ByteLine
from gridtokenx_dlms.errors import LinkError, MalformedError, UnsupportedError
from gridtokenx_dlms.mode_e import (
    BAUD_RATES,
    MAX_IDENTIFICATION,
    OPENING_BAUD,
    Identification,
    option_select,
    parse_identification,
    request_message,
    with_parity,
    without_parity,
)

_MAX_RECEIVED = 4 * MAX_IDENTIFICATION  # the echo of an optical head and noise included

_LINE_END = with_parity(b"\n")
_SLASH = with_parity(b"/")  # what comes before it is noise, whose parity may be wrong


class OpeningTiming(msgspec.Struct, frozen=True, kw_only=True):
    """IEC 62056-21, 5: a meter answers within 1.5 s, and leaves 1.5 s at most between characters.

    `confirmation_s` is how long its confirmation at the new rate is waited for; a meter that does
    not send one only costs this time. `echo_s` is within which an optical head sends back what it
    was told.
    """

    reply_s: float = 2.5
    gap_s: float = 1.5
    confirmation_s: float = 1.5
    retries: int = 2


async def open_in_mode_e(
    line: ByteLine,
    device: str = "",
    timing: OpeningTiming | None = None,
    baud_limit: int | None = None,
) -> Identification:
    """Ask the meter (of this device address) for HDLC, and leaves the line at its rate.

    `baud_limit` is the highest rate that an optical head carries. Raises LinkError (nobody is
    there), MalformedError, UnsupportedError (a meter without HDLC, or of another mode).
    """
    timing = timing or OpeningTiming()
    line.set_baud(OPENING_BAUD)
    request = with_parity(request_message(device))
    identification, has_echo = await _identify(line, request, timing)
    if not identification.speaks_hdlc:
        raise UnsupportedError(
            f"expected a meter that speaks HDLC, got {identification.maker}{identification.name}"
        )
    code = _rate(identification, baud_limit)
    chosen = with_parity(option_select(code))
    await line.write(chosen)
    await line.drain(len(chosen))
    line.set_baud(BAUD_RATES[code])
    await _confirmation(line, chosen, 2 if has_echo else 1, timing)
    return identification


async def _identify(
    line: ByteLine, request: bytes, timing: OpeningTiming
) -> tuple[Identification, bool]:
    """Return the identification, asked for again where the line damaged it or nobody was awake.

    And whether the optical head sends back what it is told.
    """
    heard = False
    for _ in range(1 + timing.retries):
        await line.write(request)
        await line.drain(len(request))
        received, has_echo = await _characters(line, request, timing)
        heard = heard or bool(received)
        with suppress(MalformedError):
            start = max(0, received.find(_SLASH))
            return parse_identification(without_parity(received[start:])), has_echo
    if heard:
        raise MalformedError("expected an identification such as /ISK5\\2M550T at 300 baud, 7E1")
    raise LinkError(f"no identification within {timing.reply_s * 1000:.0f} ms")


async def _characters(line: ByteLine, echo: bytes, timing: OpeningTiming) -> tuple[bytes, bool]:
    """Return what came until the end of a line or silence, without an echo, and whether there was
    one.
    """
    received = bytearray()
    has_echo = False
    wait_s = timing.reply_s
    while len(received) < _MAX_RECEIVED:
        try:
            async with asyncio.timeout(wait_s):
                received += await line.read()
        except TimeoutError:
            break
        if not has_echo and echo in received:
            del received[: received.find(echo) + len(echo)]
            has_echo = True
        if received and not echo.startswith(received):
            wait_s = timing.gap_s
        if received[-1:] == _LINE_END and not echo.endswith(received):
            break
    return bytes(received), has_echo


def _rate(identification: Identification, limit: int | None) -> str:
    """Return the code of the fastest rate that both the meter and the limit allow."""
    fastest = identification.baud if limit is None else min(identification.baud, limit)
    codes = [code for code, baud in BAUD_RATES.items() if baud <= fastest]
    if not codes:
        raise ValueError(f"expected a limit of at least {OPENING_BAUD} baud, got {limit}")
    return codes[-1]


async def _confirmation(line: ByteLine, expected: bytes, times: int, timing: OpeningTiming) -> None:
    """Wait for what the meter repeats; noise of the change of rates counts for nothing."""
    received = bytearray()
    with suppress(TimeoutError):
        async with asyncio.timeout(timing.confirmation_s):
            while received.count(expected) < times and len(received) < _MAX_RECEIVED:
                received += await line.read()
