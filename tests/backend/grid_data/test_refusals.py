"""Bad files of interval energy: each is refused in one line that says where and why."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from tests.backend.grid_data.test_files import (
    HEADING,
    csv_of,
    energy_data,
    position,
    record,
    refused,
    sheet,
)

from gridtokenx_backend.grid_data import interval_rows, xlsx_reader
from gridtokenx_backend.grid_data.file_content import BadFile
from gridtokenx_backend.grid_data.file_reader import read_file

GOOD = "m1,consumption,2026-01-01T00:00Z,1,"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "f: row 1: expected a column meter"),
        (f"{HEADING}\n", "f: expected at least one interval"),
        (
            "meter,quantity,start,energy\n",
            "f: row 1: column 4: expected one of end, energy_kwh, energy_mwh, energy_wh, meter, "
            "quality, quantity, start, got 'energy'",
        ),
        (
            "meter,quantity,start,energy_kwh,energy_wh\n",
            "f: row 1: expected one column of energy_wh, energy_kwh, energy_mwh, got 2",
        ),
        (
            "meter,quantity,energy_kwh\n",
            "f: row 1: expected one column of start, end, got 0",
        ),
        ("meter,meter,quantity\n", "f: row 1: column 2: expected meter once"),
        (
            f"{HEADING}\n{GOOD}\n,consumption,2026-01-01T00:00Z,1,\n",
            "f: row 3, column meter: expected a meter's id or metering point, got ''",
        ),
        (
            f"{HEADING}\nm1,heat,2026-01-01T00:00Z,1,\n",
            "f: row 2, column quantity: expected one of consumption, consumption_part, share, "
            "received, generation, generation_part, surplus, surplus_part, got 'heat'",
        ),
        (
            f"{HEADING}\nm1,share,yesterday,1,\n",
            "f: row 2, column start: expected a time such as 2026-03-25T00:15+01:00, "
            "got 'yesterday'",
        ),
        (
            f"{HEADING}\nm1,share,2026-01-01T00:07Z,1,\n",
            "f: row 2, column start: expected a quarter of an hour, got 2026-01-01T00:07:00+00:00",
        ),
        (
            f"{HEADING}\nm1,share,2026-01-01T00:00Z,-1,\n",
            "f: row 2, column energy_kwh: expected an energy from 0 to 2^63 µWh, got '-1'",
        ),
        (
            f"{HEADING}\nm1,share,2026-01-01T00:00Z,NaN,\n",
            "f: row 2, column energy_kwh: expected an energy from 0 to 2^63 µWh, got 'NaN'",
        ),
        (
            f"{HEADING}\nm1,share,2026-01-01T00:00Z,1e30,\n",
            "f: row 2, column energy_kwh: expected an energy from 0 to 2^63 µWh, got '1e30'",
        ),
        (
            f"{HEADING}\nm1,share,2026-01-01T00:00Z,0.0000000001,\n",
            "f: row 2, column energy_kwh: expected whole µWh (0.000000001 kWh), got '0.0000000001'",
        ),
        (
            f'{HEADING}\nm1,share,2026-01-01T00:00Z,"1,5",\n',
            "f: row 2, column energy_kwh: expected a number such as 0.125, got '1,5'",
        ),
        (
            f"{HEADING}\nm1,share,2026-01-01T00:00Z,1,good\n",
            "f: row 2, column quality: expected one of measured, substitute, provisional, "
            "interpolated, missing, or L1, L2, L3, got 'good'",
        ),
        (
            f"{HEADING}\nm1,share,2026-01-01T00:00Z,1,missing\n",
            "f: row 2, column energy_kwh: expected no energy where the quality is missing, "
            "got 1000000000 µWh",
        ),
        (
            f"{HEADING}\n{GOOD}\n{GOOD}\n",
            "f: row 3: expected each interval once, got consumption of m1 again (first: row 2)",
        ),
        (f'{HEADING}\n"m1"x,share', "f: row 2: expected CSV: ',' expected after '\"'"),
    ],
)
def test_a_bad_csv_is_refused_with_its_row_and_column(text: str, said: str) -> None:
    assert refused(text) == said


def test_text_that_is_not_utf8_is_refused_with_its_row() -> None:
    assert refused(HEADING.encode() + b"\n\xe9") == "f: row 2: expected text in UTF-8"


def test_a_zone_that_is_none_is_refused() -> None:
    assert refused(HEADING, "Mars/Olympus") == (
        "--zone: expected a time zone such as Europe/Vienna, got 'Mars/Olympus'"
    )


QUARTER_0 = ("2026-03-25T00:00:00+01:00", "2026-03-25T00:15:00+01:00")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            record("", namespace="http://example.org/x"),
            "line 2, column 1: expected an ebUtilities ConsumptionRecord, "
            "got 'http://example.org/x ConsumptionRecord'",
        ),
        (
            record("", point="DE123"),
            "expected a metering point of 33 characters that begins with AT, got 'DE123'",
        ),
        (
            record(energy_data("1-1:1.9.0 G.01"), interval="D"),
            "expected the MeteringIntervall QH, got 'D'",
        ),
        (
            record(energy_data("1-1:1.9.0 G.01", unit="KVARH")),
            "expected UOM WH, KWH or MWH, got 'KVARH'",
        ),
        (
            record(energy_data("1-1:1.9.0 G.01", position(*QUARTER_0, "1", "77"))),
            "expected the MM L1, L2 or L3, got '77'",
        ),
        (
            record(energy_data("1-1:1.9.0 G.01", position(*QUARTER_0, ""))),
            "expected a quantity in BQ",
        ),
        (
            record(
                energy_data(
                    "1-1:1.9.0 G.01",
                    position(QUARTER_0[0], "2026-03-25T01:00:00+01:00", "1"),
                )
            ),
            "expected DTF and DTT a quarter of an hour apart, got 2026-03-25T00:00:00+01:00",
        ),
        (
            record(energy_data("1-1:1.9.0 G.01", position("2026-03-25T00:00:00", "x", "1"))),
            "expected a time with its offset in DTF, got '2026-03-25T00:00:00'",
        ),
        (
            record("<ns0:EnergyData>").replace("</ns0:EnergyData>", ""),
            "expected a MeterCode",
        ),
        (record("</oops>"), "expected XML: mismatched tag"),
        (record("<ns0:a>" * 40), "expected at most 32 elements within each other"),
        (record(f"<ns0:a>{'x' * 5000}</ns0:a>"), "expected at most 4096 characters"),
        (
            '<!DOCTYPE b [<!ENTITY a "ConsumptionRecord">]><b>&a;</b>',
            "expected XML without a document type",
        ),
    ],
)
def test_a_bad_consumption_record_is_refused_with_its_line_and_column(
    content: str, said: str
) -> None:
    line = refused(content)
    assert line.startswith("f: line ")
    assert said in line


def archive(**parts: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name, content)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04 and then nothing", "f: expected a workbook (XLSX): File is not a zip file"),
        (
            archive(a=b"<!DOCTYPE x []><x/>"),
            "f: a: expected XML without a document type",
        ),
        (
            archive(a="<!DOCTYPE x []><x/>".encode("utf-16")),
            "f: a: expected XML without a document type",
        ),
        (archive(a=b"<x/>"), "f: expected a workbook (XLSX): "),
        (
            archive(**{f"p{number}": b"" for number in range(300)}),
            "f: expected a workbook of at most 200 parts",
        ),
        (sheet(["x"] * 100), "f: row 1: expected at most 64 columns"),
        (
            sheet(HEADING.split(","), ["m1", "share", True, 1]),
            "f: row 2, column start: expected a time such as",
        ),
    ],
)
def test_a_hostile_workbook_is_refused_in_one_line(content: bytes, said: str) -> None:
    assert refused(content).startswith(said)


@pytest.mark.parametrize(
    ("part", "most"), [("xl/styles.xml", 1 << 20), ("xl/sharedStrings.xml", 32 << 20)]
)
def test_what_becomes_an_object_for_each_element_is_small(part: str, most: int) -> None:
    """25 MB of styles, packed to 100 kB, took more than two minutes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(part, bytes(most + 1))
    said = f"f: {part}: expected at most {most} bytes unpacked"
    assert refused(stream.getvalue()) == said


def test_a_zip_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_reader, "MAX_UNPACKED_BYTES", 1 << 20)
    assert refused(archive(a=bytes(1 << 21))) == "f: expected at most 1048576 bytes unpacked"


def test_the_rows_of_a_file_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interval_rows, "MAX_ROWS", 3)
    text = csv_of([f"2026-01-01T0{hour}:00Z" for hour in range(5)])
    assert refused(text) == "f: row 5: expected at most 3 rows in a file"


def test_a_file_that_is_too_big_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "big.csv"
    path.write_bytes(bytes(100))
    monkeypatch.setattr("gridtokenx_backend.grid_data.file_content.MAX_FILE_BYTES", 99)
    with pytest.raises(BadFile, match="expected a file of at most 99 bytes"):
        read_file(path)


def test_a_file_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"no\.csv: cannot be read: No such file"):
        read_file(tmp_path / "no.csv")
