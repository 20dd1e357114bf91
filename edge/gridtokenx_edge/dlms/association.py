"""One meter's association: opened when it is wanted, and kept open as long as the meter allows."""

from __future__ import annotations

import secrets
import time
from collections.abc import Generator
from contextlib import suppress
from typing import TypeVar

from gridtokenx_dlms.acse import Mechanism
from gridtokenx_dlms.aio.client_transport import (
    HdlcTransport,
    Timing,
    Transport,
    WrapperTransport,
    run_service,
)
from gridtokenx_dlms.aio.mode_e_opening import open_in_mode_e
from gridtokenx_dlms.client import PUBLIC_CLIENT, Authentication, ClientAssociation
from gridtokenx_dlms.errors import DlmsError, LinkError, MalformedError, RefusedError, SecurityError
from gridtokenx_dlms.hdlc.address import HdlcAddress
from gridtokenx_dlms.hdlc.client_link import ClientLink
from gridtokenx_dlms.hdlc.parameters import LinkParameters
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.xdlms.attribute import Attribute
from gridtokenx_dlms.xdlms.initiate import Conformance
from gridtokenx_edge.config.dlms_config import DlmsSerial
from gridtokenx_edge.dlms.counters import DurableCiphering
from gridtokenx_edge.dlms.faults import fault_of
from gridtokenx_edge.dlms.line import DlmsLine, MeterView
from gridtokenx_edge.dlms.meter_access import MeterAccess, is_wrapped
from gridtokenx_edge.polling.faults import LineDown

T = TypeVar("T")
_CHALLENGE_BYTES = 16
_EXCHANGE_S = 60.0
_GAP_S = 0.2
# A reading head or another gateway may have used counters with these keys too.
_COUNTER_MARGIN = 1
# A few values take a second or two, at 300 baud ten. More would be the other meters' time.
_SERVICE_S = 20.0


