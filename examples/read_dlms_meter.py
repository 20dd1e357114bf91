"""Read a DLMS meter: python read_dlms_meter.py HOST PORT PASSWORD [CLIENT]

It reads the energy registers and the clock of a DLMS/COSEM meter on TCP (the wrapper of
IEC 62056-47), as a client with low level security at the address CLIENT, 2 by default. It needs
`pip install gridtokenx`. HDLC on serial ports, mode E and ciphered associations work as well.
"""

import asyncio
import sys

from gridtokenx_dlms import (
    Attribute,
    Authentication,
    ClientAssociation,
    Data,
    DlmsError,
    Mechanism,
    Obis,
    StreamLine,
    WrapperTransport,
    run_service,
)

REGISTER, CLOCK, VALUE, SCALER_AND_UNIT = 3, 8, 2, 3
WATT_HOURS = 30  # Blue Book, physical units
LOGICAL_DEVICE = 1


async def main(host: str, port: str, password: str, client: str = "2") -> None:
    line = await StreamLine.connect(host, int(port))
    transport = WrapperTransport(line, int(client), LOGICAL_DEVICE)
    authentication = Authentication(mechanism=Mechanism.LOW, secret=password.encode())
    association = ClientAssociation(authentication)

    async def get(class_id: int, obis: str, attribute: int) -> Data:
        service = association.get(Attribute(class_id, Obis.parse(obis), attribute))
        return await run_service(service, transport)

    try:
        await transport.open()
        await run_service(association.open(), transport)
        for obis, name in (("1-0:1.8.0", "import"), ("1-0:2.8.0", "export")):
            value = await get(REGISTER, obis, VALUE)
            scaler, unit = (await get(REGISTER, obis, SCALER_AND_UNIT)).items()
            spelled = "Wh" if unit.integer() == WATT_HOURS else f"unit {unit.integer()}"
            print(f"{name} {value.integer()}e{scaler.integer()} {spelled}")
        clock = await get(CLOCK, "0-0:1.0.0", VALUE)
        print(f"clock {clock.moment().unix_ms()} ms")
        await run_service(association.release(), transport)
    finally:
        await transport.close()


if __name__ == "__main__":
    if not 4 <= len(sys.argv) <= 5:
        sys.exit(__doc__)
    try:
        asyncio.run(main(*sys.argv[1:]))
    except DlmsError as error:
        sys.exit(f"read_dlms_meter: {error}")
