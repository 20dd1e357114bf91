"""A month of the journal, added up for each wallet and each meter, and checked on the way.

The core has decided everything that the journal holds. What stands here has one of three relations
to it, and each module names its own:

- It adds up what the journal says and decides nothing: `energy`, `posting_kinds`, `journal_rows`,
  `roster`, `metering_points`, `prices`, `spool`. Tariffs and the grid operator's figures have no
  counterpart in the core: `tariffs`, `operator_figures`.
- It shares a pure function of the core, so it repeats a mistake of that function:
  `month_contradictions`, and `allocations` and `allocation_checks` where they say so.
- It computes again what the core has computed, without the core's functions, and tells where both
  differ: `trade_lines` and `trade_checks`, `wallet` with `retirement_checks`, `allocation_checks`
  and `balance_checks`. Each difference is a `Finding`, and each finding is a check that fails on
  the member's statement or on the community's report.

No check here looks at how readings were judged, how intervals were closed or estimated, what was
minted for them, which orders were matched, or which certificates were issued: frames and orders are
not read. Replaying the journal computes all of that again, with the core's own functions.
"""
