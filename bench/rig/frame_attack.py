"""A gateway, in a process of its own, whose frames have a thousand readings that are all refused.

Usage: python -m bench.rig.frame_attack PORT SEED SECONDS FRAMES_PER_S — signs its frames first,
prints a line when it begins, and at the end JSON with what was acked. With FRAMES_PER_S 0 it sends
as fast as acks allow.
"""

from __future__ import annotations

import json
import sys
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.rig.community import Gateway
from bench.rig.load import WINDOW, add, drive, prepare
from gridtokenx_wire.reading import Reading

METER = "BENCH-0-0"
READINGS = 1000
_MOST_PER_S = 400
_REFUSED_UWH = 10**18
_TIMEOUT_S = 60.0


def attacker(seed: str) -> Gateway:
    """Return the gateway of a seed in hex."""
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
    return Gateway(key=key, meters=[METER], owners=["member0"])


def signed_frames(gateway: Gateway, count: int, now_ms: int) -> list[bytes]:
    """Return a frame with a reading that is accepted, and frames whose readings are too high."""
    first = Reading(meter=METER, time_ms=now_ms - 60_000, import_uwh=0, export_uwh=0)
    frames = [gateway.seal([first])]
    for number in range(count):
        readings = [
            Reading(
                meter=METER,
                time_ms=now_ms - 50_000 + number,
                import_uwh=_REFUSED_UWH + index,
                export_uwh=_REFUSED_UWH + 7 * index,
            )
            for index in range(READINGS)
        ]
        frames.append(gateway.seal(readings))
    return frames


def main(port: int, seed: str, seconds: float, frames_per_s: float) -> dict[str, object]:
    """Send refused frames for some seconds, and return how many were acked in which time."""
    gateway = attacker(seed)
    most = round(seconds * (frames_per_s or _MOST_PER_S))
    first, *refused = signed_frames(gateway, most, time.time_ns() // 1_000_000)
    load = prepare(gateway, [first], port, qos=1)
    drive([load], _TIMEOUT_S, hang_up=False)
    load.reads_verdicts = False  # an attacker would not read a thousand of each frame
    print("begins", flush=True)
    began = time.perf_counter()
    while refused and time.perf_counter() - began < seconds:
        some = 1 if frames_per_s else 4 * WINDOW
        add(load, refused[:some], qos=1)
        del refused[:some]
        drive([load], _TIMEOUT_S, hang_up=False)
        if frames_per_s:
            due = began + (load.acked - 1) / frames_per_s
            time.sleep(max(0.0, due - time.perf_counter()))
    elapsed_s = time.perf_counter() - began
    load.sock.close()
    return {"frames": load.acked - 1, "elapsed_s": elapsed_s, "all_sent": not refused}


if __name__ == "__main__":
    port, seed, seconds, frames_per_s = sys.argv[1:]
    print(json.dumps(main(int(port), seed, float(seconds), float(frames_per_s))))
