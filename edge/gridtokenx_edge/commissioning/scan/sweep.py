"""The scan itself: one setting after the other, and the addresses at each.

All meters of a line share its settings, so the first settings at which anybody answers are the
line's. The rest of the addresses is tried there, and no other settings are, unless the installer
asks for them.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

import msgspec

from gridtokenx_edge.commissioning.scan.dlms_scan import FoundDlms
from gridtokenx_edge.commissioning.scan.identification import Profiles, identify
from gridtokenx_edge.commissioning.scan.line_noise import ByteRecorder, ResponseKind
from gridtokenx_edge.commissioning.scan.listening import HeardSender, listen_for_senders
from gridtokenx_edge.commissioning.scan.prober import Prober
from gridtokenx_edge.commissioning.scan.results import FoundMeter, Garbled, ScanReport
from gridtokenx_edge.commissioning.scan.settings import LineSettings
from gridtokenx_edge.commissioning.scan.source import LineSource, Source, read_in_turn
from gridtokenx_edge.commissioning.scan.target import SerialTarget, Target
from gridtokenx_edge.commissioning.scan.timing import probe_timeout_s, read_timeout_s
from gridtokenx_edge.log import FaultLog, start_logging
from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.modbus.faults import MeterRefused
from gridtokenx_edge.modbus.line import Line
from gridtokenx_edge.polling.faults import LineDown, LineUnfit, MeterGarbled, MeterSilent

# Almost every meter answers one of these, if only with an exception.
_PROBES = (Block(fc=4, address=0, count=2), Block(fc=3, address=0, count=2))
# This is a gateway's "nobody there" (Modbus Application Protocol V1.1b3, 7).
_NO_TARGET = {10, 11}
_TRIES_WHEN_GARBLED = 3
# After so many garbled addresses without an answer, it is the line that makes noise.
_NOISY_AFTER = 6
# After so many units with one serial number, the device does not look at the unit.
_ALIKE = 3

LookForDlms = Callable[[Callable[[str], None]], Awaitable[list[FoundDlms]]]
"""It looks for DLMS meters where Modbus meters were looked for, and tells what it tries."""
HearSenders = Callable[[SerialTarget], Awaitable[HeardSender | None]]
"""It listens for what sends by itself."""
Wrap = Callable[[LineSettings | None, int, Source], Source]


def as_it_is(_settings: LineSettings | None, _address: int, source: Source) -> Source:
    """Return the source without a wrapper."""
    return source


class ScanPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to try.

    `settings` is empty on TCP. The addresses in `first` come before the `rest`. With `dlms_too`,
    DLMS meters are looked for even if Modbus meters were found.
    """

    settings: tuple[LineSettings, ...]
    first: tuple[int, ...]
    rest: tuple[int, ...] = ()
    everything: bool = False
    dlms_too: bool = False


class ScanObserver(Protocol):
    """Gets what happens in a scan."""

    def trying(self, settings: LineSettings | None, addresses: int, seconds: float) -> None: ...

    def tried(self, address: int) -> None: ...

    def found(self, meter: FoundMeter) -> None: ...

    def notice(self, text: str) -> None: ...

    def looking(self, text: str) -> None:
        """Note that something else than Modbus is tried."""
        ...


