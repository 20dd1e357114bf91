"""What the API says of frames that the journal keeps by their hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.backend.parts import journal_at
from tests.backend.refused_frames import Sender
from tests.backend.serving import api_on
from tests.backend.village import Village


async def test_refused_frames_are_told_with_their_verdicts_and_without_values(
    village: Village, tmp_path: Path
) -> None:
    sender, north = Sender(village), village.north
    async with journal_at(tmp_path / "journal.db") as journal, api_on(journal, village) as api:
        await api.send(sender.first().raw)
        village.at_ms -= 1
        for count in (5, 200, 300):
            await api.send(sender.frame("mixed", count).raw)
        body = (await api.ask("/v1/meters/ABB-1/readings")).json()
        newest = (await api.ask("/v1/meters/ABB-1/readings?limit=1")).json()
    assert [(each["journal_seq"], each["verdict"]) for each in body["readings"]] == [
        (3, "not_after_last"),
        (3, "future_time"),
        (3, "not_after_last"),
        (2, "accepted"),
    ]
    assert body["refused_frames"] == [
        {
            "journal_seq": 5,
            "device": north.name,
            "readings": 300,
            "verdicts": {"unbound_meter": 100, "not_after_last": 100, "future_time": 100},
            "sha256": hashlib.sha256(north.sent[3]).hexdigest(),
        },
        {
            "journal_seq": 4,
            "device": north.name,
            "readings": 200,
            "verdicts": {"unbound_meter": 67, "not_after_last": 67, "future_time": 66},
            "sha256": hashlib.sha256(north.sent[2]).hexdigest(),
        },
    ]
    assert newest["refused_frames"] == body["refused_frames"][:1]
