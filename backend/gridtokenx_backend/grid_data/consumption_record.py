"""Reads the ebUtilities ConsumptionRecord, Austria's file format for quarter-hourly energy.

The schema is http://www.ebutilities.at/schemata/customerprocesses/consumptionrecord/01pNN; 01p40
and 01p41 do not differ in what is read here. A file has ProcessDirectory / MeteringPoint, then
Energy (with the MeteringIntervall QH), in it EnergyData with MeterCode and UOM, and in that an EP
for each interval: DTF and DTT (from, to), MM (the method: L1 measured, L2 substitute, L3
provisional) and BQ (the quantity). Times have their offset, so all hours of a day of 25 are exact.

The meter codes of energy communities are in the code list of the Austrian market ("1-1:" and OBIS
group C 1 or 2): 1.9.0 G.01 is consumption as measured, 2.9.0 G.02 the consumer's share of the
generation, 2.9.0 G.03 what the consumer used of it, 2.9.0 G.01 generation, and 2.9.0 P.01 what the
community did not use of it. A T at the end means that the participation factor is applied. Values
of other codes are left out and counted.

The parser is expat, and document types are refused: nothing in the file can expand, or refer to
something outside of it.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from typing import NamedTuple
from xml.parsers import expat

from gridtokenx_backend.core.messages.grid_data import Quantity
from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS, Quality
from gridtokenx_backend.grid_data import interval_rows
from gridtokenx_backend.grid_data.file_content import BadFile
from gridtokenx_backend.grid_data.interval_rows import (
    MAX_ROWS,
    UWH_OF,
    BadValue,
    GridDataRow,
)
from gridtokenx_backend.grid_data.local_time import unix_ms

CODES: dict[str, Quantity] = {
    "1-1:1.9.0 G.01": "consumption",
    "1-1:1.9.0 G.01T": "consumption_part",
    "1-1:2.9.0 G.02": "share",
    "1-1:2.9.0 G.03": "received",
    "1-1:2.9.0 G.01": "generation",
    "1-1:2.9.0 G.01T": "generation_part",
    "1-1:2.9.0 P.01": "surplus",
    "1-1:2.9.0 P.01T": "surplus_part",
}
_NAMESPACE = re.compile(
    r"http://www\.ebutilities\.at/schemata/customerprocesses/consumptionrecord/\d\dp\d\d"
)
_METERING_POINT = re.compile(r"AT[0-9A-Z]{31}", re.ASCII)
_METHODS = {"L1": Quality.MEASURED, "L2": Quality.SUBSTITUTE, "L3": Quality.PROVISIONAL}
_MAX_DEPTH = 32
_MAX_TEXT = 4096
_SEPARATOR = " "  # between namespace and name; neither can have one


class ConsumptionRecord(NamedTuple):
    """The rows of a file, and how many values of other codes were left out, by code."""

    rows: list[GridDataRow]
    left_out: Counter[str]


def is_consumption_record(content: bytes) -> bool:
    """Return whether a file seems to be a ConsumptionRecord."""
    return b"ConsumptionRecord" in content[:4096]


def read_consumption_record(path: str, content: bytes) -> ConsumptionRecord:
    """Read a ConsumptionRecord. Raises BadFile, with line and column."""
    reader = _Reader()
    try:
        reader.parser.Parse(content, True)
    except expat.ExpatError as error:
        what = expat.errors.messages.get(error.code, str(error))
        raise BadFile(
            f"{path}: line {error.lineno}, column {error.offset + 1}: expected XML: {what}"
        ) from None
    except BadValue as error:
        raise BadFile(f"{path}: {reader.place}: {error}") from None
    return ConsumptionRecord(reader.rows, reader.left_out)


class _Reader:
    """The functions that expat calls. They keep the values of the elements that are open."""

    def __init__(self) -> None:
        self.place = ""
        self.rows: list[GridDataRow] = []
        self.left_out: Counter[str] = Counter()
        self._open: list[str] = []
        self._text: list[str] = []
        self._length = 0
        self._found: dict[str, str] = {}
        self.parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._data

    def _look(self) -> None:
        """Remember where the parser is: after a handler has raised, it no longer knows."""
        parser = self.parser
        self.place = f"line {parser.CurrentLineNumber}, column {parser.CurrentColumnNumber + 1}"

    def _doctype(self, *_: object) -> None:
        self._look()
        raise BadValue("expected XML without a document type")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._look()
        namespace, _, local = name.rpartition(_SEPARATOR)
        if not self._open and (local != "ConsumptionRecord" or not _NAMESPACE.fullmatch(namespace)):
            raise BadValue(f"expected an ebUtilities ConsumptionRecord, got {name[:80]!r}")
        if len(self._open) >= _MAX_DEPTH:
            raise BadValue(f"expected at most {_MAX_DEPTH} elements within each other")
        self._open.append(local)
        self._text, self._length = [], 0
        match local:
            case "EnergyData":
                self._found["code"] = " ".join(attributes.get("MeterCode", "").split())
                self._found["unit"] = attributes.get("UOM", "")
                self._check_data()
            case "EP":
                for value in ("DTF", "DTT", "MM", "BQ"):
                    self._found.pop(value, None)
            case "Energy":
                self._found.pop("MeteringIntervall", None)

    def _data(self, text: str) -> None:
        self._length += len(text)
        if self._length > _MAX_TEXT:
            raise BadValue(f"expected at most {_MAX_TEXT} characters in an element")
        self._text.append(text)

    def _end(self, _: str) -> None:
        self._look()
        local = self._open.pop()
        if local in ("MeteringPoint", "MeteringIntervall", "DTF", "DTT", "MM", "BQ"):
            self._found[local] = "".join(self._text).strip()
        if local == "MeteringPoint" and not _METERING_POINT.fullmatch(self._found[local]):
            raise BadValue(
                "expected a metering point of 33 characters that begins with AT, "
                f"got {self._found[local][:40]!r}"
            )
        if local == "EP":
            self._add()
        self._text, self._length = [], 0

    def _check_data(self) -> None:
        code, unit = self._found["code"], self._found["unit"]
        if not code:
            raise BadValue("expected a MeterCode")
        if code not in CODES:
            return
        if unit.lower() not in UWH_OF:
            raise BadValue(f"expected UOM WH, KWH or MWH, got {unit[:40]!r}")
        if (length := self._found.get("MeteringIntervall", "QH")) != "QH":
            raise BadValue(f"expected the MeteringIntervall QH, got {length[:40]!r}")
        if "MeteringPoint" not in self._found:
            raise BadValue("expected a MeteringPoint before the energy")

    def _add(self) -> None:
        """Take the value of an EP that ends."""
        found = self._found
        code = found.get("code", "")
        if code not in CODES:
            self.left_out[code] += 1
            return
        start_ms, end_ms = (_moment(found.get(name, ""), name) for name in ("DTF", "DTT"))
        if end_ms - start_ms != INTERVAL_MS or start_ms % INTERVAL_MS:
            raise BadValue(f"expected DTF and DTT a quarter of an hour apart, got {found['DTF']}")
        method = found.get("MM", "")
        if method not in _METHODS:
            raise BadValue(f"expected the MM L1, L2 or L3, got {method[:40]!r}")
        if not (quantity := found.get("BQ", "")):
            raise BadValue("expected a quantity in BQ")
        energy_uwh = interval_rows.parse_energy(quantity, UWH_OF[found["unit"].lower()])
        if len(self.rows) >= MAX_ROWS:
            raise BadValue(f"expected at most {MAX_ROWS} values in a file")
        self.rows.append(
            GridDataRow(
                place=self.place,
                meter=found["MeteringPoint"],
                quantity=CODES[code],
                interval_ms=start_ms,
                energy_uwh=energy_uwh,
                quality=_METHODS[method],
            )
        )


def _moment(text: str, name: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadValue(f"expected a time in {name}, got {text[:40]!r}") from None
    if moment.tzinfo is None:
        raise BadValue(f"expected a time with its offset in {name}, got {text[:40]!r}")
    return unix_ms(moment)
