"""All pages: links lead somewhere, commands and tests that are named exist."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from tests.docs.markdown import (
    DOCS,
    PAGES,
    ROOT,
    anchors,
    block,
    blocks,
    links,
    section,
    table,
)

from gridtokenx_backend.__main__ import app as backend_app
from gridtokenx_client.__main__ import app as client_app
from gridtokenx_edge.__main__ import app as edge_app
from gridtokenx_edge.commissioning.check.finding import NAMES
from gridtokenx_sim.__main__ import app as sim_app

# Pages of the set that are written with the measurements, outside of this folder's tests.
_MAY_BE_MISSING = {DOCS / "benchmarks.md"}
_COMMANDS = {
    "gridtokenx": client_app,
    "gridtokenx-backend": backend_app,
    "gridtokenx-edge": edge_app,
    "gridtokenx-sim": sim_app,
}
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in links(page.read_text()):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if target in _MAY_BE_MISSING and not target.exists():
            continue
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text()), link


@pytest.mark.parametrize("folder", [DOCS, DOCS / "decisions"], ids=lambda folder: folder.name)
def test_the_index_names_every_page(folder: Path) -> None:
    listed = {folder / link for link in links((folder / "README.md").read_text())}
    assert set(folder.glob("*.md")) - {folder / "README.md"} <= listed


def typed_lines(page: Path) -> Iterator[list[str]]:
    """The words of each line that is shown as typed at a prompt, with our programs in it."""
    for each in blocks(page.read_text()):
        if each.info == "console":
            for line in each.text.splitlines():
                if line.lstrip().startswith("$ "):
                    words = shlex.split(line.lstrip()[2:], comments=True)
                    yield words


@each_page
def test_every_command_that_is_shown_exists_with_its_options(page: Path) -> None:
    for words in typed_lines(page):
        if words and words[0] in _COMMANDS:
            check_command(words)
        elif words and words[0].startswith("scripts/"):
            assert (ROOT / words[0]).exists(), words


def check_command(words: list[str]) -> None:
    command = typer.main.get_command(_COMMANDS[words[0]])
    rest = words[1:]
    # A group may be a command of its own: options come instead of one of its commands.
    while isinstance(command, typer.core.TyperGroup) and not rest[0].startswith("-"):
        found = command.commands.get(rest.pop(0))
        assert found is not None, words
        command = found
    known = {option for parameter in command.params for option in parameter.opts}
    for word in rest:
        if word.startswith("--"):
            assert word in known, f"{word} in {words}"
        elif word in {"|", ">", ";"}:
            return


def test_the_changelog_has_this_version_and_what_is_not_released() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[:2] == ["Unreleased", version]


def test_the_readme_fits_the_first_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 80


def test_the_events_of_the_agents_log_are_all_explained() -> None:
    said = set()
    for file in (ROOT / "edge").rglob("*.py"):
        if "commissioning" in file.parts:
            continue  # its findings are told, not logged
        said |= set(re.findall(r'\.?_?(?:info|warn|warning|error)\(\s*"(\w+)"', file.read_text()))
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|", section(installer(), "Run"), flags=re.MULTILINE)
    shown = {name.strip(" `") for row in rows for name in row.split(",")}
    assert shown == said


def test_the_findings_of_a_check_are_all_explained() -> None:
    rows = table(section(installer(), "Findings"))
    assert [name.strip(" `") for row in rows for name in row[0].split(",")] == list(NAMES)


def installer() -> str:
    return (DOCS / "installer.md").read_text()


def test_the_simulators_file_on_the_developers_page_is_right(tmp_path: Path) -> None:
    from gridtokenx_sim.config.loading import load_config

    text = block((DOCS / "developer.md").read_text(), "toml sim")
    file = tmp_path / "sim.toml"
    file.write_text(text.replace("WALL", "1782032400000"))
    assert len(load_config(file).bus) == 2
