"""Every example is short, is run by a test, and is listed for those who look for it."""

from __future__ import annotations

from tests.docs.markdown import DOCS
from tests.examples.example import EXAMPLES

MAX_LINES = 60
PROGRAMS = sorted(EXAMPLES.glob("*.py"))


def test_every_example_is_short() -> None:
    assert PROGRAMS
    lengths = {file.name: len(file.read_text().splitlines()) for file in PROGRAMS}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_every_example_is_run_by_a_test() -> None:
    tests = "".join(file.read_text() for file in EXAMPLES.parent.glob("tests/examples/test_*.py"))
    run = [file.stem for file in PROGRAMS if f'("{file.stem}", ' in tests]
    assert run == [file.stem for file in PROGRAMS]


def test_every_example_is_listed_for_integrators() -> None:
    page = (DOCS / "integrator.md").read_text()
    assert [file.name for file in PROGRAMS if f"(../examples/{file.name})" not in page] == []


def test_every_example_says_how_it_is_started() -> None:
    without = [
        file.name for file in PROGRAMS if f"python {file.name} " not in file.read_text()[:120]
    ]
    assert without == []
