"""The pure core: everything that decides. It has no I/O, no clock and no randomness.

`machine.apply(community, input, at_ms)` is the only way in. The steps from a reading to a payment,
and the folder of each:

- smart meter: `messages`, the inputs (such as a verified frame) and the outcomes of all steps
- oracle validation: `oracle`, the verdict on a reading, and what an accepted one changes
- token minting: `minting`, from a frame to the GRID of its surplus
- order creation: `orders`, instructions of members and their standing orders
- trade match: `market`, continuous trading; `auction` and `clearing`, the auctions of intervals;
  `sharing`, allocation by keys instead of a market
- settlement: `settlement`, money in and out, retirement against import, certificates, months. A
  trade is paid in the step that matches it.

Beside the steps: `registration` (terms and gateways come and change), `model` (the values that are
decided about, with the ledger) and `state` (all that a community remembers, and its snapshots).
"""
