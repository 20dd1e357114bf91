"""Times in files: those with an offset are exact, those without one need the file's own order.

On the day of 25 hours the wall clock shows an hour twice. In a file that is in the order of time,
the second time that such an hour comes is the later one. If it comes only once, it is not known
which of the two it is, and the file is refused. On the day of 23 hours one hour does not exist, and
a time in it is refused too.
"""

from __future__ import annotations

from collections.abc import Hashable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gridtokenx_backend.core.model.interval_energy import INTERVAL_MS
from gridtokenx_backend.grid_data.interval_rows import BadValue

_MS = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def find_zone(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name. Raises BadValue if there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadValue(f"expected a time zone such as Europe/Vienna, got {name[:40]!r}") from None


def unix_ms(moment: datetime) -> int:
    """Return a time as Unix milliseconds."""
    return (moment - _EPOCH) // _MS


class FileTimes:
    """The times of one file, which are read in the order of the file.

    `zone` is the time zone of times without an offset; without it, such times are refused.
    """

    def __init__(self, zone: ZoneInfo | None) -> None:
        self._zone = zone
        self._newest_ms: dict[Hashable, int] = {}
        self._doubled: dict[tuple[Hashable, datetime], tuple[str, int]] = {}

    def read(self, text: str) -> datetime:
        """Return a time such as 2026-03-25T00:15:00+01:00 or 2026-03-25 00:15.

        Raises BadValue.
        """
        try:
            return datetime.fromisoformat(text.strip())
        except ValueError:
            raise BadValue(
                f"expected a time such as 2026-03-25T00:15+01:00, got {text[:40]!r}"
            ) from None

    def place(self, series: Hashable, moment: datetime, where: str) -> int:
        """Return the next time of a series as Unix ms; `where` is its place in the file.

        Raises BadValue.
        """
        placed_ms = self._placed(series, moment, where)
        if placed_ms % INTERVAL_MS:
            raise BadValue(f"expected a quarter of an hour, got {moment.isoformat()}")
        self._newest_ms[series] = placed_ms
        return placed_ms

    def _placed(self, series: Hashable, moment: datetime, where: str) -> int:
        if moment.tzinfo is not None:
            return unix_ms(moment)
        if self._zone is None:
            raise BadValue(
                f"expected an offset such as +01:00, or a zone with --zone, got {moment}"
            )
        first_ms, second_ms = (
            unix_ms(moment.replace(tzinfo=self._zone, fold=fold)) for fold in (0, 1)
        )
        if first_ms == second_ms:
            return first_ms
        if first_ms > second_ms:  # so it is for a time that the clock leaves out
            raise BadValue(f"expected a time that exists in {self._zone.key}, got {moment}")
        if self._newest_ms.get(series, -1) < first_ms:
            self._doubled[series, moment] = (where, 1)
            return first_ms
        self._doubled[series, moment] = (where, 2)
        return second_ms

    def undecided(self) -> tuple[str, str] | None:
        """Return where the first hour is that came once but exists twice, and what was expected.

        None if there is no such hour.
        """
        for (_, moment), (where, times) in self._doubled.items():
            if times == 1:
                zone = self._zone.key if self._zone else ""
                return where, (
                    f"expected {moment} twice, as the clock in {zone} shows it that day, "
                    "or an offset such as +01:00; got it once"
                )
        return None
