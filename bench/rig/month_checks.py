"""What must hold after a month, recomputed from what is stored. A docstring is the invariant."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import pairwise

import msgspec

from bench.rig.month_audit import Auction, Month, Movement, Trade
from bench.rig.processes import python
from gridtokenx_sim.demo.audit.finding import Violation
from gridtokenx_sim.demo.audit.signed import (
    frame_is_signed,
    instruction_is_signed,
    read_instruction,
)

_KWH = 10**9
_MWH = 10**12
_SLOT_MS = 900_000
_RULES = "gridtokenx-auction/1"
_FEE_BPS = 50


def journal_is_gapless(month: Month) -> str:
    """Entries are numbered from 1 without a gap, and time never runs backwards."""
    last_ms = 0
    for number, entry in enumerate(month.entries, start=1):
        if entry.seq != number or entry.at_ms < last_ms:
            raise Violation(f"entry {entry.seq}: expected number {number}, from {last_ms} on")
        last_ms = entry.at_ms
    return f"{len(month.entries)} entries"


def leaf_hashes_hold(month: Month) -> str:
    """Each leaf hash is SHA-256(0x00 ‖ leaf), RFC 6962 §2.1."""
    for entry in month.entries:
        if hashlib.sha256(b"\x00" + entry.raw_leaf).digest() != entry.leaf_hash:
            raise Violation(f"entry {entry.seq}: its leaf has another hash")
    return f"{len(month.entries)} leaves"


def leaves_tell_what_happened(month: Month) -> str:
    """Each public leaf has its entry's movements."""
    for entry in month.entries:
        if json.loads(entry.raw_leaf)["movements"] != [list(each) for each in entry.movements]:
            raise Violation(f"entry {entry.seq}: its leaf moves other amounts")
    return f"{sum(1 for _ in month.movements())} movements"


def commitments_hold(month: Month) -> str:
    """Each leaf commits to its salt, input and outcome."""
    for entry in month.entries:
        length = len(entry.input).to_bytes(8, "big")
        committed = hashlib.sha256(entry.salt + length + entry.input + entry.raw_outcome)
        if committed.hexdigest() != json.loads(entry.raw_leaf)["commitment"]:
            raise Violation(f"entry {entry.seq}: its input or outcome is not what was committed")
    return f"{len(month.entries)} commitments"


def frames_are_signed(month: Month) -> str:
    """Every frame's signature is its device's."""
    for entry, frame in month.frames:
        if not frame_is_signed(entry.input, month.keys[frame.device]):
            raise Violation(f"entry {entry.seq}: its frame is not signed by its device")
    return f"{len(month.frames)} signatures"


def frame_chains_are_gapless(month: Month) -> str:
    """Each device's frames are one chain from seq 0, each with the hash of the one before it."""
    heads: dict[bytes, tuple[int, bytes]] = {}
    for entry, frame in month.frames:
        if (frame.seq, frame.prev) != heads.get(frame.device, (0, bytes(32))):
            raise Violation(f"entry {entry.seq}: its frame does not follow the one before it")
        heads[frame.device] = frame.seq + 1, hashlib.sha256(entry.input).digest()
    if heads.keys() != month.keys.keys():
        raise Violation("expected frames of every gateway")
    return f"{len(heads)} chains"


def instructions_are_signed(month: Month) -> str:
    """Every instruction is signed by the wallet that it names, a member's."""
    members = set(month.wallets)
    count = 0
    for entry in month.entries:
        if entry.kind == "order":
            if read_instruction(entry.input).wallet not in members:
                raise Violation(f"entry {entry.seq}: expected a member's wallet")
            if not instruction_is_signed(entry.input):
                raise Violation(f"entry {entry.seq}: not signed by its wallet")
            count += 1
    return f"{count} signatures"


def readings_in_are_judged(month: Month) -> str:
    """Readings sent are those stored: accepted, rejected or quarantined, each once."""
    sent = sum(len(day) for house in month.houses for day in house.days)
    seen = {
        (frame.meters[which], time_ms)
        for _, frame in month.frames
        for which, time_ms in zip(frame.meter_index, frame.time_ms, strict=True)
    }
    stored = sum(frame.readings for _, frame in month.frames)
    refused = sum(len(entry.outcome[6]) for entry, _ in month.frames)
    if not sent == stored == len(seen):
        raise Violation(f"{sent} sent, {stored} stored, {len(seen)} of them different")
    return f"{stored} = {stored - refused} accepted + {refused} refused or quarantined"


