"""How a DLMS meter lets a client in, as profiles and configs name it."""

from __future__ import annotations

from typing import Literal

Mechanism = Literal["none", "low", "gmac"]
"""The authentication mechanism of an association: none, LLS or HLS with GMAC."""
Protection = Literal["none", "authenticated", "encrypted", "authenticated_encrypted"]
"""How application messages are protected."""
