"""A made-up community for the backend's tests: people, gateways, terms, and a core to drive.

Every key comes from a name, so that a failing test fails again with the same ids.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_backend.core import machine
from gridtokenx_backend.core.market.book import RestingOrder
from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.inputs import FrameInput, OracleCommand, OrderInput, TickInput
from gridtokenx_backend.core.messages.outcomes import Configured, OrderAccepted, Result
from gridtokenx_backend.core.model.ledger import ASSETS, COMMUNITY_ACCOUNTS, GRID, GRX, issuer
from gridtokenx_backend.core.model.terms import CommunityTerms
from gridtokenx_backend.core.state.community import Community
from gridtokenx_wire.config import decode_hook
from gridtokenx_wire.cose import split
from gridtokenx_wire.frame import (
    GENESIS_PREV,
    ClockStatus,
    build_frame,
    decode_frame,
    frame_hash,
    seal_frame,
)
from gridtokenx_wire.keys import device_id, device_text, public_key_text
from gridtokenx_wire.order import (
    Cancel,
    Instruction,
    Order,
    Standing,
    parse_instruction,
    sign_instruction,
)
from gridtokenx_wire.reading import Reading
from gridtokenx_wire.units import MAX_AMOUNT, UWH_PER_KWH

NAME = "lane"
START_MS = 1_780_000_000_000
HOUR_MS = 3_600_000
CHAIN = b"chain-01"
NTP = ClockStatus(synchronised=True, stepped=False, source="ntp")
NO_NTP = ClockStatus(synchronised=False, stepped=False, source="rtc")
KWH = UWH_PER_KWH


def private_key(name: str) -> Ed25519PrivateKey:
    """The one key of this name."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


