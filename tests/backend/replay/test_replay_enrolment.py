"""Replay of gateways that come and go, and of journals from before they could."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.backend.newcomers import enrolment, rotation, token_of
from tests.backend.replay.test_replay import rebuilt, verified, write
from tests.backend.village import (
    HOUR_MS,
    START_MS,
    Gateway,
    Village,
    convert_terms,
    frame_input,
    reading,
)

from gridtokenx_backend.core.messages import inputs
from gridtokenx_backend.core.messages.inputs import DeviceCommand, Input, TickInput, TokenCommand
from gridtokenx_backend.errors import ReplayMismatch
from gridtokenx_wire.enrolment import parse_enrolment, parse_rotation


def rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def admissions() -> list[Input]:
    """Every kind of input by which gateways come and go; a tick ends an overlap."""
    village = Village()
    east, west, later = Gateway("east"), Gateway("west"), Gateway("later", b"chain-02")
    tokens = [token_of("east"), token_of("west"), token_of("unused")]
    enrolments = [
        enrolment(gateway, token).encode()
        for gateway, token in zip((east, west), tokens[:2], strict=True)
    ]
    consent = rotation(east, later).encode()
    return [
        inputs.configuration_input(
            convert_terms(village.document | {"rotation": {"overlap_hours": 0}})
        ),
        *(
            inputs.token_input(
                TokenCommand(
                    action="issue", token=token.digest, site="Lane 1", expires_ms=START_MS + HOUR_MS
                )
            )
            for token in tokens
        ),
        inputs.token_input(TokenCommand(action="withdraw", token=tokens[2].digest)),
        *(inputs.EnrolmentInput(message, parse_enrolment(message)) for message in enrolments),
        inputs.RotationInput(consent, parse_rotation(consent)),
        frame_input(later.next([reading("ABB-1", START_MS)])),
        TickInput(),
        inputs.device_input(DeviceCommand(action="approve", device=west.name)),
        inputs.device_input(
            DeviceCommand(action="revoke", device=village.north.name, reason="stolen")
        ),
    ]


async def test_gateways_that_came_and_went_are_replayed_with_their_signatures(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    all_inputs = admissions()
    straight = await write(path, all_inputs)
    assert (await rebuilt(path)).snapshot() == straight
    assert (await verified(path)).signatures == 5  # two enrolments, a consent in two, a frame
    kinds = [row[0] for row in rows(path, "SELECT kind FROM journal ORDER BY seq")]
    assert kinds == [
        "configure",
        *["token"] * 4,
        *["enrol"] * 2,
        "rotate",
        "frame",
        "tick",
        *["device"] * 2,
    ]


async def test_a_forged_consent_is_found(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    all_inputs = admissions()
    forged = rotation(Gateway("east"), Gateway("later", b"chain-02")).rpartition(".")[0]
    consent = f"{forged}.{'A' * 86}".encode()
    all_inputs[7] = inputs.RotationInput(consent, parse_rotation(consent))
    await write(path, all_inputs)
    with pytest.raises(ReplayMismatch, match="entry 8: its signature is not valid"):
        await verified(path)
