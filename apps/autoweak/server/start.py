"""What is settled before the server answers."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from autoweak.errors import AutoweakError, StudiesError

_TRACE = "Traceback (most recent call last)"


def is_dicomweb(studies: str) -> bool:
    """Whether the studies are the address of a DICOMweb server."""
    return studies.startswith(("http://", "https://"))


def studies_root(studies: str, *, cache: str = "") -> Path:
    """The folder of the studies; of a DICOMweb server, the folder in which its images and their labels are kept.

    Args:
        studies: a folder, or the address of a DICOMweb server.
        cache: where such folders lie; "" is below the user's own cache.

    Raises:
        StudiesError: there is no such folder.
    """
    if is_dicomweb(studies):
        known_by = hashlib.sha256(studies.rstrip("/").encode()).hexdigest()[:16]
        root = (Path(cache) if cache else Path.home() / ".cache" / "autoweak" / "dicomweb") / known_by
        # 0700: it holds patient data, and shared hospital machines have other users.
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return root
    root = Path(studies)
    if not root.is_dir():
        raise StudiesError(f"The studies folder {root} does not exist; give the folder that holds the images.")
    return root


def show_without_trace(error: AutoweakError) -> None:
    """Make the web server say why it does not start in one sentence, where it would print where in the code."""
    logging.getLogger("uvicorn.error").addFilter(_Sentence(str(error)))


class _Sentence(logging.Filter):
    def __init__(self, sentence: str) -> None:
        super().__init__()
        self._sentence = sentence

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info or _TRACE in record.getMessage():
            record.msg, record.args, record.exc_info, record.exc_text = f"autoweak: {self._sentence}", (), None, None
        return True
