"""A backend on the data folder of a former version: configs, keys, frames that came in a file."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.compat.stored import COMMUNITIES, EXPECTED, V1, entries_of, told

from gridtokenx_backend.cli.import_frames import check_file
from gridtokenx_backend.config.settings import load_settings
from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages.inputs import DUE, TickInput, parse
from gridtokenx_backend.core.state.snapshot import digest
from gridtokenx_backend.engine.writer import Writer
from gridtokenx_backend.enrolment.authority import open_authority
from gridtokenx_backend.ingest.acks import AckSigner, acks_of
from gridtokenx_backend.ingest.frame_file import FileOutcome, store_frames
from gridtokenx_backend.ingest.frame_intake import FrameIntake
from gridtokenx_backend.journal.sqlite_journal import open_journal, open_journal_readonly
from gridtokenx_backend.replay.replay import rebuild
from gridtokenx_backend.signatures.verifier import Verifier
from gridtokenx_wire.clock import SteppedClock, write_stepped
from gridtokenx_wire.keys import (
    load_private_key,
    public_key_text,
    raw_private_seed,
    raw_public_key,
)
from gridtokenx_wire.message_file import read_frames

CARRIED = EXPECTED["carried"]
FRAMES = V1 / "transfer" / "south.frames"
ACKS = V1 / "transfer" / "south.frames.acks"
_STOP_TIMEOUT_S = 20


@pytest.mark.parametrize("name", COMMUNITIES)
def test_the_configs_have_no_findings(v1: Path, name: str) -> None:
    config = str(v1 / name / "backend.toml")
    assert told("gridtokenx_backend", "check-config", "--config", config) == EXPECTED[name]["terms"]


def test_acks_are_signed_by_the_same_keys(v1: Path) -> None:
    settings = load_settings(v1 / "market" / "backend.toml")
    keys = [load_private_key(path) for path in (settings.ack_key, settings.ack_key_next)]
    assert [public_key_text(key.public_key()) for key in keys] == EXPECTED["ack_keys"]
    shown = told("gridtokenx_backend", "key", "--config", str(v1 / "market" / "backend.toml"))
    assert shown == {"ack_key": EXPECTED["ack_keys"][0]}


def test_the_authority_is_the_same_and_knows_what_it_has_issued(v1: Path) -> None:
    settings = load_settings(v1 / "market" / "backend.toml")
    authority = open_authority(settings.ca)
    assert authority is not None
    assert authority.fingerprint == EXPECTED["authority"]["fingerprint"]
    for name in EXPECTED["authority"]["certificates"]:
        device, _, serial = name.removesuffix(".pem").partition("-")
        (revoked,) = _serials(authority.revocation_list([device]))
        assert revoked == int(serial, 16)


def _serials(revocation_list: bytes) -> list[int]:
    from cryptography import x509

    return [each.serial_number for each in x509.load_pem_x509_crl(revocation_list)]


# --- frames in a file ---------------------------------------------------------------------------


def test_a_file_of_frames_is_read_as_it_was() -> None:
    header, readings, left_out = check_file(FRAMES)
    assert (readings, left_out) == (CARRIED["readings"], CARRIED["readings_left_out"])
    assert header.next_seq == CARRIED["next_seq"]


async def test_frames_from_a_file_lead_to_the_same_state_and_the_same_acks(
    v1: Path, tmp_path: Path
) -> None:
    write_stepped(tmp_path / "clock", CARRIED["at_ms"])
    settings = load_settings(v1 / "market" / "backend.toml")
    with FRAMES.open("rb") as stream:
        header, frames = read_frames(stream)
        messages = [message for message, _ in frames]
    journal = await open_journal(settings.journal)
    writer = Writer(await rebuild(journal), journal, SteppedClock(tmp_path / "clock"), 10**9)
    running = asyncio.create_task(writer.run())
    device = writer.community.devices[header.device]
    intake = FrameIntake(writer, Verifier(0), signer_of(settings.ack_key), journal)
    stored = await store_frames(messages, device, intake)
    again = await store_frames(messages, device, intake)
    writer.stop()
    await running
    await journal.close()
    assert (stored.accepted, stored.duplicates, stored.refusal) == (CARRIED["accepted"], 0, None)
    assert (again.accepted, again.duplicates) == (0, CARRIED["frames"])
    assert writer.community.entries == CARRIED["entries"]
    assert ACKS.read_bytes().endswith(_sealed(stored, settings.ack_key))


async def test_the_rules_of_the_former_version_lead_from_the_same_frames_to_the_same_state(
    v1: Path,
) -> None:
    settings = load_settings(v1 / "market" / "backend.toml")
    with FRAMES.open("rb") as stream:
        messages = [message for message, _ in read_frames(stream)[1]]
    journal = await open_journal_readonly(settings.journal)
    community = await rebuild(journal)
    await journal.close()
    inputs = [TickInput(DUE), *(parse("frame", message) for message in messages)]
    for input_ in inputs:
        machine.apply(community, input_, CARRIED["at_ms"], 1)
    assert community.entries == CARRIED["entries"]
    assert digest(community.snapshot()) == CARRIED["digest"]


def signer_of(key_file: Path) -> AckSigner:
    key = load_private_key(key_file)
    return AckSigner(seed=raw_private_seed(key), public_key=raw_public_key(key.public_key()))


def _sealed(stored: FileOutcome, key_file: Path) -> bytes:
    """The acks for what was stored, one behind the other."""
    signer = signer_of(key_file)
    return b"".join(signer.seal(ack) for ack in acks_of(stored.results))


# --- the whole program --------------------------------------------------------------------------


@contextmanager
def running(folder: Path, at_ms: int) -> Iterator[str]:
    """A backend on a stored data folder, its clock standing at a time. No broker is there.

    Gives the API's address; the program must end well.
    """
    write_stepped(folder / "clock", at_ms)
    config = folder / "backend.toml"
    config.write_text(
        "[backend]\nverify_workers = 0\n[broker]\nport = 1\ninsecure = true\n[api]\nport = 0\n"
        f'[clock]\nsource = "stepped"\npath = "{folder / "clock"}"\n'
    )
    with subprocess.Popen(
        [sys.executable, "-m", "gridtokenx_backend", "run", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            assert first, process.communicate(timeout=_STOP_TIMEOUT_S)[1]
            yield json.loads(first)["api"]
        finally:
            process.terminate()
            process.communicate(timeout=_STOP_TIMEOUT_S)
        assert process.returncode == 0


def newest_ms(folder: Path, name: str) -> int:
    """The time of a journal's last entry."""
    last = EXPECTED[name]["entries"]
    at_ms = entries_of(folder / "data" / "journal.db", last)[-1][1]
    assert isinstance(at_ms, int)
    return at_ms


