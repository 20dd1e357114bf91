"""The uniform-price call auction as pure arithmetic: a book gives a clearing, without a ledger."""