def readings_are_the_meters(month: Month) -> str:
    """Every stored register is what the house's meter showed then."""
    shown = {
        (reading.meter, reading.time_ms): (reading.import_uwh, reading.export_uwh)
        for house in month.houses
        for day in house.days
        for reading in day
    }
    for entry, frame in month.frames:
        columns = zip(
            frame.meter_index, frame.time_ms, frame.import_uwh, frame.export_uwh, strict=True
        )
        for which, time_ms, import_uwh, export_uwh in columns:
            if shown[frame.meters[which], time_ms] != (import_uwh, export_uwh):
                raise Violation(f"entry {entry.seq}: a register that {frame.meters[which]} hid")
    return f"{len(shown)} readings"


def intervals_add_up_to_the_registers(month: Month) -> str:
    """Each meter's intervals are gapless and their sum is its registers' movement, to the µWh."""
    rows: dict[str, list[list[int]]] = defaultdict(list)
    for entry, _ in month.frames:
        for meter, closed in entry.outcome[8]:
            rows[meter] += closed
    for house in month.houses:
        first, last = house.days[0][0], house.days[-1][-1]
        times = [row[0] for row in rows[house.meter]]
        if times != list(range(first.time_ms, last.time_ms, _SLOT_MS)):
            raise Violation(f"{house.meter}: its intervals have gaps")
        moved = sum(row[1] for row in rows[house.meter]), sum(row[2] for row in rows[house.meter])
        if moved != (last.import_uwh - first.import_uwh, last.export_uwh - first.export_uwh):
            raise Violation(f"{house.meter}: its intervals are not what its registers moved")
    return f"{sum(map(len, rows.values()))} intervals"


def minted_is_the_export(month: Month) -> str:
    """Each owner was minted what the export registers moved, and nobody anything else."""
    due: Counter[str] = Counter()
    for house in month.houses:
        due[month.owners[house.meter]] += (
            house.days[-1][-1].export_uwh - house.days[0][0].export_uwh
        )
    minted: Counter[str] = Counter()
    for movement in month.movements():
        if movement.debit == "issuer:GRID":
            minted[movement.credit] += movement.amount
    if +due != +minted:
        raise Violation("what was minted is not what was exported")
    return f"{minted.total()} µWh"


def minted_is_held_retired_or_fed_in(month: Month) -> str:
    """GRID minted = in wallets (escrow included) + retired + fed in."""
    held = sum(month.balances[wallet, "GRID"] for wallet in month.wallets)
    fed_in = month.balances["community:fed-in", "GRID"]
    if month.minted_uwh != held + month.retired_uwh + fed_in:
        raise Violation(f"{month.minted_uwh} minted; {held} held, {fed_in} fed in")
    return f"{held} held + {month.retired_uwh} retired + {fed_in} fed in"


def assets_sum_to_zero(month: Month) -> str:
    """Every movement is a transfer above zero, so each asset sums to zero over all accounts."""
    for movement in month.movements():
        if movement.amount <= 0 or movement.debit == movement.credit:
            raise Violation(f"expected a transfer: {movement}")
    for asset in ("GRID", "GRX", "REC"):
        if total := sum(value for (_, kind), value in month.balances.items() if kind == asset):
            raise Violation(f"{asset} sums to {total}")
    return "3 assets"


def no_account_goes_below_zero(month: Month) -> str:
    """No account but an issuer's is below zero after any movement."""
    balances: Counter[tuple[str, str]] = Counter()
    for entry in month.entries:
        for movement in entry.movements:
            balances[movement.debit, movement.asset] -= movement.amount
            balances[movement.credit, movement.asset] += movement.amount
            is_issuer = movement.debit == f"issuer:{movement.asset}"
            if balances[movement.debit, movement.asset] < 0 and not is_issuer:
                raise Violation(f"entry {entry.seq}: {movement.debit} falls below zero")
    return f"{len(balances)} balances"


