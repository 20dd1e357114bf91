"""dlms: what reading DLMS meters costs a gateway, and how near it comes to what a line carries.

The agent's own reader asks simulated meters in another process. `cpu_ms_per_read` is the gateway's
CPU for one register, asked for alone, with GMAC, authenticated and encrypted, over TCP.
`profile_cpu_ms` is that of a load profile of a day, 96 rows of three columns (time, import,
export), over HDLC in frames of 128 bytes on a pseudo-terminal.

`line_ratio` is taken at 9,600 baud, paced, with polls back to back: the time that the bytes of both
ways need on the line over the time that passed. The meter is allowed no time to think: what the
simulator takes is counted against the gateway.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.rig.processes import Process, free_port, python
from gridtokenx_dlms.date_time import CosemDateTime
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.objects.profile_generic import CLOCK_COLUMN, LOAD_PROFILE
from gridtokenx_dlms.objects.selection import CaptureObject, by_time
from gridtokenx_dlms.xdlms.attribute import Attribute
from gridtokenx_edge.agent import loop
from gridtokenx_edge.config.dlms_config import DlmsMeter, DlmsSerial, DlmsTcp
from gridtokenx_edge.dlms.line import DlmsLine
from gridtokenx_edge.dlms.meter_access import DlmsFiles, access_of
from gridtokenx_edge.dlms.reader import DlmsReader
from gridtokenx_wire.clock import SystemClock

BAUD = 9_600
_BITS_PER_BYTE = 10
_EK, _AK = "000102030405060708090a0b0c0d0e0f", "d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
_IMPORT, _EXPORT = Obis(1, 0, 1, 8, 0), Obis(1, 0, 2, 8, 0)
_ROWS = 96
_PERIOD_MS = 900_000
_PROFILES = 20
_SERIAL = "40012345"


class CountingLine(DlmsLine):
    """A line that counts its bytes."""

    count = 0

    async def write(self, data: bytes) -> None:
        self.count += len(data)
        await super().write(data)

    async def read(self) -> bytes:
        data = await super().read()
        self.count += len(data)
        return data

    def needed_s(self) -> float:
        """Return the least time for what was said, in seconds."""
        return self.count * _BITS_PER_BYTE / BAUD


def run(seconds: float) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="gridtokenx-bench-") as name:
        folder = Path(name)
        for secret, text in (("ek", _EK), ("ak", _AK)):
            (folder / secret).touch(0o600)
            (folder / secret).write_text(text)
        tcp_port = free_port()
        (folder / "sim.toml").write_text(_sim_toml(tcp_port))
        command = python("gridtokenx_sim", "run", str(folder / "sim.toml"))
        with Process("sim", command, folder) as simulator:
            simulator.ready()
            return loop.run(_measure(folder, tcp_port, seconds))


async def _measure(folder: Path, tcp_port: int, seconds: float) -> dict[str, object]:
    def meter(number: int) -> DlmsMeter:
        return DlmsMeter(
            id=f"DLMS-SIM{_SERIAL}{number}",
            profile="dlms_generic",
            client=1,
            authentication="gmac",
            protection="authenticated_encrypted",
            encryption_key="ek",
            authentication_key="ak",
            physical_address=17,
        )

    tcp = CountingLine(DlmsTcp(name="tcp", host="127.0.0.1", meter=[meter(0)], port=tcp_port))
    async with _reader(tcp, folder) as reader:
        reads_per_s, cpu_ms = await _register(reader, seconds)
    fast = CountingLine(DlmsSerial(name="fast", port=str(folder / "fast"), meter=[meter(1)]), BAUD)
    async with _reader(fast, folder) as reader:
        profile_cpu_ms, rows = await _profile(reader)
    slow = CountingLine(DlmsSerial(name="slow", port=str(folder / "slow"), meter=[meter(2)]), BAUD)
    async with _reader(slow, folder) as reader:
        line_ratio, polls_per_s = await _line(reader, slow, seconds)
    return {
        "reads_per_s": round(reads_per_s, 1),
        "cpu_ms_per_read": round(cpu_ms, 3),
        "profile_cpu_ms": round(profile_cpu_ms, 2),
        "profile_rows": rows,
        "line_ratio": round(line_ratio, 4),
        "polls_per_s_9600": round(polls_per_s, 2),
    }


@asynccontextmanager
async def _reader(line: CountingLine, folder: Path) -> AsyncIterator[DlmsReader]:
    terms = access_of(line.config.meter[0], DlmsFiles(folder=folder, state=folder))
    reader = DlmsReader(line, terms, SystemClock())
    await reader.poll()
    try:
        yield reader
    finally:
        await reader.close()
        line.close()


async def _register(reader: DlmsReader, seconds: float) -> tuple[float, float]:
    association = reader.association
    attribute = Attribute(3, _IMPORT, 2)
    reads = 0
    began_s, cpu_s = time.monotonic(), time.process_time()
    while time.monotonic() - began_s < seconds:
        await association.ask(association.association.get(attribute))
        reads += 1
    elapsed_s = time.monotonic() - began_s
    return reads / elapsed_s, (time.process_time() - cpu_s) / reads * 1000


async def _profile(reader: DlmsReader) -> tuple[float, int]:
    """Return the CPU time of one load profile of a day, in ms, and how many rows came."""
    association = reader.association
    clock = association.association.get(Attribute(8, CLOCK_COLUMN.obis, 2))
    now_ms = (await association.ask(clock)).moment().unix_ms(0) or 0
    last_ms = now_ms - now_ms % _PERIOD_MS
    first, last = (
        CosemDateTime.from_unix_ms(at_ms) for at_ms in (last_ms - (_ROWS - 1) * _PERIOD_MS, last_ms)
    )
    columns = [
        CLOCK_COLUMN,
        CaptureObject(class_id=3, obis=_IMPORT, attribute=2),
        CaptureObject(class_id=3, obis=_EXPORT, attribute=2),
    ]
    selection = by_time(CLOCK_COLUMN, first, last, columns)
    cpu_s, rows = time.process_time(), 0
    for _ in range(_PROFILES):
        exchange = association.association.get(Attribute(7, LOAD_PROFILE, 2), selection)
        rows = len((await association.ask(exchange)).items())
    return (time.process_time() - cpu_s) / _PROFILES * 1000, rows


async def _line(reader: DlmsReader, line: CountingLine, seconds: float) -> tuple[float, float]:
    """Return how busy the line was, and polls a second."""
    needed_s, began_s, polls = line.needed_s(), time.monotonic(), 0
    while time.monotonic() - began_s < seconds:
        await reader.poll()
        polls += 1
    elapsed_s = time.monotonic() - began_s
    return (line.needed_s() - needed_s) / elapsed_s, polls / elapsed_s


def _sim_toml(tcp_port: int) -> str:
    client = (
        f'[[bus.meter.client]]\naddress = 1\nmechanism = "gmac"\n'
        f'protection = "authenticated_encrypted"\nencryption_key = "{_EK}"\n'
        f'authentication_key = "{_AK}"\n'
    )
    site = '[site]\nlatitude = 48.2\nlongitude = 16.37\nstart = "2026-06-01T00:00:00Z"\n'
    buses = (
        ("tcp", f'kind = "dlms_tcp"\nport = {tcp_port}'),
        ("fast", 'kind = "dlms_serial"\nlink = "fast"\nbaud = 9600'),
        ("slow", 'kind = "dlms_serial"\nlink = "slow"\nbaud = 9600\npaced = true'),
    )
    return site + "".join(
        f'[[bus]]\nname = "{name}"\n{settings}\n'
        f'[[bus.meter]]\nmodel = "dlms_three_phase"\naddress = 17\nserial = "{_SERIAL}{number}"\n'
        f'annual_load_kwh = "3500"\nsolar_kwp = "5"\n{client}'
        for number, (name, settings) in enumerate(buses)
    )
