"""The command in a process of its own."""

from __future__ import annotations

import subprocess
import sys


def command(*arguments: object) -> list[str]:
    """The command line of `autoweak` with these arguments."""
    return [sys.executable, "-m", "autoweak.cli", *map(str, arguments)]


def autoweak(*arguments: object, code: int = 0) -> str:
    """Run `autoweak` to its end, check the exit code, and return standard output."""
    result = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=600)
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout
