"""From which address a request comes, where proxies stand before the API.

`X-Forwarded-For` is believed only if a proxy sent it that the config names. Whoever else sends it
has made it up.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

_HOUSEHOLD_PREFIX = 64  # what one IPv6 customer has at least (RFC 6177)


class TrustedProxies:
    """The addresses and networks whose `X-Forwarded-For` is believed."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """Take addresses and networks such as 10.0.0.0/8. Raises ValueError."""
        self._networks = [ipaddress.ip_network(text) for text in texts]

    def __contains__(self, address: str) -> bool:
        found = _parsed(address)
        return found is not None and any(found in network for network in self._networks)

    def client_of(self, peer: str, forwarded: Iterable[str]) -> str:
        """Return the address of the client of a request.

        `peer` is who is connected, `forwarded` the values of the request's headers
        `X-Forwarded-For` in their order. Each proxy adds the address that it saw at the end, so
        they are read from there up to the first one that is no proxy of ours.
        """
        if peer not in self:
            return peer
        seen = [part.strip() for value in forwarded for part in value.split(",")]
        client = peer
        for address in reversed(seen):
            if _parsed(address) is None:
                break
            client = address
            if address not in self:
                break
        return client


def holder_of(address: str) -> str:
    """Return what is counted together: an IPv4 address, or the network of an IPv6 customer."""
    found = _parsed(address)
    if isinstance(found, ipaddress.IPv6Address) and not found.is_loopback:
        return str(ipaddress.ip_network((found, _HOUSEHOLD_PREFIX), strict=False))
    return str(found) if found is not None else address


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
