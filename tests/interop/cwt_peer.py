"""Run by .venv-interop's Python: opens and seals COSE_Sign1 messages with `cwt`.

    cwt_peer.py open PUBLIC-KEY < message    prints {"protected", "unprotected", "payload"}
    cwt_peer.py seal PRIVATE-SEED < payload  prints the message

Keys, messages and payloads are in hex. It knows nothing of this project.
"""

from __future__ import annotations

import json
import sys

from cbor2 import CBORTag, loads  # version 5 here
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cwt import COSE, COSEKey  # type: ignore[import-not-found]
from cwt.exceptions import VerifyError  # type: ignore[import-not-found]

# COSE_Key parameters (RFC 9052 §7.1, RFC 9053 §7.2): OKP, alg Ed25519, crv Ed25519.
ED25519 = {1: 1, 3: -19, -1: 6}


def plain(value: object) -> object:
    """CBOR as JSON: bytes in hex, tags as [tag, content]."""
    match value:
        case bytes():
            return value.hex()
        case CBORTag():
            return [value.tag, plain(value.value)]
        case list():
            return [plain(item) for item in value]
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
    return value


def open_message(key: bytes, message: bytes) -> str:
    cose_key = COSEKey.new({**ED25519, -2: key})
    try:
        protected, unprotected, payload = COSE.new().decode_with_headers(message, cose_key)
    except VerifyError:
        return json.dumps({"refused": "signature"})
    return json.dumps(
        {
            "protected": plain(protected),
            "unprotected": plain(unprotected),
            "payload": plain(loads(payload)),
        }
    )


def seal_message(seed: bytes, payload: bytes) -> str:
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    cose_key = COSEKey.new({**ED25519, -2: public, -4: seed})
    message: bytes = COSE.new().encode_and_sign(payload, cose_key, protected={1: -19})
    return message.hex()


if __name__ == "__main__":
    action, key_hex = sys.argv[1:]
    run = {"open": open_message, "seal": seal_message}[action]
    content = bytes.fromhex(sys.stdin.read())
    sys.stdout.write(run(bytes.fromhex(key_hex), content))
