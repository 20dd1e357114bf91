"""Read a Modbus meter: python read_modbus_meter.py PORT PROFILE [ADDRESS] [BAUD]

PORT is a serial port such as /dev/ttyUSB0, PROFILE a model of docs/meters.md such as
`eastron_sdm630`. The codec and the profiles do no I/O: bytes go in, registers and values come
out, so pyserial (or anything else) carries the bytes. It needs `pip install 'gridtokenx[edge]'`.
These names of the gateway may change (docs/stability.md); its commands do not:
`gridtokenx-edge read --json` does the same, with retries and the check of the serial number.
"""

import sys
import time

import serial

from gridtokenx_edge.meters.plan import Block, decode_points, plan_blocks
from gridtokenx_edge.meters.profile import load_profile
from gridtokenx_edge.modbus.codec import Refusal, RtuCodec
from gridtokenx_wire import format_kwh

TIMEOUT_S = 1.0


def registers(port: serial.Serial, codec: RtuCodec, address: int, block: Block) -> list[int]:
    """Return the registers that one request asks for."""
    port.write(codec.ask(address, block))
    until = time.monotonic() + TIMEOUT_S
    while time.monotonic() < until:
        answer = codec.feed(port.read(max(1, port.in_waiting)))
        if isinstance(answer, Refusal):
            sys.exit(f"the meter refuses register {block.address:#06x}: exception {answer.code}")
        if answer:
            return answer.words
    sys.exit(f"no reply within {TIMEOUT_S:g} s {codec.give_up().text}".rstrip())


def main(port_name: str, profile_name: str, address: str = "1", baud: str = "9600") -> None:
    profile, codec = load_profile(profile_name), RtuCodec()
    with serial.Serial(port_name, int(baud), timeout=0.1) as port:
        blocks = plan_blocks(profile)
        replies = [(block, registers(port, codec, int(address), block)) for block in blocks]
    for name, value in decode_points(profile, replies).items():
        # Energy is whole µWh, power whole W; None is a value that the meter marks as missing.
        if value is None:
            shown = "none"
        else:
            shown = f"{format_kwh(value)} kWh" if name.startswith("energy") else f"{value} W"
        print(name, shown)


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
