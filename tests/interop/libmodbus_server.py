"""A Modbus server that is libmodbus (Debian's libmodbus5), driven by ctypes: a program of its own.

    python libmodbus_server.py '{"kind": "rtu", "port": "/dev/pts/7", "unit": 1, "holding": ...}'

Registers are given as {"first address in hex": "bytes in hex"}. Prints "ready", or for kind "tcp"
the port, and serves until it is stopped.
"""

from __future__ import annotations

import ctypes
import json
import socket
import sys
from typing import Any

_LONGEST_REQUEST = 260


class Mapping(ctypes.Structure):
    """modbus_mapping_t of modbus.h, version 3.1."""

    _fields_ = (
        ("nb_bits", ctypes.c_int),
        ("start_bits", ctypes.c_int),
        ("nb_input_bits", ctypes.c_int),
        ("start_input_bits", ctypes.c_int),
        ("nb_input_registers", ctypes.c_int),
        ("start_input_registers", ctypes.c_int),
        ("nb_registers", ctypes.c_int),
        ("start_registers", ctypes.c_int),
        ("tab_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_registers", ctypes.POINTER(ctypes.c_uint16)),
        ("tab_registers", ctypes.POINTER(ctypes.c_uint16)),
    )


def library() -> ctypes.CDLL:
    modbus = ctypes.CDLL("libmodbus.so.5", use_errno=True)
    modbus.modbus_new_rtu.restype = ctypes.c_void_p
    modbus.modbus_new_tcp.restype = ctypes.c_void_p
    modbus.modbus_mapping_new_start_address.restype = ctypes.POINTER(Mapping)
    modbus.modbus_strerror.restype = ctypes.c_char_p
    return modbus


def span(registers: dict[str, str]) -> tuple[int, int]:
    """Return the first register's address, and how many there are up to the last."""
    if not registers:
        return 0, 0
    first = min(int(address, 16) for address in registers)
    last = max(
        int(address, 16) + len(bytes.fromhex(text)) // 2 for address, text in registers.items()
    )
    return first, last - first


def fill(table: Any, first: int, registers: dict[str, str]) -> None:
    for address, text in registers.items():
        data = bytes.fromhex(text)
        for at in range(0, len(data), 2):
            table[int(address, 16) - first + at // 2] = int.from_bytes(data[at : at + 2], "big")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(plan: dict[str, Any]) -> None:
    modbus = library()
    holding, inputs = plan.get("holding", {}), plan.get("inputs", {})
    spans = (*span(holding), *span(inputs))
    mapping = modbus.modbus_mapping_new_start_address(0, 0, 0, 0, *spans)
    fill(mapping.contents.tab_registers, spans[0], holding)
    fill(mapping.contents.tab_input_registers, spans[2], inputs)
    request = (ctypes.c_uint8 * _LONGEST_REQUEST)()

    def check(result: int) -> int:
        if result < 0:
            raise SystemExit(modbus.modbus_strerror(ctypes.get_errno()).decode())
        return result

    def serve(context: ctypes.c_void_p) -> None:
        """Answer until the connection ends; a request for others or with a mistake is length 0."""
        while (length := modbus.modbus_receive(context, request)) >= 0:
            if length:
                modbus.modbus_reply(context, request, length, mapping)

    if plan["kind"] == "rtu":
        parity = ctypes.c_char(plan.get("parity", "N").encode())
        context = ctypes.c_void_p(
            modbus.modbus_new_rtu(plan["port"].encode(), plan["baud"], parity, 8, 1)
        )
        check(modbus.modbus_set_slave(context, plan["unit"]))
        check(modbus.modbus_connect(context))
        say("ready")
        while True:
            serve(context)  # a damaged request ends it too
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = ctypes.c_void_p(modbus.modbus_new_tcp(b"127.0.0.1", port))
    listening = ctypes.c_int(check(modbus.modbus_tcp_listen(context, 1)))
    say(str(port))
    while True:
        check(modbus.modbus_tcp_accept(context, ctypes.byref(listening)))
        serve(context)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
