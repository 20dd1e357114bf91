"""From which address a request comes, with proxies and with made-up headers."""

from __future__ import annotations

import pytest

from gridtokenx_backend.api.client_address import TrustedProxies, holder_of


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        pytest.param("203.0.113.9", ["10.0.0.1"], "203.0.113.9", id="no proxy of ours made it up"),
        pytest.param("127.0.0.1", [], "127.0.0.1", id="the proxy itself"),
        pytest.param("127.0.0.1", ["198.51.100.7"], "198.51.100.7", id="through the proxy"),
        pytest.param("127.0.0.1", ["1.2.3.4, 198.51.100.7"], "198.51.100.7", id="made up before"),
        pytest.param("127.0.0.1", ["1.2.3.4", "198.51.100.7"], "198.51.100.7", id="two headers"),
        pytest.param("127.0.0.1", ["198.51.100.7, 10.1.2.3"], "198.51.100.7", id="two proxies"),
        pytest.param("10.9.9.9", ["2001:db8::1"], "2001:db8::1", id="a network of proxies"),
        pytest.param("::ffff:127.0.0.1", ["198.51.100.7"], "198.51.100.7", id="mapped"),
        pytest.param("127.0.0.1", ["unknown"], "127.0.0.1", id="no address"),
        pytest.param("127.0.0.1", ["198.51.100.7, x"], "127.0.0.1", id="no address at the end"),
        pytest.param("127.0.0.1", [""], "127.0.0.1", id="nothing"),
    ],
)
def test_only_what_a_named_proxy_has_seen_is_believed(
    peer: str, forwarded: list[str], client: str
) -> None:
    assert TrustedProxies(["127.0.0.1", "10.0.0.0/8"]).client_of(peer, forwarded) == client


def test_without_a_proxy_nothing_is_believed() -> None:
    assert TrustedProxies().client_of("127.0.0.1", ["198.51.100.7"]) == "127.0.0.1"


@pytest.mark.parametrize(
    ("address", "holder"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::1"),
        ("", ""),
    ],
)
def test_an_ipv6_customer_is_counted_as_one(address: str, holder: str) -> None:
    assert holder_of(address) == holder
