"""The uniform-price call auction, as arithmetic: a book in, a clearing out. No ledger, no clock."""
