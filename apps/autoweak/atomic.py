"""Writes that either happen whole or not at all, so that a killed run leaves no half file."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_PREFIX = ".partial-"


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with the same suffixes; on success it replaces `path`.

    On any exception, Ctrl-C included, the temporary file is removed and `path` is left as it was.

    Args:
        path: where the finished file goes; its folder is made if missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The whole name is the suffix: writers that choose a format by extension see the real one.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_PREFIX, suffix=f"-{path.name}")
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        partial.chmod(0o666 & ~_umask())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic_path(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` atomically, as UTF-8."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` atomically, as indented JSON with a final newline; NaN is refused."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_with(path: Path, writer: Callable[[Path], object]) -> None:
    """Let `writer` fill a temporary path, then move it to `path`."""
    with atomic_path(path) as partial:
        writer(partial)


def remove_partials(folder: Path, *, of: str = "*") -> None:
    """Remove what a killed process left behind in `folder` (not in folders below it), or only what became of `of`."""
    for leftover in folder.glob(f"{_PREFIX}*-{of}"):
        leftover.unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
