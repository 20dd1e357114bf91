"""The DLMS models: their names for themselves, and how many phases they measure."""

from __future__ import annotations

import msgspec


class DlmsModel(msgspec.Struct, frozen=True, kw_only=True):
    """`maker` begins a meter's id; `letters` (FLAG) begin its logical device name, system title
    and identification. `is_named_by_device`: its id ends with the logical device name, not with
    the serial number alone.
    """

    name: str
    phases: int
    maker: str = "SIM"
    letters: str = "SIM"
    is_named_by_device: bool = False

    def meter_id(self, serial: str) -> str:
        """Return what a gateway makes of its name: `ISKRAEMECO-40012345`."""
        named = logical_device_name(self, serial).decode() if self.is_named_by_device else serial
        return f"{self.maker}-{named}"


DLMS_MODELS = {
    "dlms_single_phase": DlmsModel(name="DLMS single phase", phases=1),
    "dlms_three_phase": DlmsModel(name="DLMS three phases", phases=3),
    "edmi_mk10": DlmsModel(
        name="EDMI Mk10", phases=3, maker="EDMI", letters="EDM", is_named_by_device=True
    ),
    "iskraemeco_am550": DlmsModel(
        name="Iskraemeco AM550", phases=3, maker="ISKRAEMECO", letters="ISK"
    ),
    "landisgyr_e450": DlmsModel(
        name="Landis+Gyr E450", phases=3, maker="LANDISGYR", letters="LGZ", is_named_by_device=True
    ),
}


def logical_device_name(model: DlmsModel, serial: str) -> bytes:
    """Return at most 16 bytes, the maker's letters first (Blue Book, 0-0:42.0.0)."""
    return f"{model.letters}{serial}".encode()


def system_title(model: DlmsModel, serial: str) -> bytes:
    """Return eight bytes: the maker's letters, and five made from the serial number."""
    digest = 0
    for byte in serial.encode():
        digest = (digest * 257 + byte) % (1 << 40)
    return model.letters.encode() + digest.to_bytes(5, "big")
