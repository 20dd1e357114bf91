"""The files that `gridtokenx-backend broker-config` writes: all that Mosquitto needs."""

from __future__ import annotations

from pathlib import Path

from gridtokenx_backend.config.settings import Settings
from gridtokenx_backend.enrolment.authority import open_authority
from gridtokenx_backend.enrolment.broker_access import ACL, CRL, write_access
from gridtokenx_backend.errors import CannotStart
from gridtokenx_backend.folders import make_folder
from gridtokenx_wire.atomic_file import PRIVATE, PUBLIC, replace_file

_CONF = """\
# Mosquitto for the community {community!r}. Written by gridtokenx-backend broker-config.
# Everyone shows a certificate; a client's name is the common name (CN) in it: the device id of a
# gateway, "backend" for the backend. It is its client id too, whatever it says: else one gateway
# could take another's place, or the backend's. SIGHUP reads the lists of who may do what anew.
listener {port}{address}
tls_version tlsv1.2
cafile {folder}/ca.pem
certfile {folder}/broker.pem
keyfile {folder}/broker.key
crlfile {folder}/{crl}
require_certificate true
use_identity_as_username true
use_username_as_clientid true
acl_file {folder}/{acl}

# A PUBACK is no receipt: a broker may drop what it has acknowledged. The backend commits whole
# batches before it acknowledges them, so it is given all messages at once. The limits are for each
# client.
max_inflight_messages 0
max_queued_messages 100000
max_queued_bytes 268435456

# Frames have at most 65,536 bytes.
max_packet_size 131072
set_tcp_nodelay true

# Gateways keep every frame until the backend's signed ack, so the broker need not survive a crash.
persistence false
"""


def write_broker_files(
    settings: Settings, community: str, folder: Path, port: int, address: str
) -> list[str]:
    """Write the folder anew and return the names of its files.

    Lists of revoked gateways that are there already are kept. Raises CannotStart if `init` was not
    run, or the folder cannot be written.
    """
    authority = open_authority(settings.ca)
    if authority is None:
        raise CannotStart(f"{settings.ca}: expected a CA; run: gridtokenx-backend init")
    folder = folder.absolute()
    make_folder(folder, 0o755)
    conf = _CONF.format(
        community=community,
        port=port,
        address=f" {address}" if address else "",
        folder=folder,
        crl=CRL,
        acl=ACL,
    )
    contents = [
        ("mosquitto.conf", conf.encode(), PUBLIC),
        ("ca.pem", authority.pem.encode(), PUBLIC),
        ("broker.pem", _read(settings.tls / "broker.pem"), PUBLIC),
        ("broker.key", _read(settings.tls / "broker.key"), PRIVATE),
    ]
    try:
        for name, content, mode in contents:
            replace_file(folder / name, content, mode)
        if not (folder / ACL).exists():
            write_access(folder, authority, community, [])
    except OSError as error:
        raise CannotStart(f"{folder}: cannot be written: {error.strerror}") from None
    return [*(name for name, _, _ in contents), ACL, CRL]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CannotStart(f"{path}: {error.strerror}; run: gridtokenx-backend init") from None
