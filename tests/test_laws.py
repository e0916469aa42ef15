"""Laws of the design that can be read off the source."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "apps" / "autoweak"
SOURCES = sorted(PACKAGE.rglob("*.py"))
CORE = ("prompts", "promptable", "weak_labels", "training")
UNSAFE = {
    "loading without weights_only=True": re.compile(r"(?<!safetensors\.)torch\.load\((?![^)]*weights_only=True)"),
    "unsafe pickles": re.compile(r"allow_pickle=True|pickle\.loads?\(|weights_only=False"),
    "running text as code": re.compile(r"(?<![\w.])(?:eval|exec)\("),
    "unpacking archives": re.compile(r"unpack_archive|extractall"),
    "unsafe YAML": re.compile(r"yaml\.(?:load|unsafe_load|full_load)\("),
    "printing in the library": re.compile(r"(?<![\w.])print\("),
    "the network": re.compile(r"\b(?:urllib\.request|requests\.get|urlopen)\b"),
}


def _imports(path: Path) -> set[str]:
    """Top-level names of everything a module imports, at its head or in a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_sources_are_found() -> None:
    assert len(SOURCES) > 60


@pytest.mark.parametrize("room", CORE)
def test_core_knows_neither_server_nor_dicom(room: str) -> None:
    for path in (PACKAGE / room).rglob("*.py"):
        assert not _imports(path) & {"monailabel", "pydicom", "highdicom"}, path


def test_only_the_downloader_reaches_the_network() -> None:
    reaching = {"requests", "urllib3", "httpx", "aiohttp", "socket", "ftplib", "http", "pooch"}
    guilty = {str(path.relative_to(PACKAGE)) for path in SOURCES if _imports(path) & reaching}
    # The server, when it is asked to serve. The store hands pooch the downloader; nothing else calls either.
    guilty = {path for path in guilty if not path.startswith("server/")}
    assert guilty == {"promptable/download.py", "promptable/store.py"}


@pytest.mark.parametrize("danger", UNSAFE)
def test_source_keeps_away_from(danger: str) -> None:
    guilty = [path.name for path in SOURCES if UNSAFE[danger].search(path.read_text())]
    assert guilty == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_are_small_and_catch_nothing_blindly(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None
            assert not (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})
