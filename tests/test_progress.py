"""Progress bars: moving on a terminal, quiet in a file."""

from __future__ import annotations

import io
import sys

import pytest

from autoweak.progress import BarProgress


class Terminal(io.StringIO):
    """Takes what is printed and says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "most"), [(io.StringIO(), 6), (Terminal(), 40)])
def test_a_file_gets_few_lines_and_the_end_is_always_told(
    stream: io.StringIO, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    progress = BarProgress()
    progress.stage("Counting")
    for done in range(1, 2001):
        progress.update(done, 2000, f"at {done}")
    progress.close()
    drawn = stream.getvalue().split("\r")
    assert "at 2000" in drawn[-1]
    assert 2 <= len([line for line in drawn if line.strip()]) <= most
