"""Files of interval energy: what is read of them, and where and why one is refused."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from gridtokenx_backend.core.series import INTERVAL_MS, Quality
from gridtokenx_backend.core.sharing.grid_data import GridSeries
from gridtokenx_backend.grid_data import rows, workbook
from gridtokenx_backend.grid_data.reading import ReadFile, read_content, read_file
from gridtokenx_backend.grid_data.rows import BadFile

KWH = 10**9
QUARTER = timedelta(minutes=15)
HEADING = "meter,quantity,start,energy_kwh,quality"
NAMESPACE = "http://www.ebutilities.at/schemata/customerprocesses/consumptionrecord/01p41"
COMMON = "http://www.ebutilities.at/schemata/customerprocesses/common/types/01p20"
POINT = "AT0020000000000000000000020089835"


def unix_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def read(content: bytes | str, zone: str = "") -> ReadFile:
    raw = content.encode() if isinstance(content, str) else content
    return read_content("f", "f", raw, zone)


def refused(content: bytes | str, zone: str = "") -> str:
    with pytest.raises(BadFile) as caught:
        read(content, zone)
    said = str(caught.value)
    assert "\n" not in said
    return said


def sheet(*lines: list[object]) -> bytes:
    book = openpyxl.Workbook()
    for line in lines:
        book.active.append(line)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def record(body: str, point: str = POINT, namespace: str = NAMESPACE, interval: str = "QH") -> str:
    """A ConsumptionRecord laid out as grid operators send it."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ns0:ConsumptionRecord xmlns:ns0="{namespace}" xmlns:ns1="{COMMON}">
 <ns0:ProcessDirectory>
  <ns1:MeteringPoint>{point}</ns1:MeteringPoint>
  <ns0:Energy><ns0:MeteringIntervall>{interval}</ns0:MeteringIntervall>
{body}
  </ns0:Energy>
 </ns0:ProcessDirectory>
