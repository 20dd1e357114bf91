"""The figures of docs/market.md come out of the core."""

from __future__ import annotations

from tests.backend.village import START_MS, Village, meter_terms, reading
from tests.docs.markdown import DOCS, section, tables

from gridtokenx_backend.core.messages.outcomes import FrameAccepted
from gridtokenx_backend.core.model.interval_energy import IntervalEnergy, Quality
from gridtokenx_backend.core.oracle import intervals

PAGE = (DOCS / "market.md").read_text()
DAY_MS = 86_400_000
DAY = START_MS // DAY_MS * DAY_MS


def time_ms(clock: str) -> int:
    hours, minutes = clock.split(":")
    return DAY + (int(hours) * 60 + int(minutes)) * 60_000


class Read:
    """The page's meter; `rows` are its intervals as they are now, by their start."""

    def __init__(self) -> None:
        self.village = Village()
        north, anna = self.village.north, self.village.anna
        self.village.configure(meter=[meter_terms("ABB-1", north, anna)])
        self.village.at_ms = DAY + DAY_MS
        self.closed: dict[int, IntervalEnergy] = {}

    def read(self, *registers: tuple[str, int]) -> None:
        given = [reading("ABB-1", time_ms(at), 0, imported) for at, imported in registers]
        outcome = self.village.send(self.village.north, *given)
        assert isinstance(outcome, FrameAccepted)
        assert outcome.verdicts == []
        for _, rows in outcome.intervals:
            self.closed |= {row.interval_ms: row for row in rows}

    @property
    def rows(self) -> dict[int, IntervalEnergy]:
        opened = intervals.still_open(self.village.community.meters["ABB-1"])
        assert opened is not None
        return self.closed | {opened.interval_ms: opened}


def test_the_intervals_of_the_page_are_the_cores() -> None:
    readings, table, _ = tables(section(PAGE, "Intervals"))
    meter = Read()
    for at, register, _ in readings:
        meter.read((at, int(register)))
    assert {time_ms(at): (int(energy), quality) for at, energy, quality in table} == {
        start: (row.import_uwh, Quality(row.quality).label) for start, row in meter.rows.items()
    }
    total = sum(int(energy) for _, energy, _ in table)
    assert f"{' + '.join(row[1] for row in table)} = {total} = 2101 − 1000" in PAGE
    assert total == 2101 - 1000


def test_the_late_readings_of_the_page_move_energy_and_make_none() -> None:
    (table,) = tables(section(PAGE, "Late readings"))
    meter = Read()
    for at, register in (("10:05", 1000), ("10:20", 1100), ("10:50", 2101), ("11:50", 6101)):
        meter.read((at, register))
    shown = {time_ms(row[0]) for row in table}
    before = {start: row.import_uwh for start, row in meter.rows.items() if start in shown}
    assert before == {time_ms(row[0]): int(row[1]) for row in table}
    meter.read(("11:00", 2200), ("11:15", 2300), ("11:30", 5300), ("11:45", 6000))
    after = {
        start: (row.import_uwh, Quality(row.quality).label, row.revision)
        for start, row in meter.rows.items()
        if start in shown
    }
    assert after == {time_ms(row[0]): (int(row[2]), row[3], int(row[4])) for row in table}
    assert f"add up to {sum(before.values())}:" in PAGE
    assert sum(before.values()) == sum(row[0] for row in after.values())


def test_every_quality_is_on_the_page() -> None:
    *_, table = tables(section(PAGE, "Intervals"))
    assert {row[0] for row in table} == {quality.label for quality in Quality}
