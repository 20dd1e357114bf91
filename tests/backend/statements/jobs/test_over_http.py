"""Closing a month with the command, and getting its documents as operator and as member."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.backend.commands import Command, Ran
from tests.backend.statements.jobs.api_server import ApiServer, config_in, serving
from tests.backend.statements.june import June, journaled
from tests.backend.village import Resident

from gridtokenx_wire.read_token import ReadToken, sign_read_token


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    folder = tmp_path_factory.mktemp("served")
    config = config_in(folder)
    served_june.append(journaled(folder / "data" / "journal.db", 2, 1))
    with serving(config, served_june[-1].at_ms) as api:
        yield api


served_june: list[June] = []


@pytest.fixture
def june(served: ApiServer) -> June:
    return served_june[-1]


def run(command: Command, served: ApiServer, *arguments: str) -> Ran:
    return command(*arguments, "--config", str(served.config), "--api", served.url)


def get(served: ApiServer, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{served.url}{path}", headers=headers or served.operator, timeout=60)


def read_token(who: Resident, at_ms: int) -> dict[str, str]:
    token = ReadToken(
        v=1, community="lane", wallet=who.wallet, issued_ms=at_ms, expires_ms=at_ms + 60_000
    )
    return {"Authorization": f"Bearer {sign_read_token(token, who.key)}"}


def test_a_month_from_its_preview_to_its_revision(
    served: ApiServer, june: June, command: Command
) -> None:
    wallet = june.ben.wallet
    preview = get(served, f"/v1/statements/{wallet}/2026-06.json").json()
    assert (preview["status"], preview["revision"]) == ("open", 0)
    assert get(served, "/v1/periods").json() == []
    told = [run(command, served, "period", step, "2026-06") for step in ("provisional", "final")]
    assert [ran.status for ran in told] == [0, 0], told
    assert told[0].out.startswith("2026-06: provisional, revision 1: 3 statements, entry ")
    assert told[1].out.startswith("2026-06: final, revision 2: 3 statements, entry ")
    final = get(served, f"/v1/statements/{wallet}/2026-06.json").json()
    assert final["status"] == "final"
    assert final["data"] == preview["data"]
    assert final["corrects"]["revision"] == 1
    first = get(served, f"/v1/statements/{wallet}/2026-06.json?revision=1").json()
    assert (first["status"], first["data"]) == ("provisional", preview["data"])
    ran = run(command, served, "period", "revise", "2026-06", "--json")
    assert json.loads(ran.out)["revision"] == 3
    (period,) = get(served, "/v1/periods").json()
    assert (period["status"], period["revision"], len(period["entries"])) == ("revised", 3, 3)
    assert run(command, served, "period", "list", "--json").out.strip() == json.dumps([period])
    again = run(command, served, "period", "final", "2026-06")
    assert (again.status, len(again.lines)) == (2, 1)
    assert "expected a month that is open or provisional; 2026-06 is revised" in again.err


def test_a_month_that_is_not_over_cannot_be_closed(served: ApiServer, command: Command) -> None:
    ran = run(command, served, "period", "provisional", "2026-07")
    assert (ran.status, len(ran.lines)) == (2, 1)
    ends = r"2026-\d\d-\d\dT\d\d:00[+-]\d\d:00"
    assert re.search(rf"a month that is over; \S+ ends at {ends}", ran.err)


@pytest.mark.parametrize(
    ("form", "kind", "begins"),
    [
        ("json", "application/json", b'{"corrects":'),
        ("csv", "text/csv; charset=utf-8", b"part,text,"),
        ("html", "text/html; charset=utf-8", b"<!doctype html>"),
        ("pdf", "application/pdf", b"%PDF-1.7"),
    ],
)
def test_documents_come_in_every_form(
    served: ApiServer, june: June, form: str, kind: str, begins: bytes
) -> None:
    response = get(served, f"/v1/statements/{june.anna.wallet}/2026-07.{form}")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == kind
    assert response.headers["cache-control"] == "private, no-store"
    assert response.content.lstrip()[: len(begins)] == begins


def test_a_member_reads_their_own_statement_and_the_report_alone(
    served: ApiServer, june: June
) -> None:
    ben = read_token(june.ben, june.at_ms)
    own = get(served, f"/v1/statements/{june.ben.wallet}/2026-07.csv", **ben)
    assert own.status_code == 200, own.text
    assert get(served, "/v1/reports/2026-07.csv", **ben).status_code == 200
    other = get(served, f"/v1/statements/{june.anna.wallet}/2026-07.csv", **ben)
    assert (other.status_code, other.json()["reason"]) == (404, "unknown_wallet")
    stranger = read_token(Resident("stranger"), june.at_ms)
    assert get(served, "/v1/reports/2026-07.csv", **stranger).status_code == 404


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/statements/{ben}/2026-07.json", {"Authorization": "Bearer no"}, 401),
        ("/v1/reports/2026-07.json", {"X-Nothing": ""}, 401),
        ("/v1/periods", {"X-Nothing": ""}, 401),
        ("/v1/statements/{ben}/2026-07.doc", {}, 404),
        ("/v1/statements/{ben}/2026-13.json", {}, 404),
        ("/v1/statements/{ben}/2026-07.json?revision=1", {}, 404),
        ("/v1/statements/nobody/2026-07.json", {}, 404),
    ],
)
def test_what_cannot_be_had_is_a_problem_document(
    served: ApiServer, june: June, path: str, headers: dict[str, str], status: int
) -> None:
    response = get(served, path.format(ben=june.ben.wallet), **headers)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"].startswith("expected ")


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b'{"month": 1}', b"\xff"])
def test_a_step_that_cannot_be_read_is_refused(served: ApiServer, body: bytes) -> None:
    response = httpx.post(f"{served.url}/v1/periods", content=body, headers=served.operator)
    assert (response.status_code, response.json()["reason"]) == (400, "bad_request")


def test_statements_of_all_members_are_files_that_only_the_operator_reads(
    served: ApiServer, june: June, command: Command, tmp_path: Path
) -> None:
    config = ("--config", str(served.config))
    out = ("--out", str(tmp_path / "july"), "--format", "csv")
    ran = command("statement", "2026-07", *out, "--json", *config)
    assert ran.status == 0, ran.err
    files = [Path(file) for file in json.loads(ran.out)["files"]]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert len(files) == 3
    ran = command("report", "2026-07", *out, *config)
    assert Path(ran.out.strip()).read_text().startswith("part,text,zone")
    ran = command("statement", "2026-07", "--wallet", "nobody", *out, *config)
    assert (ran.status, len(ran.lines)) == (2, 1)
    ran = command("report", "2026-06", "--format", "json", "--out", str(tmp_path), *config)
    assert json.loads(Path(ran.out.strip()).read_text())["status"] in {"open", "revised"}


def test_files_that_cannot_be_written_are_one_line(
    served: ApiServer, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    out = ("--out", str(tmp_path / "file"), "--format", "csv", "--config", str(served.config))
    for name in ("statement", "report"):
        ran = command(name, "2026-07", *out)
        assert (ran.status, len(ran.lines)) == (2, 1), ran.err
        assert "cannot be written" in ran.err


def test_the_members_command_fetches_what_the_api_gives(
    served: ApiServer,
    june: June,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: Any,
) -> None:
    from gridtokenx_client.__main__ import app

    arguments = ["statement", "2026-07", "--api", served.url, "--report", "--json"]
    token = ["--operator-token", str(served.settings.operator_token)]
    app([*arguments, *token], standalone_mode=False)
    told = json.loads(capsysbinary.readouterr().out)
    assert told["data"]["month"] == "2026-07"
    file = tmp_path / "ben.csv"
    wallet = ["--wallet", june.ben.wallet, "--format", "csv", "--out", str(file)]
    app(["statement", "2026-07", "--api", served.url, *token, *wallet], standalone_mode=False)
    assert file.read_bytes().startswith(b"part,text,")
