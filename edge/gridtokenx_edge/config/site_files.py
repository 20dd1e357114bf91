"""The files of a gateway that enrolment writes: certificates, and `edge.toml`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gridtokenx_edge.config.edge_config import EdgeConfig
from gridtokenx_edge.config.toml_edit import CannotEdit, append_table, set_values
from gridtokenx_edge.errors import CannotEnrol
from gridtokenx_wire.atomic_file import PUBLIC, replace_file
from gridtokenx_wire.config import load_toml
from gridtokenx_wire.enrolment import EnrolmentAnswer

_FRESH = """\
# A site's gateway: which meters hang on which line, and where their readings go.
# Unknown keys are errors. File names are relative to this file.

[site]

[device]

[backend]

[broker]

# Describe the meters; then: gridtokenx-edge check-config --config {name}
#
# [[bus]]
# name = "meter cabinet"
# kind = "serial"
# port = "/dev/ttyUSB0"
# baud = 9600
#
#   [[bus.meter]]
#   id = "EASTRON-12345678"   # the maker and the serial number that the meter itself tells
#   profile = "eastron_sdm630"
#   address = 1
"""


class SiteFileNames(msgspec.Struct, frozen=True, kw_only=True):
    """File names as the config has them, relative to it."""

    key: str = "edge.key"
    outbox: str = "outbox.db"
    ca: str = "ca.pem"
    cert: str = "edge-tls.pem"
    tls_key: str = "edge-tls.key"

    def next(self, generation: int) -> SiteFileNames:
        """Return the names for the next key.

        They are the same for the same generation, so that a rotation can be repeated.
        """
        return SiteFileNames(
            key=_numbered(self.key, generation),
            outbox=_numbered(self.outbox, generation),
            ca=self.ca,
            cert=_numbered(self.cert, generation),
            tls_key=_numbered(self.tls_key, generation),
        )


def _numbered(name: str, generation: int) -> str:
    path = Path(name)
    stem = path.stem.removesuffix(f"-{generation - 1}")
    return str(path.with_name(f"{stem}-{generation}{path.suffix}"))


def names_in(config: EdgeConfig | None) -> SiteFileNames:
    """Return the names that a config has, and the usual ones for those that it does not have."""
    if config is None:
        return SiteFileNames()
    usual, broker = SiteFileNames(), config.broker
    return SiteFileNames(
        key=config.device.key,
        outbox=config.device.outbox,
        ca=broker.ca or usual.ca,
        cert=broker.cert or usual.cert,
        tls_key=broker.key or usual.tls_key,
    )


def read_config(path: Path) -> EdgeConfig | None:
    """Return the config without a look at its meters, or None if there is none.

    Raises ConfigError.
    """
    return load_toml(path, EdgeConfig) if path.exists() else None


def config_text(
    path: Path, names: SiteFileNames, url: str, site: str, answer: EnrolmentAnswer
) -> str:
    """Return `edge.toml` with what was learnt. The rest of it stays, comments too.

    Raises CannotEnrol.
    """
    text = path.read_text("utf-8-sig") if path.exists() else _FRESH.format(name=path.name)
    ack_key = answer.ack_keys if len(answer.ack_keys) > 1 else answer.ack_keys[0]
    try:
        text = set_values(text, "site", {"community": answer.community, "name": site})
        text = set_values(text, "device", {"key": names.key, "outbox": names.outbox})
        text = set_values(text, "backend", {"ack_key": ack_key, "url": url})
        return set_values(
            text,
            "broker",
            {
                "host": answer.broker_host,
                "port": answer.broker_port,
                "insecure": False,
                "ca": names.ca,
                "cert": names.cert,
                "key": names.tls_key,
            },
        )
    except CannotEdit as error:
        raise CannotEnrol(f"{path}: {error}") from None


def rotated_text(
    path: Path,
    names: SiteFileNames,
    former: SiteFileNames,
    url: str,
    site: str,
    answer: EnrolmentAnswer,
) -> str:
    """Return `edge.toml` for the next key. The former key stays until its outbox is drained."""
    text = config_text(path, names, url, site, answer)
    return append_table(
        text,
        "[[device.former]]  # send-only, until the agent says former_key_drained",
        {
            "key": former.key,
            "outbox": former.outbox,
            "cert": former.cert,
            "tls_key": former.tls_key,
        },
    )


def store(path: Path, content: str) -> None:
    """Write a file durably and in one step. A config keeps its mode. Raises CannotEnrol."""
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else PUBLIC
        replace_file(path, content.encode(), mode)
    except OSError as error:
        raise CannotEnrol(f"{path}: cannot be written: {error.strerror}") from None
