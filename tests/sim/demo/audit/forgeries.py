"""Ways to falsify what a demo stored, each named with the check that must notice it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import tests.sim.demo.audit.market_forgeries as market
from tests.sim.demo.audit.forger import MOVEMENTS, Forger, database, minting

from gridtokenx_sim.demo.files.folder import Folder


def forge_a_gap(forger: Forger, _: Folder) -> None:
    forger.execute("DELETE FROM journal WHERE seq = 5")


def forge_time_backwards(forger: Forger, _: Folder) -> None:
    forger.execute("UPDATE journal SET at_ms = 1 WHERE seq = 5")


def forge_a_leaf_hash(forger: Forger, _: Folder) -> None:
    forger.execute("UPDATE journal SET leaf_hash = ? WHERE seq = 3", bytes(32))


def forge_a_silent_leaf(forger: Forger, _: Folder) -> None:
    def double(outcome: Any) -> None:
        outcome[MOVEMENTS][0][3] *= 2

    forger.change(minting(forger), double, in_leaf=False)


def forge_a_leaf_of_another_entry(forger: Forger, _: Folder) -> None:
    forger.execute("UPDATE journal SET leaf = (SELECT leaf FROM journal WHERE seq=3) WHERE seq=4")


def forge_a_salt(forger: Forger, _: Folder) -> None:
    forger.execute("UPDATE journal SET salt = ? WHERE seq = 2", bytes(16))


def forge_an_input(forger: Forger, _: Folder) -> None:
    forger.execute("UPDATE journal SET input = ? WHERE seq = 1", b"{}")


def forge_a_frame(forger: Forger, _: Folder) -> None:
    """One bit of a register, in the last bytes before the signature."""
    query = "SELECT input FROM journal WHERE seq = ?"
    seq = minting(forger)
    with database(forger.path) as rows:
        ((message,),) = rows.execute(query, (seq,)).fetchall()
    changed = message[:-80] + bytes([message[-80] ^ 1]) + message[-79:]
    forger.execute("UPDATE journal SET input = ? WHERE seq = ?", changed, seq)


def forge_a_device_key(_: Forger, folder: Folder) -> None:
    path = folder.config / "community.toml"
    text = path.read_text()
    device, wallet = (re.search(rf'{key} = "(.*)"', text) for key in ("public_key", "wallet"))
    assert device
    assert wallet
    path.write_text(text.replace(device[1], wallet[1]))


def forge_a_lost_frame(forger: Forger, _: Folder) -> None:
    """One that another frame of its device follows."""
    forger.execute(
        "DELETE FROM journal WHERE seq ="
        " (SELECT MAX(previous) FROM journal WHERE kind = 'frame' AND previous > 0)"
    )


def forge_a_predecessor(forger: Forger, _: Folder) -> None:
    forger.execute("UPDATE journal SET previous = 1 WHERE seq = ?", minting(forger))


def forge_a_frame_twice(forger: Forger, _: Folder) -> None:
    forger.execute(
        "INSERT INTO journal SELECT (SELECT max(seq) + 1 FROM journal), at_ms, kind, previous,"
        " leaf, leaf_hash, salt, input, outcome FROM journal WHERE seq = ?",
        minting(forger),
    )


def forge_a_verdict(forger: Forger, _: Folder) -> None:
    def refuse(outcome: Any) -> None:
        outcome[6].append([0, 7])

    forger.change(minting(forger), refuse)


def forge_two_verdicts_of_one_reading(forger: Forger, _: Folder) -> None:
    def refuse(outcome: Any) -> None:
        outcome[6] += [[0, 7], [0, 65]]

    forger.change(minting(forger), refuse)


def forge_a_binding(_: Forger, folder: Folder) -> None:
    path = folder.config / "community.toml"
    path.write_text(path.read_text().replace("EASTRON-23817402", "EASTRON-1"))


def forge_an_outbox_that_skips(_: Forger, folder: Folder) -> None:
    with database(folder.outbox("north")) as rows:
        rows.execute("UPDATE frame SET seq = seq + 3")


def forge_another_frame_in_the_outbox(_: Forger, folder: Folder) -> None:
    with database(folder.outbox("south")) as rows:
        rows.execute("UPDATE frame SET message = x'00'")


def forge_a_missing_outbox(_: Forger, folder: Folder) -> None:
    folder.outbox("south").unlink()


def forge_an_order(forger: Forger, _: Folder) -> None:
    with database(forger.path) as rows:
        seq, jws = rows.execute("SELECT seq, input FROM journal WHERE kind = 'order'").fetchone()
        header, payload, signature = bytes(jws).split(b".")
        other = b"A" if signature[:1] != b"A" else b"B"
        forged = b".".join([header, payload, other + signature[1:]])
        rows.execute("UPDATE journal SET input = ? WHERE seq = ?", (forged, seq))


def forge_money_from_nowhere(forger: Forger, _: Folder) -> None:
    def reverse(outcome: Any) -> None:
        outcome[MOVEMENTS][0][3] *= -1

    forger.change(minting(forger), reverse)


def forge_an_asset(forger: Forger, _: Folder) -> None:
    def rename(outcome: Any) -> None:
        outcome[MOVEMENTS][0][0] = "GOLD"

    forger.change(minting(forger), rename)


def forge_an_opening_balance(forger: Forger, _: Folder) -> None:
    def enrich(outcome: Any) -> None:
        outcome[1][0][3] += 1

    forger.change(1, enrich)


def forge_a_double_mint(forger: Forger, _: Folder) -> None:
    def double(outcome: Any) -> None:
        outcome[MOVEMENTS][0][3] *= 2

    forger.change(minting(forger), double)


def forge_a_mint_for_another(forger: Forger, _: Folder) -> None:
    def redirect(outcome: Any) -> None:
        outcome[MOVEMENTS][0][2] = "community:fees"

    forger.change(minting(forger), redirect)


def forge_the_truth(_: Forger, folder: Folder) -> None:
    meters = json.loads(folder.meters.read_bytes())
    meters["meters"][0]["export_uwh"] -= 10**9
    folder.meters.write_text(json.dumps(meters))


def forge_what_the_api_said(_: Forger, folder: Folder) -> None:
    statement = json.loads(folder.statement.read_bytes())
    next(iter(statement["balances"].values()))["grid_uwh"] += 1
    folder.statement.write_text(json.dumps(statement))


def forge_an_escrow(_: Forger, folder: Folder) -> None:
    statement = json.loads(folder.statement.read_bytes())
    balance = next(iter(statement["balances"].values()))
    balance["grx_held_ugrx"] = balance["grx_ugrx"] + 1
    folder.statement.write_text(json.dumps(statement))


FORGERIES: list[tuple[str, Callable[[Forger, Folder], None]]] = [
    ("journal_is_gapless", forge_a_gap),
    ("journal_is_gapless", forge_time_backwards),
    ("leaf_hashes_hold", forge_a_leaf_hash),
    ("leaves_tell_what_happened", forge_a_silent_leaf),
    ("leaves_tell_what_happened", forge_a_leaf_of_another_entry),
    ("commitments_hold", forge_a_salt),
    ("commitments_hold", forge_an_input),
    ("frames_are_signed", forge_a_frame),
    ("frames_are_signed", forge_a_device_key),
    ("frame_chains_are_gapless", forge_a_lost_frame),
    ("frame_chains_are_gapless", forge_a_predecessor),
    ("no_frame_is_stored_twice", forge_a_frame_twice),
    ("readings_are_accounted_for", forge_a_verdict),
    ("readings_are_accounted_for", forge_two_verdicts_of_one_reading),
    ("accepted_readings_are_bound", forge_a_binding),
    ("outboxes_hold_the_rest", forge_an_outbox_that_skips),
    ("outboxes_hold_the_rest", forge_another_frame_in_the_outbox),
    ("outboxes_hold_the_rest", forge_a_missing_outbox),
    ("instructions_are_signed", forge_an_order),
    ("assets_sum_to_zero", forge_money_from_nowhere),
    ("assets_sum_to_zero", forge_an_asset),
    ("no_account_goes_below_zero", market.forge_an_overdraft),
    ("only_issuers_issue", market.forge_fresh_money),
    ("only_issuers_issue", market.forge_a_frame_that_takes_back),
    ("only_issuers_issue", market.forge_a_payment_out_of_a_tick),
    ("only_issuers_issue", forge_an_opening_balance),
    ("mint_is_the_export", forge_a_double_mint),
    ("mint_is_the_export", forge_a_mint_for_another),
    ("mint_is_no_more_than_the_truth", forge_the_truth),
    ("trades_are_exact", market.forge_a_gross),
    ("trades_are_exact", market.forge_a_fee),
    ("trades_are_exact", market.forge_a_self_trade),
    ("settlement_is_delivery_versus_payment", market.forge_a_payment_without_delivery),
    ("settlement_is_delivery_versus_payment", market.forge_a_fill),
    ("history_is_the_journal", market.forge_the_history),
    ("history_is_the_journal", market.forge_a_shorter_history),
    ("balances_are_as_told", forge_what_the_api_said),
    ("balances_are_as_told", forge_an_escrow),
    ("intervals_are_cleared_in_order", market.forge_another_interval),
    ("books_have_their_hashes", market.forge_a_book),
    ("auctions_move_the_most", market.forge_a_volume),
    ("auctions_move_the_most", market.forge_a_clearing_price),
    ("replay_agrees", forge_a_double_mint),
]
