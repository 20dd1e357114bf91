"""Why the backend does not work as it should: several reasons may hold at once."""

from __future__ import annotations

from enum import StrEnum


class DegradedPart(StrEnum):
    """A part of the backend that may be out of order, as health and metrics name it."""

    JOURNAL = "journal"
    """Nothing can be stored, for example because the disk is full."""
    CLOCK = "clock"
    """Nobody knows whether the server's clock is right."""
    HISTORY = "history"
    """An entry of the journal is not what it was: nothing stops, but it can no longer be proved.

    Or a gateway has an ack of frames that the journal lacks: then nothing is taken.
    """


class Degradation:
    """What is out of order now, each with a sentence for the operator. It is false if all is well.

    Whoever finds a part out of order enters it, and takes it out when it works again.
    """

    def __init__(self) -> None:
        self._details: dict[DegradedPart, str] = {}
        self._stopping: set[DegradedPart] = set()

    def __bool__(self) -> bool:
        return bool(self._details)

    def __str__(self) -> str:
        """Return all reasons as one text; it is empty if all is well."""
        return "; ".join(self._details[part] for part in self.parts)

    @property
    def obstacle(self) -> str:
        """Why no input can be taken now; empty if they can, though a part may be out of order."""
        return "; ".join(self._details[part] for part in self.parts if part in self._stopping)

    def stops(self, part: DegradedPart) -> bool:
        """Return whether a part is out of order and keeps everything from being taken."""
        return part in self._stopping

    def __getitem__(self, part: DegradedPart) -> str:
        """Return why a part is out of order; the text is empty if it is not."""
        return self._details.get(part, "")

    @property
    def parts(self) -> list[DegradedPart]:
        """The parts that are out of order, in the order of their enum."""
        return [part for part in DegradedPart if part in self._details]

    def enter(self, part: DegradedPart, detail: str, *, stops: bool = True) -> bool:
        """Note that a part is out of order; return whether that is news.

        What does not stop everything never takes the place of what does.
        """
        if self.stops(part) and not stops:
            return False
        is_news = self._details.get(part) != detail
        self._details[part] = detail
        if stops:
            self._stopping.add(part)
        return is_news

    def end(self, part: DegradedPart) -> bool:
        """Note that a part works again; return whether that is news."""
        self._stopping.discard(part)
        return self._details.pop(part, None) is not None
