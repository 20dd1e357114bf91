"""Files of interval energy: what is read of them, and where and why one is refused."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from gridtokenx_backend.core.messages.grid_data import GridSeries
from gridtokenx_backend.core.model.interval_energy import Quality
from gridtokenx_backend.grid_data.file_content import BadFile
from gridtokenx_backend.grid_data.file_reader import ReadFile, read_content

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
    GridSeries(
        meter="m1",
        quantity="consumption",
        start_ms=START,
        energies_uwh=[12_000_000, 19_000_000],
        qualities="44",
    ),
    GridSeries(
        meter="m1",
        quantity="received",
        start_ms=START,
        energies_uwh=[5_000_000, None],
        qualities="30",
    ),
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
        GridSeries(
            meter="m1",
            quantity="consumption",
            start_ms=start,
            energies_uwh=[KWH, 300_000_000],
            qualities="44",
        )
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
        GridSeries(
            meter=POINT,
            quantity="consumption",
            start_ms=START,
            energies_uwh=[12_000_000, 19_000_000],
            qualities="43",
        ),
        GridSeries(
            meter=POINT,
            quantity="generation_part",
            start_ms=START,
            energies_uwh=[1_500_000_000],
            qualities="4",
        ),
        GridSeries(
            meter=POINT,
            quantity="received",
            start_ms=START,
            energies_uwh=[5_000_000],
            qualities="1",
        ),
        GridSeries(
            meter=POINT, quantity="share", start_ms=START, energies_uwh=[8_000_000], qualities="4"
        ),
        GridSeries(
            meter=POINT, quantity="surplus_part", start_ms=START, energies_uwh=[KWH], qualities="4"
        ),
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
