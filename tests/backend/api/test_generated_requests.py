"""Requests that schemathesis makes out of the OpenAPI document, to a running backend.

It is a program of others with checks of its own: no answer is an error of the server's, and each
has a status, a media type, headers and a content that the document promises. What a request without
the right token gets is checked as well, and methods that no route has.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.rig.community import BackendProcess
from bench.rig.processes import free_port
from tests.backend.running import write_configs
from tests.backend.village import Village

HERE = Path(__file__).parent
HOOKS = "schemathesis_hooks"
PROGRAM = Path(sys.executable).with_name("schemathesis")
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "ignored_auth",
    "missing_required_header",
]
# Statements are computed by processes of their own, which takes seconds for each.
LEFT_OUT = ["/v1/statements/{wallet}/{document}", "/v1/reports/{document}"]


@pytest.fixture(name="served")
def _served(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address of a backend and its operator's token."""
    config = write_configs(tmp_path, Village().document, free_port())
    with BackendProcess(tmp_path, config) as backend:
        assert isinstance(backend, BackendProcess)
        api = backend.ready(60)["api"]
        (token,) = tmp_path.rglob("operator.token")
        yield api, token.read_text().strip()
    assert "Traceback" not in backend.stderr.read_text()


@pytest.mark.timeout(300)
def test_every_answer_to_generated_requests_is_one_that_the_document_promises(
    served: tuple[str, str], tmp_path: Path
) -> None:
    api, token = served
    command = [PROGRAM, "run", f"{api}/schema/openapi.json"]
    command += ["-H", f"Authorization: Bearer {token}"]
    command += ["--checks", ",".join(CHECKS), "--phases", "coverage"]
    command += ["--seed", "1", "--generation-database", "none", "--no-color"]
    for path in LEFT_OUT:
        command += ["--exclude-path", path]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(HERE)},
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
