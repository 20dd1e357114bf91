"""The limit on how many items an answer holds."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from litestar.params import QueryParameter

Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, le=1000)]
"""`?limit=`: how many items of a list are wanted, the newest first."""
