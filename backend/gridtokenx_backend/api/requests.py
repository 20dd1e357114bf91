"""The type of the requests that handlers read themselves."""

from __future__ import annotations

from typing import TypeAlias

from litestar import Request
from litestar.datastructures import State

AnyRequest: TypeAlias = Request[object, object, State]
