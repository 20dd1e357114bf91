"""A model's address space, and what the meter answers to a read request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from gridtokenx_sim.models.register import Register, encode
from gridtokenx_sim.models.snapshot import Snapshot

ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3

_MAX_ADDRESS = 65_535


class Table:
    """The registers behind one function code.

    `filled` are blocks whose unused addresses read as zero; every other unused address is
    refused with exception 2.
    """

    def __init__(self, registers: Sequence[Register], filled: Sequence[range] = ()) -> None:
        self.registers = tuple(registers)
        self._zeros = frozenset(address for block in filled for address in block)
        self._at: dict[int, tuple[Register, int]] = {}
        self._alone: dict[int, Register] = {}
        for register in registers:
            if register.alone:
                self._alone[register.address] = register
                continue
            for offset in range(register.words):
                assert register.address + offset not in self._at, f"overlap at {register.address}"
                self._at[register.address + offset] = (register, offset)

    def moved(self, distance: int) -> Table:
        """Return the same registers, `distance` further on. For a table without `filled` blocks."""
        assert not self._zeros
        return Table(
            [
                msgspec.structs.replace(register, address=register.address + distance)
                for register in self.registers
            ]
        )

    def read(self, snapshot: Snapshot, address: int, count: int) -> list[int] | int:
        """Return `count` words from `address`, or an exception code."""
        if count == 1 and (single := self._alone.get(address)):
            return encode(single, snapshot) or ILLEGAL_ADDRESS
        words: list[int] = []
        current: Register | None = None
        encoded: list[int] | None = None
        for place in range(address, address + count):
            found = self._at.get(place)
            if found is None:
                if place not in self._zeros:
                    return ILLEGAL_ADDRESS
                words.append(0)
                continue
            register, offset = found
            if register is not current:
                current, encoded = register, encode(register, snapshot)
            if encoded is None:
                return ILLEGAL_ADDRESS
            words.append(encoded[offset])
        return words


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """The traits that distinguish a model on the wire.

    `serial`: whether the serial number is a 32-bit number or a text of at most 13 letters.
    `wires`: the buses that such a meter can be on. `without_export`: meters without an export
    register exist, and answer for it as the layout says (`has_export = false` in the config).
    `base`: where the registers begin, of a model that may have them elsewhere too.
    """

    model: str
    name: str
    maker: str
    phases: Literal[1, 3]
    serial: Literal["uint32", "ascii"]
    tables: dict[int, Table]
    max_registers: int = 125
    wires: frozenset[str] = frozenset({"serial", "tcp"})
    without_export: bool = False
    base: int | None = None

    @property
    def knows_undefined(self) -> bool:
        """Whether this model has a raw value that means "not available"."""
        return any(
            register.invalid is not None
            for table in self.tables.values()
            for register in table.registers
        )

    def read(self, snapshot: Snapshot, function: int, address: int, count: int) -> list[int] | int:
        """Return the registers asked for by function code 3 or 4, or an exception code."""
        table = self.tables.get(function)
        if table is None:
            return ILLEGAL_FUNCTION
        if not 1 <= count <= self.max_registers:
            return ILLEGAL_VALUE
        if address + count - 1 > _MAX_ADDRESS:
            return ILLEGAL_ADDRESS
        return table.read(snapshot, address, count)

    def at(self, base: int) -> Layout:
        """Return the same registers from `base` on; a layout that cannot be moved stays."""
        if self.base is None or base == self.base:
            return self
        tables = {code: table.moved(base - self.base) for code, table in self.tables.items()}
        return msgspec.structs.replace(self, tables=tables, base=base)
