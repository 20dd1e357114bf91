"""The demo's audit: it passes what a real run stored, and each check notices its own forgery."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.sim.demo.audit.forger import Forger, minting
from tests.sim.demo.audit.forgeries import FORGERIES

from gridtokenx_sim.demo.audit.audit import CHECKS, Finding, audit, run_check
from gridtokenx_sim.demo.audit.evidence import Evidence
from gridtokenx_sim.demo.files.folder import NAME, Folder


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Folder, dict[str, Any]]:
    """Return what a real run until both markets had traded stored, and what it printed."""
    place = tmp_path_factory.mktemp("settled")
    command = [sys.executable, "-m", "gridtokenx_sim", "demo", "--until-settled", "--json"]
    done = subprocess.run(
        command, cwd=place, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    return Folder(place / NAME), json.loads(done.stdout)


@pytest.fixture
def folder(settled: tuple[Folder, dict[str, Any]], tmp_path: Path) -> Folder:
    """Return a copy to forge."""
    shutil.copytree(settled[0].root, tmp_path / NAME, symlinks=True)
    return Folder(tmp_path / NAME)


def result_of(name: str, folder: Folder) -> Finding:
    """Return what the check `name` says of `folder`, alone."""
    (check,) = (check for check in CHECKS if check.__name__ == name)
    return run_check(check, Evidence(folder))


def test_a_real_run_prints_what_the_journal_holds(
    settled: tuple[Folder, dict[str, Any]], folder: Folder
) -> None:
    printed = settled[1]
    totals, findings = audit(folder)
    assert [finding for finding in findings if not finding.passed] == []
    assert len(findings) == len(CHECKS) >= 12
    assert {name: printed[name] for name in totals.__struct_fields__} == msgspec.to_builtins(totals)
    assert totals.settlements == totals.trades > 0
    assert totals.minted_uwh > 0


def test_what_the_operator_did_passes(folder: Folder) -> None:
    """Money came and went, and a month was closed: entries that a demo by itself has not."""
    forger = Forger(folder)
    identities = json.loads((folder.root / "identities.json").read_text())
    wallet = next(iter(identities["wallets"].values()))
    came, went = ["GRX", "issuer:GRX", wallet, 5], ["GRX", wallet, "issuer:GRX", 5]
    forger.append("settlement", ["deposit", wallet, 5, [came]], [came])
    forger.append("settlement", ["withdraw", 7, wallet, 5], [])
    forger.append("settlement", ["paid", 7, wallet, 5, [went]], [went])
    forger.append("settlement", ["unpaid", 8, wallet, 5, "no account"], [])
    forger.append("period", ["period", "2026-05", "final", 1, [], []], [])
    forger.append("grid_data", ["grid_data", "e3b0", "csv", 0, 0, []], [])
    _, findings = audit(folder)
    failed = {finding.name for finding in findings if not finding.passed}
    assert failed == {"replay_agrees"}  # the entries' inputs are empty, and only this reads them


def test_every_check_has_a_forgery_to_notice() -> None:
    assert {name for name, _ in FORGERIES} == {check.__name__ for check in CHECKS}


def test_every_check_says_what_it_proves() -> None:
    assert all(check.__doc__ for check in CHECKS)


@pytest.mark.parametrize(
    ("check", "forge"), FORGERIES, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_check_notices_its_forgery(
    folder: Folder, check: str, forge: Callable[[Forger, Folder], None]
) -> None:
    assert result_of(check, folder).passed
    forge(Forger(folder), folder)
    finding = result_of(check, folder)
    assert not finding.passed
    assert finding.detail
    assert "\n" not in finding.detail


@pytest.mark.parametrize("garbage", [b"", b"not a frame", b"\xd2\x84\x43\xa1\x01\x32\xa0\x41\x00"])
def test_what_cannot_be_read_fails_a_check_and_not_the_audit(
    folder: Folder, garbage: bytes
) -> None:
    forger = Forger(folder)
    forger.execute("UPDATE journal SET input = ? WHERE seq = ?", garbage, minting(forger))
    totals, findings = audit(folder)
    assert totals.orders == 0
    assert not all(finding.passed for finding in findings)


def test_a_missing_journal_fails_the_checks_and_not_the_audit(folder: Folder) -> None:
    folder.journal.unlink()
    _, findings = audit(folder)
    assert not any(finding.passed for finding in findings if "journal" in finding.name)