class MeterAssociation:
    """Asks one meter. Hold the line while calling its methods; all of them raise BusFault."""

    def __init__(self, line: DlmsLine, access: MeterAccess) -> None:
        self._line = line
        self._access = access
        self._transport: Transport | None = None
        self._association: ClientAssociation | None = None
        self._ciphering: DurableCiphering | None = None
        self._generation = 0
        self._used_at_s = 0.0
        self._received = -1
        self._needs_opening = False
        self.openings = 0
        """Counts associations: after a new one, the meter may have been exchanged."""

    @property
    def is_open(self) -> bool:
        """Whether the association is believed to be open. Only a request shows whether the meter
        agrees.
        """
        idle_s = time.monotonic() - self._used_at_s
        return (
            self._association is not None
            and self._generation == self._line.generation
            and self._line.is_up
            and idle_s < self._access.profile.link.idle_s
        )

    @property
    def has_lists(self) -> bool:
        """Whether several attributes may be asked for in one request."""
        negotiated = self._association.negotiated if self._association else None
        return (
            negotiated is not None
            and bool(negotiated.conformance & Conformance.MULTIPLE_REFERENCES)
            and not self._access.profile.quirks.no_get_list
        )

    @property
    def association(self) -> ClientAssociation:
        assert self._association
        return self._association

    async def open(self) -> None:
        """Open the link and the association, unless they are open."""
        if self.is_open:
            return
        self._forget()
        try:
            await self._open()
        except DlmsError as error:
            await self._drop(error)
            raise self._fault(error) from None

    async def ask(self, exchange: Generator[bytes, bytes, T], within_s: float | None = None) -> T:
        """Run a service and return its result; it may take `within_s`, by default as long as a few
        values need.

        A refusal leaves the association open; any other fault closes it.
        """
        assert self._transport
        config = self._line.config
        silence_s = (1 + config.retries) * config.timeout_ms / 1000
        try:
            answer = await run_service(
                exchange, self._transport, max(within_s or _SERVICE_S, 2 * silence_s)
            )
        except DlmsError as error:
            if not isinstance(error, RefusedError):
                await self._drop(error)
            raise self._fault(error) from None
        self._used()
        return answer

    async def close(self) -> None:
        """Release the association, and keep on the disk what must outlive this process."""
        if self.is_open and self._transport and self._association:
            with suppress(DlmsError, TimeoutError):
                await run_service(self._association.release(), self._transport)
            with suppress(DlmsError):
                await self._transport.close()
        self._keep_newest_received()
        self._forget()

    async def _open(self) -> None:
        await self._line.connect()
        self._generation = self._line.generation
        self._needs_opening = self._opens_in_mode_e
        if self._ciphering is None and self._access.keys:
            self._ciphering = self._access.ciphering()
            await self._ask_counter()
        try:
            await self._associate()
        except (SecurityError, RefusedError):
            # Another client may have used counters of these keys: go on beyond the newest of them.
            if self._ciphering is None or not await self._ask_counter():
                raise
            await self._associate()
        self.openings += 1
        self._line.answered()
        self._keep_newest_received()

    @property
    def _opens_in_mode_e(self) -> bool:
        config = self._line.config
        link = self._access.profile.link
        return isinstance(config, DlmsSerial) and (config.opening or link.opening) == "mode_e"

    async def _open_link(self, transport: Transport) -> None:
        """Open the link, through mode E where the meter has gone back to it after the last link."""
        needs_opening, self._needs_opening = self._needs_opening, False
        if not needs_opening:
            await transport.open()
            return
        limit = getattr(self._line.config, "baud", None) or self._access.profile.link.baud
        try:
            await open_in_mode_e(MeterView(self._line), baud_limit=limit)
        except (LinkError, MalformedError) as error:
            # After a link without an end, as at a power cut, it speaks HDLC until its time-out.
            self._line.set_baud(limit)
            with suppress(LinkError):
                await transport.open()
                return
            raise error from None
        await transport.open()

    async def _associate(self) -> None:
        access = self._access
        challenge = b""
        if access.mechanism is Mechanism.HIGH_GMAC:
            challenge = secrets.token_bytes(_CHALLENGE_BYTES)
        authentication = Authentication(
            mechanism=access.mechanism, secret=access.password, challenge=challenge
        )
        max_pdu_bytes = access.profile.association.max_pdu_bytes
        association = ClientAssociation(
            authentication, self._ciphering, max_pdu_bytes=max_pdu_bytes
        )
        self._transport = self._make_transport(access.client)
        await self._open_link(self._transport)
        with self._line.hide_bytes(is_secret=access.mechanism is Mechanism.LOW):
            await run_service(association.open(), self._transport)
        self._association = association
        self._used()

    async def _ask_counter(self) -> bool:
        """Go on beyond the newest invocation counter that the meter has seen.

        Return whether the meter tells it.
        """
        code = self._access.profile.association.counter
        if not code or self._ciphering is None:
            return False
        transport = self._make_transport(PUBLIC_CLIENT)
        public = ClientAssociation()
        try:
            await self._open_link(transport)
            await run_service(public.open(), transport)
            value = await run_service(public.get(Attribute(1, Obis.parse(code), 2)), transport)
            seen = value.integer()
            with suppress(DlmsError):
                await run_service(public.release(), transport)
        except RefusedError:
            return False
        finally:
            with suppress(DlmsError):
                await transport.close()
            self._needs_opening = self._opens_in_mode_e
        if seen >= self._ciphering.counter:
            self._ciphering.skip_to(seen + _COUNTER_MARGIN)
        return True

    def _make_transport(self, client: int) -> Transport:
        access, config = self._access, self._line.config
        timing = Timing(
            reply_s=config.timeout_ms / 1000,
            gap_s=_GAP_S,
            exchange_s=_EXCHANGE_S,
            retries=config.retries,
        )
        view = MeterView(self._line)
        if is_wrapped(config):
            return WrapperTransport(view, client, access.logical_device, timing)
        size = access.profile.association.address_bytes
        server = HdlcAddress.server(access.logical_device, access.physical_address, size)
        length = access.profile.link.information_bytes
        link = ClientLink(
            HdlcAddress.client(client),
            server,
            LinkParameters(transmit_length=length, receive_length=length),
        )
        return HdlcTransport(view, link, timing)

    async def _drop(self, error: DlmsError) -> None:
        """Give the association up, and end a link that may still be open, so that the next one
        starts anew.
        """
        transport = self._transport
        self._forget()
        if transport and self._line.is_up and not isinstance(error, LinkError):
            with suppress(DlmsError):
                await transport.close()
        if is_wrapped(self._line.config):
            self._line.close()  # a late reply could come in the place of another

    def _forget(self) -> None:
        self._transport = self._association = None

    def _fault(self, error: DlmsError) -> Exception:
        if (
            isinstance(error, LinkError)
            and not self._line.is_up
            and not is_wrapped(self._line.config)
        ):
            return LineDown(str(error))
        return fault_of(error)

    def _used(self) -> None:
        self._used_at_s = time.monotonic()

    def _keep_newest_received(self) -> None:
        """Keep the meter's newest counter on the disk, once an association: older messages are
        replays.
        """
        ciphering = self._ciphering
        if ciphering and ciphering.counters and ciphering.guard.newest > self._received:
            self._received = ciphering.guard.newest
            ciphering.counters.keep_newest_received(self._received)
