"""What a meter tells unasked: a data notification on an interval of community time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from gridtokenx_dlms import data
from gridtokenx_dlms.aio.line import StreamLine
from gridtokenx_dlms.data import Data
from gridtokenx_dlms.date_time import CosemDateTime
from gridtokenx_dlms.errors import LinkError
from gridtokenx_dlms.objects.directory import LOGICAL_DEVICE_NAME
from gridtokenx_dlms.security import Protection
from gridtokenx_dlms.session import Ciphering
from gridtokenx_dlms.wrapper import WrapperMessage
from gridtokenx_dlms.xdlms.attribute import AccessResult, Attribute
from gridtokenx_dlms.xdlms.notification import DataNotification
from gridtokenx_sim.clock import CommunityClock
from gridtokenx_sim.config.dlms import ClientConfig, PushConfig
from gridtokenx_sim.config.faults import Silence
from gridtokenx_sim.dlms.meter import DlmsMeter, client_keys
from gridtokenx_sim.dlms.objects import (
    EXPORT,
    EXPORT_POWER,
    IMPORT,
    IMPORT_POWER,
    LOGICAL_DEVICE,
)

_LOOK_S = 0.1
PUSHED = (
    Attribute(1, LOGICAL_DEVICE_NAME, 2),
    Attribute(3, IMPORT, 2),
    Attribute(3, EXPORT, 2),
    Attribute(3, IMPORT_POWER, 2),
    Attribute(3, EXPORT_POWER, 2),
)
"""What follows the names in a push: each as a logical name and its value, in pairs."""


def notification(meter: DlmsMeter, config: PushConfig, number: int) -> bytes:
    """Return the message: pairs of logical name and value, under the client's keys if it
    has any.
    """
    client = next(one for one in meter.config.client if one.address == config.client)
    model = meter.objects(config.client)
    pairs: list[Data] = []
    for attribute in PUSHED:
        value = model.get(config.client, attribute, None)
        if not isinstance(value, AccessResult):
            pairs += [data.octet_string(attribute.obis.to_bytes()), value]
    time = CosemDateTime.from_unix_ms(meter.clock_ms(), meter.config.zone_min)
    plain = DataNotification(number, time, data.structure(*pairs)).to_bytes()
    return _protected(plain, meter, client)


def _protected(plain: bytes, meter: DlmsMeter, client: ClientConfig) -> bytes:
    keys, protection = client_keys(client), Protection[client.protection.upper()]
    if keys is None or protection is Protection.NONE:
        return plain
    ciphering = Ciphering(
        keys=keys,
        title=meter.title,
        protection=protection,
        counter=meter.take_counter(),
        is_general=True,
    )
    return ciphering.cipher(plain)


async def keep_pushing(
    meter: DlmsMeter,
    config: PushConfig,
    clock: CommunityClock,
    send: Callable[[bytes], Awaitable[None]],
    since_ms: int,
) -> None:
    """Send a notification at each multiple of the interval after `since_ms`, until cancelled.

    What was not heard is not said again, as with real meters.
    """
    every_ms = config.every_s * 1000
    last = since_ms // every_ms
    number = 0
    while True:
        await asyncio.sleep(_LOOK_S)
        now = clock.now_ms() // every_ms
        if now == last or any(isinstance(fault, Silence) for fault in meter.active_faults()):
            continue
        last, number = now, number + 1
        with suppress(LinkError, TimeoutError):
            await send(notification(meter, config, number))


async def send_over_tcp(config: PushConfig, message: bytes) -> None:
    """Send one message in a connection of its own. Raises LinkError."""
    line = await StreamLine.connect(config.host, config.port)
    try:
        await line.write(
            WrapperMessage(
                source=LOGICAL_DEVICE, destination=config.client, message=message
            ).to_bytes()
        )
    finally:
        line.close()
