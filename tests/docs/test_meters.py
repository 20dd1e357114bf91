"""docs/meters.md is what its program makes of the profiles."""

from __future__ import annotations

import importlib.util

from tests.docs.markdown import DOCS

from gridtokenx_edge.meters.dlms import dlms_names
from gridtokenx_edge.meters.profile import profile_names
from gridtokenx_edge.meters.sunspec.profile import sunspec_names


def test_the_page_of_meters_is_up_to_date() -> None:
    file = DOCS / "write_meters.py"
    spec = importlib.util.spec_from_file_location("write_meters", file)
    assert spec is not None
    assert spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    assert (DOCS / "meters.md").read_text() == writer.page(), f"run: python {file.name}"
    names = (*profile_names(), *sunspec_names(), *dlms_names())
    assert all(f"## {name}\n" in writer.page() for name in names)
