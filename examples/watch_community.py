"""Watch a community: python watch_community.py HOST PORT COMMUNITY BACKEND-KEY

It shows the state of every gateway (retained JSON) and the backend's signed answers: acks and state
notices. Trades, prices and clearings are read over HTTP. BACKEND-KEY is what `gridtokenx-backend
key` prints: an answer that it did not sign is shown as forged. It needs `pip install gridtokenx
'paho-mqtt>=2.1'`; call `client.tls_set` for a broker that speaks TLS.
"""

import sys
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from gridtokenx_wire import (
    StateNotice,
    WireError,
    acks_topic,
    device_text,
    escaped,
    open_answer,
    parse_public_key,
    status_topic,
)


def told(message: MQTTMessage, key: Ed25519PublicKey) -> str:
    """Return what a message says, in one line."""
    if message.topic.endswith("/status"):
        return f"{message.topic}: {escaped(message.payload.decode(errors='replace'))}"
    try:
        answer = open_answer(bytes(message.payload), key)
    except WireError as error:
        return f"{message.topic}: forged: {error}"
    device = device_text(answer.device)
    if isinstance(answer, StateNotice):
        return f"{device}: {answer.state.label} {answer.reason}".rstrip()
    refused = [f"reading {v.index} of frame {v.seq}: {v.reason.name}" for v in answer.verdicts]
    return f"{device}: {'; '.join([f'all below {answer.next_seq} is stored', *refused])}"


def main(host: str, port: str, community: str, backend_key: str) -> None:
    key = Ed25519PublicKey.from_public_bytes(parse_public_key(backend_key))
    client = Client(CallbackAPIVersion.VERSION2)

    def subscribe(client: Client, *_: Any) -> None:  # at every connection
        topics = [status_topic(community, "+"), acks_topic(community, "+")]
        client.subscribe([(topic, 1) for topic in topics])

    client.on_connect = subscribe
    client.on_message = lambda _client, _data, message: print(told(message, key), flush=True)
    client.connect(host, int(port))
    client.loop_forever()


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
