"""What a config allows that is unsafe: no mistake, but a person should know of it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from gridtokenx_edge.config.dlms_config import DlmsPush
from gridtokenx_edge.config.edge_config import EdgeConfig, resolve_paths
from gridtokenx_wire.config import finding
from gridtokenx_wire.exposure import is_open_to_all, is_this_machine, open_file_text

_HOUSE_NAMES = (".local", ".lan", ".home", ".internal", ".fritz.box", ".home.arpa")


def risks(config: EdgeConfig, path: Path) -> list[str]:
    """Return a line for each, as for a mistake. Looks at the modes of files, and at no network."""
    found = [*_network(config), *_files(config, path)]
    return [finding(path, key, text) for key, text in found]


def _network(config: EdgeConfig) -> Iterator[tuple[str, str]]:
    broker, house = config.broker, config.home_assistant
    if broker.insecure and not is_this_machine(broker.host):
        yield (
            "broker.insecure",
            f"unsafe: readings go to {broker.host} in plain text, and anybody on the way can read"
            " them and cut them off; use TLS",
        )
    if house.enabled and house.insecure and not is_in_the_house(house.host):
        what = "the password and each value" if house.password_file else "each value"
        yield (
            "home_assistant.insecure",
            f"unsafe: {what} goes to {house.host}, which is not in this house, in plain text",
        )
    url = urlsplit(config.backend.url)
    if url.scheme == "http" and not is_this_machine(url.hostname or ""):
        yield "backend.url", "unsafe: plain HTTP to another machine; use https"
    for position, bus in enumerate(config.dlms):
        if not isinstance(bus, DlmsPush) or bus.network_port is None:
            continue
        for number, meter in enumerate(bus.meter):
            if meter.protection in ("none", "encrypted"):
                yield (
                    f"dlms[{position}].meter[{number}].protection",
                    "unsafe on a network: whoever reaches this port can send readings of this"
                    " meter; use authenticated messages or a cable",
                )


def _files(config: EdgeConfig, path: Path) -> Iterator[tuple[str, str]]:
    paths = resolve_paths(config, path)
    seen: set[Path] = set()
    for key, file in (
        ("device.outbox", paths.outbox.parent),
        ("device.outbox", paths.outbox),
        ("device.key", paths.key.parent),
        ("site", path.resolve()),
        ("site", path.resolve().parent),
    ):
        if file not in seen and is_open_to_all(file):
            yield key, open_file_text(file)
        seen.add(file)


def is_in_the_house(host: str) -> bool:
    """Return whether a host is in the house's own network, as far as its name or address tells."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host.rstrip(".") or host.rstrip(".").endswith(_HOUSE_NAMES)
