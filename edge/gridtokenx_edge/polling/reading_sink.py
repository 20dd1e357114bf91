"""The port through which readings leave a poller."""

from __future__ import annotations

from typing import Protocol

from gridtokenx_wire.reading import Reading


class ReadingSink(Protocol):
    """Takes readings. Between `begin` and `end` a reading is on its way."""

    def begin(self) -> None: ...

    def add(self, reading: Reading) -> None: ...

    def end(self) -> None: ...
