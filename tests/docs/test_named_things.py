"""What the pages name in backticks exists: files, folders, modules, names in modules, tests."""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.markdown import PAGES, ROOT, prose

PACKAGES = sorted(file.parent for file in ROOT.glob("*/gridtokenx_*/__init__.py"))
# A path on a page begins at one of these.
BASES = [ROOT, ROOT / "docs", ROOT / "tests", *PACKAGES]
OURS = {package.name for package in PACKAGES}
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
OTHERS_CLASSES = {"ValueError"}
SUFFIXES = ("py", "toml", "conf", "acl", "md", "sh")

_SPAN = re.compile(r"`([^`\n]+)`")
_FILE = re.compile(rf"(?:[\w.-]+/)+[\w.-]+\.(?:{'|'.join(SUFFIXES)})")
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+/?|[\w-]+/")
_TEST = re.compile(r"((?:\w+/)+test_\w+)(?:::(\w+))?")
_NAME = re.compile(r"gridtokenx_\w+(?:\.\w+)*")

_CLASS = re.compile(r"(?:[A-Z][a-z]+){2,}")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def spans(text: str) -> Iterator[str]:
    """Return what stands in backticks outside of fenced blocks."""
    yield from _SPAN.findall(prose(text))


def missing_paths(text: str) -> list[str]:
    """Return the files and folders of the repository that a page names and that do not exist.

    A path without one of our suffixes counts if it begins with a folder of the repository.
    """
    named = [
        span
        for span in spans(text)
        if _FILE.fullmatch(span)
        or (_PATH.fullmatch(span) and span.split("/")[0] in FOLDERS and not _TEST.fullmatch(span))
    ]
    return [name for name in named if not any((base / name).exists() for base in BASES)]


def missing_tests(text: str) -> list[str]:
    """Return the tests that a page names, as `folder/test_file::test_name`, and that are none."""
    missing = []
    for span in spans(text):
        if match := _TEST.fullmatch(span):
            file = ROOT / "tests" / f"{match[1].removeprefix('tests/')}.py"
            source = file.read_text() if file.exists() else ""
            if not source or (match[2] and not re.search(rf"def {match[2]}\(", source)):
                missing.append(span)
    return missing


def missing_names(text: str) -> list[str]:
    """Return the modules, classes and functions that a page names and that do not exist."""
    return [
        span
        for span in spans(text)
        if _NAME.fullmatch(span) and span.split(".")[0] in OURS and not is_importable(span)
    ]


@functools.cache
def class_names() -> frozenset[str]:
    """Return the names of all classes and types that our packages define."""
    defined = re.compile(r"^ *(?:class (\w+)|([A-Z]\w+)(?:: \w+)? = )", re.MULTILINE)
    texts = (file.read_text() for package in PACKAGES for file in package.rglob("*.py"))
    return frozenset(a or b for text in texts for a, b in defined.findall(text))


def missing_classes(text: str) -> list[str]:
    """Return the class names of two words or more that a page names and that nothing defines."""
    named = (span for span in spans(text) if _CLASS.fullmatch(span))
    return [name for name in named if name not in class_names() | OTHERS_CLASSES]


def is_importable(name: str) -> bool:
    """Whether `package.module.name` can be imported, the last parts as attributes."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@each_page
def test_every_file_and_folder_that_is_named_exists(page: Path) -> None:
    assert missing_paths(page.read_text()) == []


@each_page
def test_every_test_that_is_named_exists(page: Path) -> None:
    assert missing_tests(page.read_text()) == []


@each_page
def test_every_module_and_name_that_is_named_exists(page: Path) -> None:
    assert missing_names(page.read_text()) == []


@each_page
def test_every_class_that_is_named_exists(page: Path) -> None:
    assert missing_classes(page.read_text()) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("`core/machine.py` decides", []),
        ("`core/mill.py` decides", ["core/mill.py"]),
        ("in `backend/gridtokenx_backend/core`", []),
        ("in `backend/gridtokenx_mill/`", ["backend/gridtokenx_mill/"]),
        ("the URL `/v1/orders`, the topic `gridtokenx/v1/x`, and `data/ack.key`", []),
        ("```text\n`core/mill.py`\n```", []),
    ],
)
def test_a_path_that_is_gone_is_found(text: str, missing: list[str]) -> None:
    assert missing_paths(text) == missing


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("`docs/test_named_things`", []),
        ("`docs/test_named_things::test_a_test_that_is_gone_is_found`", []),
        ("`docs/test_named_things::test_of_a_mill`", ["docs/test_named_things::test_of_a_mill"]),
        ("`backend/core/test_mill`", ["backend/core/test_mill"]),
    ],
)
def test_a_test_that_is_gone_is_found(text: str, missing: list[str]) -> None:
    assert missing_tests(text) == missing


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("`gridtokenx_wire`, `gridtokenx_wire.keys.device_id`", []),
        ("`gridtokenx_wire.mill`", ["gridtokenx_wire.mill"]),
        ("the metric `gridtokenx_frames_total`", []),
    ],
)
def test_a_name_that_is_gone_is_found(text: str, missing: list[str]) -> None:
    assert missing_names(text) == missing


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("`FrameSource` and `Journal`", []),
        ("`MillSource`", ["MillSource"]),
        ("```text\nMillSource\n```", []),
    ],
)
def test_a_class_that_is_gone_is_found(text: str, missing: list[str]) -> None:
    assert missing_classes(text) == missing