class Resident:
    """A member: a name, a key, a wallet, and instructions signed by it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.key = private_key(f"member {name}")
        self.wallet = public_key_text(self.key.public_key())

    def _head(self, client_id: str, issued_ms: int, community: str) -> dict[str, Any]:
        return {
            "v": 1,
            "community": community,
            "wallet": self.wallet,
            "id": client_id,
            "issued_ms": issued_ms,
        }

    def order(
        self,
        client_id: str,
        side: str,
        kwh: str,
        price: str,
        tif: str = "GTC",
        issued_ms: int = START_MS,
        community: str = NAME,
    ) -> Order:
        fields = {"side": side, "quantity_kwh": kwh, "price_grx_per_kwh": price, "tif": tif}
        return Order(**self._head(client_id, issued_ms, community), **fields)

    def cancel(self, client_id: str, order: str, issued_ms: int = START_MS) -> Cancel:
        return Cancel(**self._head(client_id, issued_ms, NAME), order=order)

    def standing(
        self,
        client_id: str,
        side: str,
        price: str,
        keep: str = "0",
        *,
        active: bool = True,
        issued_ms: int = START_MS,
    ) -> Standing:
        fields = {"side": side, "price_grx_per_kwh": price, "keep_kwh": keep, "active": active}
        return Standing(**self._head(client_id, issued_ms, NAME), **fields)

    def sign(self, instruction: Instruction) -> bytes:
        """The compact JWS, as it is posted."""
        return sign_instruction(instruction, self.key).encode()


class Gateway:
    """A device and its chain, as far as it has sealed frames."""

    def __init__(self, name: str, chain: bytes = CHAIN) -> None:
        self.key = private_key(f"gateway {name}")
        self.public_key = public_key_text(self.key.public_key())
        self.device = device_id(self.key.public_key())
        self.name = device_text(self.device)
        self.chain = chain
        self.seq = 0
        self.prev = GENESIS_PREV
        self.sent: list[bytes] = []

    def seal(self, readings: Sequence[Reading], clock: ClockStatus = NTP, **other: Any) -> bytes:
        """The next signed frame. `other` may name device, chain, seq or prev to be put into it."""
        fields = {"device": self.device, "chain": self.chain, "seq": self.seq, "prev": self.prev}
        return seal_frame(build_frame(**(fields | other), clock=clock, readings=readings), self.key)

    def next(self, readings: Sequence[Reading], clock: ClockStatus = NTP) -> bytes:
        """The next signed frame, and the chain goes on behind it."""
        message = self.seal(readings, clock)
        self.seq += 1
        self.prev = frame_hash(message)
        self.sent.append(message)
        return message


def frame_input(message: bytes) -> FrameInput:
    return FrameInput(message, decode_frame(split(message)[2]))


def order_input(jws: bytes) -> OrderInput:
    return OrderInput(jws, parse_instruction(jws).instruction)


def convert_terms(document: dict[str, Any]) -> CommunityTerms:
    """`community.toml`, as a document, the way it is loaded."""
    return msgspec.convert(document, CommunityTerms, dec_hook=decode_hook)


def member_terms(resident: Resident, opening_grx: str = "0") -> dict[str, Any]:
    return {"name": resident.name, "wallet": resident.wallet, "opening_grx": opening_grx}


def device_terms(gateway: Gateway, **other: Any) -> dict[str, Any]:
    return {"public_key": gateway.public_key, **other}


def meter_terms(meter: str, device: Gateway, of: Resident, **other: Any) -> dict[str, Any]:
    terms = {"id": meter, "device": device.name, "owner": of.name, "max_power_kw": "10"}
    terms["max_production_ratio"] = 0  # what it does is shown in test_oracle
    terms |= {"starts_at_zero": True, "first_energy_kwh": "1000"}  # see test_held_energy
    return terms | other


def toml_of(document: dict[str, Any]) -> str:
    """Tables, and arrays of tables, of plain values."""
    lines = []
    for name, content in document.items():
        tables = content if isinstance(content, list) else [content]
        for table in tables:
            lines.append(f"[[{name}]]" if isinstance(content, list) else f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def reading(
    meter: str,
    time_ms: int,
    export_uwh: int = 0,
    import_uwh: int = 0,
    power_w: int = 0,
) -> Reading:
    return Reading(
        meter=meter, time_ms=time_ms, import_uwh=import_uwh, export_uwh=export_uwh, power_w=power_w
    )


class Village:
    """A core under terms, with its own time.

    Two sites by default: anna and ben, a gateway and a meter each, and cleo, who has no meter.
    """

    def __init__(self, **terms: Any) -> None:
        self.anna, self.ben, self.cleo = Resident("anna"), Resident("ben"), Resident("cleo")
        self.north, self.south = Gateway("north"), Gateway("south")
        self.document: dict[str, Any] = {
            "community": {"name": NAME},
            "member": [
                member_terms(self.anna, "1000"),
                member_terms(self.ben, "1000"),
                member_terms(self.cleo, "1000"),
            ],
            "device": [device_terms(self.north), device_terms(self.south)],
            "meter": [
                meter_terms("ABB-1", self.north, self.anna),
                meter_terms("ABB-2", self.south, self.ben),
            ],
            **terms,
        }
        self.at_ms = START_MS
        self.community = Community()
        self.configure()

    def apply(self, input_: inputs.Input, at_ms: int | None = None) -> Result:
        if at_ms is not None:
            self.at_ms = at_ms
        return machine.apply(self.community, input_, self.at_ms)

    def configure(self, **changed: Any) -> Configured:
        """Puts the terms into force, with sections of them replaced."""
        self.document |= changed
        outcome = self.apply(inputs.configuration_input(convert_terms(self.document)))
        assert isinstance(outcome, Configured)
        return outcome

    def send(self, gateway: Gateway, *readings: Reading, clock: ClockStatus = NTP) -> Result:
        """The gateway's next frame."""
        return self.apply(frame_input(gateway.next(readings, clock)))

    def tell(self, instruction: Instruction, at_ms: int | None = None) -> Result:
        """An instruction, as if its signature had been verified."""
        return self.apply(OrderInput(msgspec.json.encode(instruction), instruction), at_ms)

    def accept(self, instruction: Instruction) -> OrderAccepted:
        """An order that the test knows to be acceptable."""
        outcome = self.tell(instruction)
        assert isinstance(outcome, OrderAccepted), outcome
        return outcome

    def tick(self, at_ms: int | None = None) -> Result:
        return self.apply(TickInput(), at_ms)

    def pause(self, paused: bool = True) -> Result:
        return self.apply(inputs.oracle_input(OracleCommand(paused, "a test")))

    def give_grid(self, gateway: Gateway, meter: str, amount_uwh: int) -> None:
        """Lets the gateway's meter export so much, in as many hours as 10 kW need for it.

        The meter's registers begin at 0 here, so it works once for each.
        """
        hours = -(-amount_uwh // (10 * KWH))
        for time_ms, export_uwh in ((START_MS - hours * HOUR_MS, 0), (START_MS, amount_uwh)):
            self.send(gateway, reading(meter, time_ms, export_uwh))

    def balance(self, who: Resident | str, asset: str) -> tuple[int, int]:
        """(posted, held) of a wallet or another account."""
        account = who if isinstance(who, str) else who.wallet
        ledger = self.community.ledger
        return ledger.posted(account, asset), ledger.held(account, asset)

    def grid(self, who: Resident) -> tuple[int, int]:
        return self.balance(who, GRID)

    def grx(self, who: Resident) -> tuple[int, int]:
        return self.balance(who, GRX)


def assert_sound(community: Community) -> None:
    """What holds after every input: sums, bounds, escrow, and a book that is not crossed."""
    ledger = community.ledger
    resting = community.book.orders.values()
    for asset in ASSETS:
        accounts = [*community.members, *COMMUNITY_ACCOUNTS, issuer(asset)]
        assert sum(ledger.posted(account, asset) for account in accounts) == 0, asset
        assert ledger.posted(issuer(asset), asset) >= -MAX_AMOUNT
        for account in accounts[:-1]:
            cover = sum(
                cover_of(order)
                for order in resting
                if order.wallet == account and asset == (GRID if order.side == "sell" else GRX)
            )
            if asset == GRX:
                withdrawals = community.settlement.withdrawals.values()
                cover += sum(each.amount_ugrx for each in withdrawals if each.wallet == account)
            held, posted = ledger.held(account, asset), ledger.posted(account, asset)
            assert held == cover, (asset, account)
            assert 0 <= held <= posted, (asset, account)
    for bid in (order for order in resting if order.side == "buy"):
        for ask in (order for order in resting if order.side == "sell"):
            crossed = bid.price_ugrx >= ask.price_ugrx
            assert not crossed or bid.wallet == ask.wallet, (bid, ask)


def cover_of(order: RestingOrder) -> int:
    """What a resting order must have in escrow: energy, or the money for it, which is exact."""
    if order.side == "sell":
        return order.remaining_uwh
    cover, remainder = divmod(order.price_ugrx * order.remaining_uwh, UWH_PER_KWH)
    assert remainder == 0
    return cover