</ns0:ConsumptionRecord>"""


def energy_data(code: str, *positions: str, unit: str = "KWH") -> str:
    inside = "\n".join(positions)
    return f'<ns0:EnergyData MeterCode="{code}" UOM="{unit}">{inside}</ns0:EnergyData>'


def position(start: str, end: str, quantity: str, method: str = "L1") -> str:
    return (
        f"<ns0:EP><ns0:DTF>{start}</ns0:DTF><ns0:DTT>{end}</ns0:DTT>"
        f"<ns0:MM>{method}</ns0:MM><ns0:BQ>{quantity}</ns0:BQ></ns0:EP>"
    )


# What is read ------------------------------------------------------------------------------------

START = unix_ms("2026-03-25T00:00+01:00")
EXPECTED = [
    GridSeries("m1", "consumption", START, [12_000_000, 19_000_000], "44"),
    GridSeries("m1", "received", START, [5_000_000, None], "30"),
]


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADING}\n"
        "m1,consumption,2026-03-25T00:00:00+01:00,0.012,measured\n"
        "m1,consumption,2026-03-25T00:15:00+01:00,0.019,L1\n"
        "m1,received,2026-03-24T23:00:00Z,0.005,substitute\n"
        "m1,received,2026-03-24T23:15:00Z,,missing\n",
        # Semicolons and decimal commas, another order, the end instead of the start, a BOM.
        "\ufeffquality;end;meter;energy_kwh;quantity\r\n"
        ";2026-03-25T00:15+01:00;m1;0,012;consumption\r\n"
        ";2026-03-25T00:30+01:00;m1;0,019;consumption\r\n"
        "L2;2026-03-25T00:15+01:00;m1;0,005;received\r\n"
        ";2026-03-25T00:30+01:00;m1;;received\r\n"
        "\r\n",
        "meter\tquantity\tstart\tenergy_wh\tquality\n"
        "m1\tconsumption\t2026-03-25T00:00+01:00\t12\t\n"
        "m1\tconsumption\t2026-03-25T00:15+01:00\t19\t\n"
        "m1\treceived\t2026-03-25T00:00+01:00\t5\tL2\n"
        "m1\treceived\t2026-03-25T00:15+01:00\t\t\n",
        sheet(
            HEADING.split(","),
            ["m1", "consumption", "2026-03-25T00:00+01:00", 0.012, "measured"],
            ["m1", "consumption", "2026-03-25T00:15+01:00", 0.019, None],
            ["m1", "received", "2026-03-25T00:00+01:00", "0.005", "L2"],
            [None, None],
            ["m1", "received", "2026-03-25T00:15+01:00"],
        ),
    ],
    ids=["csv", "semicolons", "tabs", "xlsx"],
)
def test_the_same_energy_is_read_from_every_layout(content: bytes | str) -> None:
    assert read(content).data.series == EXPECTED


def test_dates_of_a_workbook_are_local_to_the_zone_that_is_given() -> None:
    made = sheet(
        HEADING.split(","),
        ["m1", "consumption", datetime(2026, 7, 1, 0, 0), 1],
        ["m1", "consumption", datetime(2026, 7, 1, 0, 15), 0.1 + 0.2],
    )
    start = unix_ms("2026-07-01T00:00+02:00")
    assert read(made, "Europe/Vienna").data.series == [
        GridSeries("m1", "consumption", start, [KWH, 300_000_000], "44")
    ]
    assert refused(made).startswith("f: row 2, column start: expected an offset such as +01:00")


def test_a_gap_ends_a_series() -> None:
    read_back = read(
        f"{HEADING}\nm1,generation,2026-01-01T00:00Z,1,\nm1,generation,2026-01-01T00:30Z,2,\n"
    )
    assert [len(series.energies_uwh) for series in read_back.data.series] == [1, 1]


def test_a_consumption_record_is_read_by_its_meter_codes() -> None:
    first = ("2026-03-25T00:00:00+01:00", "2026-03-25T00:15:00+01:00")
    second = ("2026-03-25T00:15:00+01:00", "2026-03-25T00:30:00+01:00")
    made = record(
        energy_data("1-1:1.9.0 G.01", position(*first, "0.012"), position(*second, "0.019", "L2"))
        + energy_data("1-1:2.9.0 G.02", position(*first, "0.008"))
        + energy_data("1-1:2.9.0 G.03", position(*first, "0.005", "L3"))
        + energy_data("1-1:2.9.0 G.01T", position(*first, "1.5"))
        + energy_data("1-1:2.9.0  P.01T", position(*first, "1000", "L1"), unit="WH")
        + energy_data("1-1:1.9.0 P.01", position(*first, "0.007"))  # none of these codes
    )
    found = read(made)
    assert found.data.format == "ebutilities"
    assert found.left_out == {"1-1:1.9.0 P.01": 1}
    assert found.data.series == [
        GridSeries(POINT, "consumption", START, [12_000_000, 19_000_000], "43"),
        GridSeries(POINT, "generation_part", START, [1_500_000_000], "4"),
        GridSeries(POINT, "received", START, [5_000_000], "1"),
        GridSeries(POINT, "share", START, [8_000_000], "4"),
        GridSeries(POINT, "surplus_part", START, [KWH], "4"),
    ]
    assert found.data.series[2].rows() == [(START, 5_000_000, Quality.PROVISIONAL)]


# Days of 23 and 25 hours -------------------------------------------------------------------------


def local_day(day: str, *, with_offset: bool) -> list[str]:
    """The quarters of a day in Vienna as its wall clock shows them."""
    zone = ZoneInfo("Europe/Vienna")
    start = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=zone)
    end = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=zone) + timedelta(days=1)
    moment, stop = start.astimezone(UTC), end.astimezone(UTC)
    shown = []
    while moment < stop:
        local = moment.astimezone(zone)
        shown.append(local.isoformat() if with_offset else f"{local:%Y-%m-%d %H:%M}")
        moment += QUARTER
    return shown


def csv_of(times: list[str], column: str = "start") -> str:
    lines = [f"m1,consumption,{time},0.{index + 1:03}" for index, time in enumerate(times)]
    return "\n".join([f"meter,quantity,{column},energy_kwh", *lines])


@pytest.mark.parametrize(("day", "quarters"), [("2026-03-29", 92), ("2026-10-25", 100)])
@pytest.mark.parametrize("with_offset", [False, True])
def test_a_day_of_23_or_25_hours_is_read_hour_by_hour(
    day: str, quarters: int, with_offset: bool
) -> None:
    times = local_day(day, with_offset=with_offset)
    assert len(times) == quarters
    (series,) = read(csv_of(times), "" if with_offset else "Europe/Vienna").data.series
    midnight = unix_ms(f"{day}T00:00:00+0{1 if day < '2026-04' else 2}:00")
    assert series.start_ms == midnight
    assert series.energies_uwh == [(index + 1) * 1_000_000 for index in range(quarters)]


def test_the_doubled_hour_is_found_by_the_ends_of_its_quarters_too() -> None:
    zone = ZoneInfo("Europe/Vienna")
    starts = [datetime.fromisoformat(time) for time in local_day("2026-10-25", with_offset=True)]
    ends = [(start.astimezone(UTC) + QUARTER).astimezone(zone) for start in starts]
    shown = [f"{end:%Y-%m-%d %H:%M}" for end in ends]
    (series,) = read(csv_of(shown, "end"), "Europe/Vienna").data.series
    assert series.start_ms == unix_ms("2026-10-25T00:00:00+02:00")
    assert len(series.energies_uwh) == 100


def test_each_meter_has_its_own_doubled_hour() -> None:
    times = local_day("2026-10-25", with_offset=False)
    text = csv_of(times) + "\n" + "\n".join(csv_of(times).replace("m1", "m2").splitlines()[1:])
    assert [len(s.energies_uwh) for s in read(text, "Europe/Vienna").data.series] == [100, 100]


def test_a_doubled_hour_that_comes_once_is_refused() -> None:
    times = local_day("2026-10-25", with_offset=False)
    said = refused(csv_of(times[:12] + times[16:]), "Europe/Vienna")
    assert said == (
        "f: row 10: expected 2026-10-25 02:00:00 twice, as the clock in Europe/Vienna shows it "
        "that day, or an offset such as +01:00; got it once"
    )


def test_a_time_that_the_clock_leaves_out_is_refused() -> None:
    said = refused(csv_of(["2026-03-29 02:30"]), "Europe/Vienna")
    assert said == (
        "f: row 2, column start: expected a time that exists in Europe/Vienna, "
        "got 2026-03-29 02:30:00"
    )


def test_a_consumption_record_of_the_long_day_keeps_both_hours() -> None:
    times = local_day("2026-10-25", with_offset=True)
    ends = [*times[1:], "2026-10-26T00:00:00+01:00"]
    positions = [position(start, end, "0.1") for start, end in zip(times, ends, strict=True)]
    (series,) = read(record(energy_data("1-1:1.9.0 G.01", *positions))).data.series
    assert (series.start_ms, len(series.energies_uwh)) == (
        unix_ms("2026-10-25T00:00:00+02:00"),
        100,
    )


# What is refused, and where ----------------------------------------------------------------------

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


def test_a_zip_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "MAX_UNPACKED_BYTES", 1 << 20)
    assert refused(archive(a=bytes(1 << 21))) == "f: expected at most 1048576 bytes unpacked"


def test_the_rows_of_a_file_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_ROWS", 3)
    text = csv_of([f"2026-01-01T0{hour}:00Z" for hour in range(5)])
    assert refused(text) == "f: row 5: expected at most 3 rows in a file"


def test_a_file_that_is_too_big_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "big.csv"
    path.write_bytes(bytes(100))
    monkeypatch.setattr("gridtokenx_backend.grid_data.reading.MAX_FILE_BYTES", 99)
    with pytest.raises(BadFile, match="expected a file of at most 99 bytes"):
        read_file(path)


def test_a_file_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"no\.csv: cannot be read: No such file"):
        read_file(tmp_path / "no.csv")


def test_intervals_are_quarters() -> None:
    assert timedelta(milliseconds=INTERVAL_MS) == QUARTER