class Scan:
    """One scan. `report` grows while it runs."""

    def __init__(
        self,
        target: Target,
        plan: ScanPlan,
        profiles: Profiles,
        watcher: ScanObserver,
        wrap: Wrap = as_it_is,
        dlms: LookForDlms | None = None,
        hear: HearSenders = listen_for_senders,
    ) -> None:
        self.report = ScanReport(target=target)
        self._target = target
        self._plan = plan
        self._profiles = profiles
        self._watcher = watcher
        self._wrap = wrap
        self._dlms = dlms
        self._hear_senders = hear
        self._unfit: set[LineSettings | None] = set()
        self._round_trips_s: dict[LineSettings | None, list[float]] = {}
        self._ear = ByteRecorder()
        self._one_for_all = False
        self._has_garbled = False

    async def run(self) -> ScanReport:
        """Scan. Raises LineDown if the port cannot be opened or goes away."""
        try:
            await self._usual_addresses()
        except LineDown as fault:
            if isinstance(self._target, SerialTarget):
                raise
            await self._try_other_framing()
            # A device that does not speak Modbus may speak DLMS, on another port of the host.
            if not self.report.meters and not await self._look_for_dlms():
                raise
            self._notice(str(fault))
            return self.report
        if not self.report.meters and await self._listen():
            self.report.complete = True
            return self.report
        plan = self._plan
        has_others = await self._look_for_dlms() and not self.report.meters
        if not self.report.meters and not has_others:
            await self._try_other_framing()
        if (not self.report.meters and not has_others) or plan.everything:
            await self._look_again(plan.settings or [None])
        self.report.complete = True
        return self.report

    async def _look_for_dlms(self) -> bool:
        """Return whether there are DLMS meters.

        On a line with Modbus meters they are looked for only if the installer asks for it.
        """
        if self._dlms is None or (self.report.meters and not self._plan.dlms_too):
            return False
        self.report.dlms = await self._dlms(self._watcher.looking)
        return bool(self.report.dlms)

    async def _try_other_framing(self) -> None:
        """Ask the usual addresses of a host in the other framing, if it is silent in this one."""
        target = self._target
        if isinstance(target, SerialTarget) or self._ear.count:
            return
        other = msgspec.structs.replace(target, rtu_over_tcp=not target.rtu_over_tcp)
        self._target = self.report.target = other
        with suppress(LineDown):
            await self._sweep(None, self._plan.first, _PROBES[0])
        if self.report.meters:
            self._notice(f"answers with rtu_over_tcp = {str(other.rtu_over_tcp).lower()} only")
        else:
            self._target = self.report.target = target

    async def _listen(self) -> bool:
        """Return whether something sends by itself, which explains why nobody answers."""
        target = self._target
        if not isinstance(target, SerialTarget) or not self._has_garbled:
            return False
        self._watcher.looking("listening for meters that send by themselves")
        heard = await self._hear_senders(target)
        if heard is None or not heard.seen.has_form:
            if heard:
                self._notice(heard.text)
            return False
        self.report.sender = heard.text
        return True

    async def _usual_addresses(self) -> None:
        plan = self._plan
        every: Sequence[LineSettings | None] = plan.settings or [None]
        for settings in every:
            await self._sweep(settings, plan.first, _PROBES[0])
            if self.report.meters and not plan.everything:
                await self._sweep(settings, plan.rest, _PROBES[0])
                break

    async def _look_again(self, every: Sequence[LineSettings | None]) -> None:
        """Ask all addresses another question, as some meters stay silent to the first one."""
        for settings in every:
            known = {of.address for of in self.report.meters if of.settings == settings}
            rest = [of for of in (*self._plan.first, *self._plan.rest) if of not in known]
            await self._sweep(settings, rest, _PROBES[1])
            if self.report.meters and not self._plan.everything:
                return

    async def _sweep(
        self, settings: LineSettings | None, addresses: Sequence[int], probe: Block
    ) -> None:
        if settings in self._unfit or self._one_for_all or not addresses:
            return
        timeout_s = probe_timeout_s(settings, self._round_trips_s.get(settings, []))
        self._watcher.trying(settings, len(addresses), timeout_s * len(addresses))
        line = self._line(settings, timeout_s)
        try:
            await line.connect()
            late = await self._ask_each(line, settings, addresses, probe)
        except LineUnfit as unfit:
            self._unfit.add(settings)
            self._notice(f"{unfit}: skipped")
            return
        finally:
            line.close()
        for address in late:
            await self._name(settings, address)

    async def _ask_each(
        self, line: Line, settings: LineSettings | None, addresses: Sequence[int], probe: Block
    ) -> list[int]:
        """Name the meters that answer. Returns those whose answers came after their time."""
        late: set[int] = set()
        noisy = 0
        for address in addresses:
            tries = _TRIES_WHEN_GARBLED if noisy < _TRIES_WHEN_GARBLED else 1
            heard = await self._probe(line, settings, address, probe, tries)
            self._watcher.tried(address)
            if heard is None:
                line.close()
                await self._name(settings, address)
                await line.connect()
                noisy = 0
                if self._one_for_all:
                    break
            elif heard is ResponseKind.LATE:
                late.add(self._ear.judge().address)
            elif heard is ResponseKind.GARBLED:
                noisy += 1
                if noisy >= _NOISY_AFTER:
                    self._noise(settings)
                    break
        answered = {of.address for of in self.report.meters if of.settings == settings}
        return sorted(late - answered)

    async def _probe(
        self, line: Line, settings: LineSettings | None, address: int, probe: Block, tries: int
    ) -> ResponseKind | None:
        """Return None if somebody answers at the address, or else what came instead."""
        heard = ResponseKind.NOTHING
        for _ in range(tries):
            self.report.requests += 1
            started_s = time.monotonic()
            try:
                await read_in_turn(line, address, probe)
            except MeterRefused as refusal:
                if refusal.code in _NO_TARGET:
                    return ResponseKind.NOTHING
            except (MeterSilent, MeterGarbled) as fault:
                heard = ResponseKind.NOTHING if line.is_numbered else self._ear.judge().kind
                self._has_garbled |= heard is ResponseKind.GARBLED
                if heard is ResponseKind.GARBLED and isinstance(fault, MeterSilent):
                    continue
                if heard is ResponseKind.ECHO:
                    self._notice("the adapter hears what it sends: switch its echo off")
                if isinstance(fault, MeterSilent):
                    return heard
            trips = self._round_trips_s.setdefault(settings, [])
            trips.append(time.monotonic() - started_s)
            return None
        self.report.garbled.append(Garbled(settings, address, self._ear.heard[:32].hex(" ")))
        return heard

    async def _name(self, settings: LineSettings | None, address: int) -> None:
        """Find out who answers at the address."""
        line = self._line(settings, read_timeout_s(settings))
        try:
            await line.connect()
            started_s = time.monotonic()
            source = self._wrap(settings, address, LineSource(line, address))
            asker = Prober(source)
            found = await identify(asker, self._profiles)
        finally:
            line.close()
        self.report.requests += asker.asked
        asked_ms = round((time.monotonic() - started_s) * 1000 / max(1, asker.asked))
        note = f"{asker.silences} of {asker.asked} requests stayed without a valid reply"
        for who in found:
            meter = FoundMeter(
                settings=settings,
                address=address,
                who=who,
                round_trip_ms=asked_ms,
                note=note if asker.silences else "",
            )
            if settings is None and self._is_one_for_all(meter):
                return
            self.report.meters.append(meter)
            self._watcher.found(meter)

    def _is_one_for_all(self, meter: FoundMeter) -> bool:
        """Return whether a TCP device answers whatever its unit. Then one of them is enough."""
        alike = [of for of in self.report.meters if of.id and of.id == meter.id]
        if len(alike) < _ALIKE - 1:
            return False
        self._one_for_all = True
        first = alike[0].address
        others = {of.address for of in alike[1:]}
        self.report.meters = [of for of in self.report.meters if of.address not in others]
        self._notice(f"the device answers to every unit; {first} is enough")
        return True

    def _noise(self, settings: LineSettings | None) -> None:
        at = f" at {settings}" if settings else ""
        self._notice(f"bytes come back{at} whoever is asked, but no reply: noise on the line?")

    def _notice(self, text: str) -> None:
        if text not in self.report.notices:
            self.report.notices.append(text)
            self._watcher.notice(text)

    def _line(self, settings: LineSettings | None, timeout_s: float) -> Line:
        bus = self._target.bus(settings, timeout_s)
        return Line(bus, FaultLog(start_logging()), on_bytes=self._ear)
