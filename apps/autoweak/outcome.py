"""What a command gives back to the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autoweak.loop.context import Problem


@dataclass(frozen=True)
class Outcome:
    """The result of a command: plain data for `--json`, text for people, and what was passed over."""

    data: dict[str, Any]
    text: str
    problems: tuple[Problem, ...] = ()
