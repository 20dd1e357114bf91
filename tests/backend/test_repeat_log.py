"""What repeats is told at once and then once a minute, in a bounded number of lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gridtokenx_backend.repeat_log import MOST_KEPT, RepeatLog


class Lines:
    """A log that keeps its lines, and a clock that is wound by hand."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.due: list[Callable[[], None]] = []

    def warning(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))

    def later(self, _: float, then: Callable[[], None]) -> None:
        self.due.append(then)

    def minute(self) -> None:
        due, self.due = self.due, []
        for then in due:
            then()


def test_three_hundred_in_a_minute_are_two_lines_with_their_number() -> None:
    lines = Lines()
    log = RepeatLog(lines, lines.later)
    for _ in range(300):
        log.warn_about("wrong credentials", "198.51.100.7", kind="operator")
    assert lines.lines == [("wrong credentials", {"about": "198.51.100.7", "kind": "operator"})]
    lines.minute()
    assert [fields.get("repeated") for _, fields in lines.lines] == [None, 299]
    lines.minute()
    assert (len(lines.lines), lines.due) == (2, [])
    log.warn_about("wrong credentials", "198.51.100.7")
    assert lines.lines[-1] == ("wrong credentials", {"about": "198.51.100.7"})


def test_a_thousand_addresses_have_lines_of_their_own_and_more_share_one() -> None:
    lines = Lines()
    log = RepeatLog(lines, lines.later)
    for number in range(MOST_KEPT + 500):
        log.warn_about("wrong credentials", str(number))
    assert len(lines.lines) == MOST_KEPT + 1
    lines.minute()
    assert lines.lines[-1] == ("wrong credentials", {"about": "others", "repeated": 499})
