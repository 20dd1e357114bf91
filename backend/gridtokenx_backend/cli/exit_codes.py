"""With which codes the commands end; 0 is success."""

from __future__ import annotations

FINDING = 1
"""The command did its work and found something that a person should look at."""
OPERATOR_MISTAKE = 2
"""The command could not do its work; its message says what the operator can mend."""
INTERRUPTED = 130
"""The command was interrupted with Ctrl-C (128 + SIGINT)."""
