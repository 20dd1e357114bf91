"""Run by .venv-interop's Python: reads a DLMS meter with `dlms-cosem` 21.3.2.

A job in JSON on stdin, its values in JSON on stdout. It knows nothing of this project.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

from dlms_cosem import cosem, enumerations, utils  # type: ignore[import-not-found]
from dlms_cosem.clients.dlms_client import DlmsClient  # type: ignore[import-not-found]
from dlms_cosem.cosem.capture_object import CaptureObject  # type: ignore[import-not-found]
from dlms_cosem.cosem.selective_access import RangeDescriptor  # type: ignore[import-not-found]
from dlms_cosem.time import datetime_from_bytes  # type: ignore[import-not-found]

METHODS = {
    "none": None,
    "low": enumerations.AuthenticationMechanism.LLS,
    "gmac": enumerations.AuthenticationMechanism.HLS_GMAC,
}


def attribute(names: list[Any]) -> Any:
    interface, obis, number = names
    instance = cosem.Obis(*map(int, obis.split(".")))
    return cosem.CosemAttribute(enumerations.CosemInterface(interface), instance, number)


def client(job: dict[str, Any]) -> Any:
    secrets = {
        name: bytes.fromhex(job[name])
        for name in ("password", "encryption_key", "authentication_key", "client_system_title")
        if name in job
    }
    common = {
        "client_logical_address": job["client"],
        "server_logical_address": 1,
        "authentication_method": METHODS[job["mechanism"]],
        "client_initial_invocation_counter": job.get("counter", 0),
        "timeout": 5,
        **secrets,
    }
    if "port" in job:
        return DlmsClient.with_tcp_transport(host="127.0.0.1", port=job["port"], **common)
    return DlmsClient.with_serial_hdlc_transport(
        serial_port=job["serial"], server_physical_address=job["physical"], **common
    )


def plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        if len(value) == 12:
            return datetime_from_bytes(bytes(value))[0].isoformat()
        return bytes(value).hex()
    return [plain(item) for item in value] if isinstance(value, list) else value


def read(meter: Any, wanted: dict[str, Any]) -> Any:
    selection = None
    if "range" in wanted:
        first, last = (datetime.fromisoformat(text) for text in wanted["range"])
        clock = CaptureObject(attribute([8, "0.0.1.0.0.255", 2]))
        selection = RangeDescriptor(clock, first, last)
    return plain(utils.parse_as_dlms_data(meter.get(attribute(wanted["attribute"]), selection)))


def main() -> None:
    job = json.load(sys.stdin)
    meter = client(job)
    try:
        meter.connect()
        meter.associate()
        values = [read(meter, wanted) for wanted in job["reads"]]
        meter.release_association()
        if "port" in job:  # in HDLC it cannot read a UA without information, such as ends a link
            meter.disconnect()
    except Exception as error:  # whatever it is, it is this library's verdict
        json.dump({"refused": f"{type(error).__name__}: {error}"}, sys.stdout)
    else:
        json.dump({"values": values}, sys.stdout)


if __name__ == "__main__":
    main()