@pytest.mark.parametrize("name", COMMUNITIES)
def test_a_backend_starts_on_the_stored_folder_and_leaves_it_verifiable(
    v1: Path, name: str
) -> None:
    folder, last = v1 / name, EXPECTED[name]["entries"]
    with running(folder, newest_ms(folder, name)):
        pass
    config = str(folder / "backend.toml")
    report = told("gridtokenx_backend", "replay", "--verify", "--config", config)
    assert report["verified"] == "yes"
    assert report["entries"] >= last
    assert report["snapshots_checked"] == 1
    assert entries_of(folder / "data" / "journal.db", last) == entries_of(
        V1 / name / "data" / "journal.db", last
    )


def test_frames_from_a_file_are_imported_and_acked_by_a_running_backend(
    v1: Path, tmp_path: Path
) -> None:
    folder, acks = v1 / "market", tmp_path / "acks"
    with running(folder, CARRIED["at_ms"]) as api:
        options = ("--acks", str(acks), "--api", api, "--config", str(folder / "backend.toml"))
        report = told("gridtokenx_backend", "import", str(FRAMES), *options)
    assert report["accepted"] == CARRIED["accepted"]
    assert report["next_seq"] == CARRIED["next_seq"]
    assert report["readings_thinned"] == CARRIED["readings_left_out"]
    assert acks.read_bytes() == ACKS.read_bytes()
