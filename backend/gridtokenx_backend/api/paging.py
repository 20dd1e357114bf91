"""How much one answer may hold."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from litestar.params import QueryParameter

Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, le=1000)]
"""`?limit=` of lists, newest first."""
