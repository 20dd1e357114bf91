"""`[[dlms]]`: lines with DLMS meters, beside the Modbus buses. Secrets are named, never written."""

from __future__ import annotations

from typing import Literal

import msgspec

from gridtokenx_edge.meters.dlms_access import Mechanism, Protection

TCP, UDP = "tcp:", "udp:"
"""A push line's port begins with this if it is a port of the network."""


class DlmsMeter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[[dlms.meter]]`: a meter. What is left out is as its profile has it.

    `password`, `encryption_key` and `authentication_key` say where a secret is: a file, `env:NAME`
    or `credential:NAME`. `system_title` is this client's, 16 hexadecimal digits. `zone` (an IANA
    name) is for a clock that does not say how far it is from UTC. `repair_hours` is how far back
    gaps are filled from the load profile; with 0 they are not filled.
    """

    id: str
    profile: str
    poll_every_s: float = 10.0
    invert: bool = False
    client: int | None = None
    logical_device: int | None = None
    physical_address: int | None = None
    authentication: Mechanism | None = None
    protection: Protection | None = None
    password: str = ""
    encryption_key: str = ""
    authentication_key: str = ""
    system_title: str = ""
    zone: str = ""
    repair_hours: float = 168.0

    @property
    def every_ms(self) -> int:
        return round(self.poll_every_s * 1000)


class DlmsSerial(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag="serial",
    tag_field="kind",
    kw_only=True,
):
    """`[[dlms]]` of kind "serial": HDLC on RS-485 or an optical head, always 8N1.

    `baud` and `opening` are as the profile has them if they are left out.
    """

    name: str
    port: str
    meter: list[DlmsMeter]
    baud: int | None = None
    opening: Literal["hdlc", "mode_e"] | None = None
    timeout_ms: int = 2000
    retries: int = 2


class DlmsTcp(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag="tcp",
    tag_field="kind",
    kw_only=True,
):
    """`[[dlms]]` of kind "tcp": the wrapper, or HDLC frames through a serial device server."""

    name: str
    host: str
    meter: list[DlmsMeter]
    port: int = 4059
    framing: Literal["wrapper", "hdlc"] = "wrapper"
    timeout_ms: int = 3000
    retries: int = 1


class DlmsPush(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag="push",
    tag_field="kind",
    kw_only=True,
):
    """`[[dlms]]` of kind "push": meters that send by themselves.

    `port` is a serial port such as "/dev/ttyUSB0", "tcp:4059" to be connected to by meters, or
    "udp:4059". Wired M-Bus has even parity by its standard, HDLC none.
    """

    name: str
    port: str
    meter: list[DlmsMeter]
    baud: int = 2400
    parity: Literal["N", "E"] = "N"

    @property
    def network_port(self) -> int | None:
        """The TCP or UDP port, or None if it is a serial port. Raises ValueError."""
        if not self.port.startswith((TCP, UDP)):
            return None
        number = self.port[len(TCP) :]
        if not number.isdecimal() or not 1 <= int(number) <= 65_535:
            raise ValueError(f'expected a port such as "tcp:4059" or "udp:4059", got {self.port!r}')
        return int(number)


DlmsBus = DlmsSerial | DlmsTcp | DlmsPush
