"""A bus as an installer's command asks it, whatever protocol its meters speak."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from gridtokenx_edge.commissioning.check.line_exchanges import ListeningLine
from gridtokenx_edge.config.dlms_config import DlmsMeter, DlmsSerial, DlmsTcp
from gridtokenx_edge.config.dlms_secrets import SecretError
from gridtokenx_edge.config.edge_config import BusConfig, MeterConfig
from gridtokenx_edge.dlms.line import DlmsLine, line_baud
from gridtokenx_edge.dlms.meter_access import DlmsFiles, access_of
from gridtokenx_edge.dlms.reader import DlmsReader
from gridtokenx_edge.modbus.readers import Readers
from gridtokenx_edge.polling.faults import MeterDenied
from gridtokenx_wire.clock import Clock
from gridtokenx_wire.reading import Reading

# If the times are not taken soon, the oldest ones are lost.
_MOST_KEPT = 1000
_US_PER_S = 10**6


class MeterSession(Protocol):
    """A line and its meters. A meter is known by its place in the config."""

    @property
    def is_up(self) -> bool: ...

    async def connect(self) -> None:
        """Open the line. Raises LineDown."""
        ...

    async def poll(self, place: int) -> Reading:
        """Read a meter. Raises BusFault."""
        ...

    def take(self) -> list[int]:
        """Return how long each exchange since the last call kept the line, in µs."""
        ...

    async def close(self) -> None: ...


class ModbusSession:
    """A Modbus bus. An exchange is a request and its reply."""

    def __init__(self, bus: BusConfig, meters: Sequence[MeterConfig], clock: Clock) -> None:
        self._line = ListeningLine(bus, clock)
        readers = Readers(self._line, clock)
        self._readers = [readers.make(meter) for meter in meters]

    @property
    def is_up(self) -> bool:
        return self._line.is_up

    async def connect(self) -> None:
        await self._line.connect()

    async def poll(self, place: int) -> Reading:
        return await self._readers[place].poll()

    def take(self) -> list[int]:
        return [exchange.took_us for exchange in self._line.take()]

    async def close(self) -> None:
        self._line.close()


class DlmsSession:
    """A DLMS line. An exchange is a meter's turn on it, with the association if it is new."""

    def __init__(
        self,
        bus: DlmsSerial | DlmsTcp,
        meters: Sequence[DlmsMeter],
        files: DlmsFiles,
        clock: Clock,
    ) -> None:
        self._line = DlmsLine(bus, line_baud(bus))
        self._line.asked = self._asked
        self._readers = [_reader(self._line, meter, files, clock) for meter in meters]
        self._took_us: deque[int] = deque(maxlen=_MOST_KEPT)

    @property
    def is_up(self) -> bool:
        return self._line.is_up

    async def connect(self) -> None:
        await self._line.connect()

    async def poll(self, place: int) -> Reading:
        reader = self._readers[place]
        if isinstance(reader, SecretError):
            raise MeterDenied(str(reader))
        return await reader.poll()

    @property
    def readers(self) -> list[DlmsReader | SecretError]:
        """The readers in the order of the config. A meter whose secrets are missing has none."""
        return self._readers

    def take(self) -> list[int]:
        taken = list(self._took_us)
        self._took_us.clear()
        return taken

    async def close(self) -> None:
        """Close the associations: a meter that is just left refuses the next client for minutes."""
        for reader in self._readers:
            if isinstance(reader, DlmsReader):
                await reader.close()
        self._line.close()

    def _asked(self, elapsed_s: float) -> None:
        self._took_us.append(round(elapsed_s * _US_PER_S))


def _reader(
    line: DlmsLine, meter: DlmsMeter, files: DlmsFiles, clock: Clock
) -> DlmsReader | SecretError:
    try:
        return DlmsReader(line, access_of(meter, files), clock)
    except SecretError as error:
        return error
