"""How schemathesis sends bodies of media types that it does not know: as they are."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.serializer("application/jose", "application/cbor-seq")
def as_it_is(_: Any, value: Any) -> bytes:
    """Return the text or the bytes of a body."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
