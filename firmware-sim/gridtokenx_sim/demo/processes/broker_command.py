"""`gridtokenx-sim broker`: amqtt as a process, for a demo on a machine without Mosquitto."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import Annotated

import typer


def broker(port: Annotated[int, typer.Option(min=1, max=65_535)]) -> None:
    """Serve MQTT on a port of this machine, without authentication, until SIGTERM.

    Example: gridtokenx-sim broker --port 18830
    """
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    asyncio.run(_serve(port))


async def _serve(port: int) -> None:
    from amqtt.broker import Broker  # type: ignore[import-untyped]  # noqa: PLC0415 (it is large)

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
            },
        }
    )
    await server.start()
    await stop.wait()
    await server.shutdown()
