"""Where the project's own data files lie: beside the package in a checkout, under `share` when installed."""

from __future__ import annotations

import sys
from pathlib import Path

from autoweak.errors import AutoweakError

_PACKAGE = Path(__file__).resolve().parent


def resource_path(name: str) -> Path:
    """Return the folder of the project's own files called `name` ("configs" or "bundles").

    Args:
        name: one path component, no separators.

    Raises:
        AutoweakError: the folder is neither in a checkout nor where an installation puts it.
    """
    for root in _roots():
        candidate = root / name
        if candidate.is_dir():
            return candidate
    msg = (
        f"The folder {name!r} of autoweak was not found in {' or '.join(str(root) for root in _roots())}; "
        "install the project again with pip, or run it from its checkout."
    )
    raise AutoweakError(msg)


def _roots() -> list[Path]:
    roots = []
    if _PACKAGE.parent.name == "apps":  # a checkout, used in place or installed with pip -e
        roots.append(_PACKAGE.parent.parent)
    # `pip install --user` and `--prefix` put data files beside their own lib folder, not under sys.prefix.
    prefixes = [Path(sys.prefix), *_PACKAGE.parents[3:4]]
    roots.extend(prefix / "share" / "autoweak" for prefix in dict.fromkeys(prefixes))
    return roots
