"""What all commands print to a person's terminal in the same way."""

from __future__ import annotations
