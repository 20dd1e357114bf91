"""The journal of a month, folded into what each wallet and meter did in it."""
