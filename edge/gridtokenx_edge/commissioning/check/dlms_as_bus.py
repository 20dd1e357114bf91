"""Makes Modbus settings of those of DLMS lines and meters, for findings and tables.

What judges a line (its port, its wiring, its time) and what shows it need the serial port, the
rate and the meter's settings; the drivers' BusFacts hold these only as a text for people. So each
judge is written once, for Modbus settings. Nothing is opened with what is made here.
"""

from __future__ import annotations

from gridtokenx_edge.config.dlms_config import DlmsBus, DlmsMeter, DlmsPush, DlmsTcp
from gridtokenx_edge.config.edge_config import BusConfig, MeterConfig, SerialBus, TcpBus
from gridtokenx_edge.dlms.meter_access import logical_device_of
from gridtokenx_edge.meters.dlms import load_dlms


def as_bus(bus: DlmsBus, baud: int = 0) -> BusConfig:
    """Return where the line is, in the words of the other buses, without its meters."""
    if isinstance(bus, DlmsTcp):
        return TcpBus(
            name=bus.name, host=bus.host, meter=[], port=bus.port, timeout_ms=bus.timeout_ms
        )
    if isinstance(bus, DlmsPush) and (port := bus.network_port):
        return TcpBus(name=bus.name, host="", meter=[], port=port)
    timeout_ms = 0 if isinstance(bus, DlmsPush) else bus.timeout_ms
    return SerialBus(name=bus.name, port=bus.port, meter=[], baud=baud, timeout_ms=timeout_ms)


def as_meter(meter: DlmsMeter) -> MeterConfig:
    """Return the meter. Its address is that of its logical device."""
    address = logical_device_of(meter, load_dlms(meter.profile))
    return MeterConfig(
        id=meter.id,
        profile=meter.profile,
        address=address,
        poll_every_s=meter.poll_every_s,
        invert=meter.invert,
    )