def charges_add_up(month: Month) -> str:
    """gross = price × quantity = net + fee to the µGRX; the fee is rounded up. No zone, no link."""
    count = 0
    for trade in _trades(month):
        if trade.gross_ugrx * _KWH != trade.price_ugrx * trade.quantity_uwh:
            raise Violation(f"price × quantity is not gross: {trade}")
        if trade.gross_ugrx != trade.net_ugrx + trade.fee_ugrx:
            raise Violation(f"gross is not net and fee: {trade}")
        if trade.fee_ugrx != -(-trade.gross_ugrx * _FEE_BPS // 10_000):
            raise Violation(f"another fee than {_FEE_BPS} bps: {trade}")
        if trade.wheeling_ugrx or trade.loss_ugrx or trade.rent_ugrx:
            raise Violation(f"a charge for a link: {trade}")
        count += 1
    return f"{count} trades"


def settlement_is_delivery_versus_payment(month: Month) -> str:
    """Each trade's payment, fee and delivery are in its own entry, and pay for nothing else."""
    count = 0
    for entry in month.entries:
        due = Counter(each for trade in entry.trades for each in _settlement(trade))
        paid = Counter(
            each
            for each in entry.movements
            if each.debit in month.owners.values() and each.credit not in _SINKS
        )
        if due != paid:
            raise Violation(f"entry {entry.seq}: what moved is not what was traded")
        count += len(entry.trades)
    return f"{count} settlements"


_SINKS = {"community:retired", "community:fed-in"}


def nobody_trades_with_itself(month: Month) -> str:
    """Buyer and seller of every trade differ."""
    count = 0
    for trade in _trades(month):
        if trade.buyer == trade.seller:
            raise Violation(f"a wallet trades with itself: {trade}")
        count += 1
    return f"{count} trades"


def realtime_keeps_limits(month: Month) -> str:
    """No realtime trade is dearer than its buyer or cheaper than its seller signed."""
    limits: dict[int, tuple[str, int]] = {}
    count = 0
    for entry in month.entries:
        if entry.kind != "order" or entry.tag != "order":
            continue
        signed = msgspec.json.decode(_payload(entry.input))
        price = int(Decimal(signed["price_grx_per_kwh"]) * 10**6)
        limits[entry.outcome[1]] = signed["side"], price
        for trade in entry.trades:
            for number in (trade.maker, trade.taker):
                side, limit = limits[number]
                if trade.price_ugrx > limit if side == "buy" else trade.price_ugrx < limit:
                    raise Violation(f"entry {entry.seq}: order {number} traded beyond its limit")
            count += 1
    return f"{count} trades"


def intervals_are_cleared_once_in_order(month: Month) -> str:
    """Each quarter hour is cleared once, in order, a day after its end at the earliest."""
    expected = month.houses[0].days[0][0].time_ms
    for entry, clearing in month.clearings:
        if clearing.interval_ms != expected or entry.at_ms < expected + _SLOT_MS + 86_400_000:
            raise Violation(f"entry {entry.seq}: expected the interval {expected}")
        expected += _SLOT_MS
    return f"{len(month.clearings)} clearings"


def books_have_their_hashes(month: Month) -> str:
    """Each published book has the hash beside it."""
    for entry, clearing in month.clearings:
        for auction in clearing.auctions:
            lines = [_RULES, f"zone {auction.zone}", f"interval {clearing.interval_ms}"]
            lines += [" ".join(map(str, order)) for order in sorted(auction.book)]
            text = "".join(f"{line}\n" for line in lines)
            if hashlib.sha256(text.encode()).hexdigest() != auction.digest:
                raise Violation(f"entry {entry.seq}: the book has another hash")
    return f"{len(month.clearings)} books"


def volumes_are_the_most(month: Month) -> str:
    """Each auction's volume is the most that different members can trade at one price."""
    total = 0
    for entry, clearing in month.clearings:
        for auction in clearing.auctions:
            prices = {order[3] for order in auction.book}
            most = max((_volume(auction, price) for price in prices), default=0)
            traded = sum(trade.quantity_uwh for trade in clearing.trades)
            if not most == auction.volume_uwh == traded:
                raise Violation(f"entry {entry.seq}: {traded} µWh traded of {most}")
            total += traded
    return f"{total} µWh"


def prices_are_in_their_intervals(month: Month) -> str:
    """At each clearing price all are content: who bid more is served, who asked less has sold."""
    count = 0
    for entry, clearing in month.clearings:
        for auction in clearing.auctions:
            price = auction.price_ugrx
            if price is None:
                continue
            low, high = auction.low_ugrx, auction.high_ugrx
            if low is None or high is None or not low <= price <= high:
                raise Violation(f"entry {entry.seq}: the price is outside of its interval")
            if any(trade.price_ugrx != price for trade in clearing.trades):
                raise Violation(f"entry {entry.seq}: a trade at another price")
            _check_content(entry.seq, auction, clearing.trades, price)
            count += 1
    return f"{count} prices"


def energy_is_retired_once(month: Month) -> str:
    """No interval's import is covered twice, no purchase used twice, and all of it is retired."""
    covered: Counter[tuple[str, int]] = Counter()
    used: Counter[tuple[str, int]] = Counter()
    bought: Counter[tuple[str, int]] = Counter()
    for entry in month.entries:
        for trade in entry.trades:
            bought[trade.buyer, entry.seq] += trade.quantity_uwh
        for wallet, interval_ms, purchase, amount in entry.retirements:
            covered[wallet, interval_ms] += amount
            used[wallet, purchase] += amount
    imported = _imports(month)
    for key, amount in covered.items():
        if amount > imported[key]:
            raise Violation(f"{key}: {amount} µWh retired of {imported[key]} imported")
    for key, amount in used.items():
        if amount > bought[key]:
            raise Violation(f"{key}: {amount} µWh retired of {bought[key]} bought")
    if covered.total() != month.retired_uwh:
        raise Violation(f"{covered.total()} µWh in the list, {month.retired_uwh} moved")
    return f"{covered.total()} µWh over {len(covered)} intervals"


def statements_are_the_ledger(month: Month) -> str:
    """Each member's statement closes with the ledger's balances, and its own checks hold."""
    if {each["data"]["wallet"] for each in month.statements} != set(month.wallets):
        raise Violation(f"{len(month.statements)} statements of {len(month.wallets)}")
    final = _balances_when_it_ended(month)
    for statement in month.statements:
        data = statement["data"]
        for account in data["accounts"]:
            unit = {"GRID": _KWH, "GRX": 10**6, "REC": 1}[account["asset"]]
            if int(Decimal(account["closing"]) * unit) != final[data["wallet"], account["asset"]]:
                raise Violation(f"{data['wallet']}: {account['asset']} closes differently")
        if wrong := [check for check in data["checks"] if not check["holds"]]:
            raise Violation(f"{data['wallet']}: {wrong[0]}")
    return f"{len(month.statements)} statements"


def statements_name_every_trade(month: Month) -> str:
    """What the statements say was bought and sold is what was traded in the month."""
    said = Counter[str]()
    for statement in month.statements:
        energy = statement["data"]["energy"]
        said["bought"] += int(Decimal(energy["bought_kwh"]) * _KWH)
        said["sold"] += int(Decimal(energy["sold_kwh"]) * _KWH)
    first, last = month.statements[0]["data"]["from_ms"], month.statements[0]["data"]["to_ms"]
    traded = sum(
        trade.quantity_uwh
        for entry in month.entries
        if first <= entry.at_ms < last
        for trade in entry.trades
    )
    if not said["bought"] == said["sold"] == traded:
        raise Violation(f"{traded} µWh traded, statements say {dict(said)}")
    return f"{traded} µWh"


def certificates_are_no_more_than_was_minted(month: Month) -> str:
    """One REC for each full MWh of a meter, of its own µWh, with a serial of its own."""
    issued = [each for e in month.entries if e.tag == "rec_issue" for each in e.outcome[2]]
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for serial, meter, _, _, from_uwh, to_uwh, *_ in issued:
        if to_uwh - from_uwh != _MWH:
            raise Violation(f"{serial}: expected 1 MWh")
        spans[meter].append((from_uwh, to_uwh))
    for meter, found in spans.items():
        found.sort()
        if any(before[1] > after[0] for before, after in pairwise(found)):
            raise Violation(f"{meter}: the same µWh twice")
    if len({each[0] for each in issued}) != len(issued) or len(issued) != month.certificates:
        raise Violation(f"{len(issued)} certificates, {month.certificates} on the ledger")
    if len(issued) * _MWH > month.minted_uwh:
        raise Violation("more certificates than MWh")
    return f"{len(issued)} certificates"


def replay_agrees(month: Month) -> str:
    """The backend's own replay of all entries comes to the stored state and outcomes."""
    command = python(
        "gridtokenx_backend", "replay", "--verify", "--json", "--config", str(month.config)
    )
    done = subprocess.run(command, capture_output=True, timeout=300, check=False, text=True)
    if done.returncode != 0:
        raise Violation(done.stderr.strip())
    return f"{json.loads(done.stdout)['entries']} entries"


CHECKS: tuple[Callable[[Month], str], ...] = (
    journal_is_gapless,
    leaf_hashes_hold,
    leaves_tell_what_happened,
    commitments_hold,
    frames_are_signed,
    frame_chains_are_gapless,
    instructions_are_signed,
    readings_in_are_judged,
    readings_are_the_meters,
    intervals_add_up_to_the_registers,
    minted_is_the_export,
    minted_is_held_retired_or_fed_in,
    assets_sum_to_zero,
    no_account_goes_below_zero,
    charges_add_up,
    settlement_is_delivery_versus_payment,
    nobody_trades_with_itself,
    realtime_keeps_limits,
    intervals_are_cleared_once_in_order,
    books_have_their_hashes,
    volumes_are_the_most,
    prices_are_in_their_intervals,
    energy_is_retired_once,
    statements_are_the_ledger,
    statements_name_every_trade,
    certificates_are_no_more_than_was_minted,
    replay_agrees,
)


def _trades(month: Month) -> Iterable[Trade]:
    return (trade for entry in month.entries for trade in entry.trades)


def _settlement(trade: Trade) -> list[Movement]:
    movements = [
        Movement("GRX", trade.buyer, trade.seller, trade.net_ugrx),
        Movement("GRX", trade.buyer, "community:fees", trade.fee_ugrx),
        Movement("GRID", trade.seller, trade.buyer, trade.quantity_uwh),
    ]
    return [movement for movement in movements if movement.amount]


def _payload(jws: bytes) -> bytes:
    import base64  # noqa: PLC0415

    part = jws.split(b".")[1]
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def _volume(auction: Auction, price_ugrx: int) -> int:
    """The most at a price when nobody trades with itself: a minimum cut."""
    wanted: Counter[str] = Counter()
    offered: Counter[str] = Counter()
    for _, wallet, side, limit, quantity in auction.book:
        if side == "buy" and limit >= price_ugrx:
            wanted[wallet] += quantity
        if side == "sell" and limit <= price_ugrx:
            offered[wallet] += quantity
    demand, supply = wanted.total(), offered.total()
    both = wanted.keys() & offered.keys()
    return min(demand, supply, *(demand - wanted[who] + supply - offered[who] for who in both))


def _check_content(seq: int, auction: Auction, trades: list[Trade], price_ugrx: int) -> None:
    """Who bid above the price is filled, and who asked below it, but for their own orders."""
    filled: Counter[int] = Counter()
    for trade in trades:
        filled[trade.maker] += trade.quantity_uwh
        filled[trade.taker] += trade.quantity_uwh
    sides = defaultdict(set)
    for _, wallet, side, _, _ in auction.book:
        sides[wallet].add(side)
    for number, wallet, side, limit, quantity in auction.book:
        better = limit > price_ugrx if side == "buy" else limit < price_ugrx
        if better and filled[number] < quantity and len(sides[wallet]) == 1:
            raise Violation(f"entry {seq}: order {number} was left out at a better price")
        worse = limit < price_ugrx if side == "buy" else limit > price_ugrx
        if worse and filled[number]:
            raise Violation(f"entry {seq}: order {number} traded beyond its limit")


def _imports(month: Month) -> Counter[tuple[str, int]]:
    """(wallet, interval_ms) → what its meters drew, as the frames' outcomes say."""
    found: Counter[tuple[str, int]] = Counter()
    for entry, _ in month.frames:
        for meter, closed in entry.outcome[8]:
            for row in closed:
                found[month.owners[meter], row[0]] += row[1]
    return found


def _balances_when_it_ended(month: Month) -> Counter[tuple[str, str]]:
    """What its entries moved; the feed-in of a final month comes after it."""
    to_ms = month.statements[0]["data"]["to_ms"]
    found: Counter[tuple[str, str]] = Counter()
    for entry in month.entries:
        if entry.at_ms < to_ms:
            for movement in entry.movements:
                found[movement.debit, movement.asset] -= movement.amount
                found[movement.credit, movement.asset] += movement.amount
    return found
