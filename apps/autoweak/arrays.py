"""Reading the program's own files of arrays, which can be damaged like any other."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def read_arrays(path: Path, *, only: Collection[str] | None = None) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an `.npz` file by name; none where there is no file or it is damaged.

    Args:
        path: of the file; it is never unpickled.
        only: read these alone; None reads all.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files if only is None or name in only}
    # A flipped bit can end in any of these; RuntimeError is zipfile's for one that says the file is encrypted.
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, AttributeError, zipfile.BadZipFile, zlib.error):
        return {}
