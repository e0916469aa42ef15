"""What is settled before the server answers."""

from __future__ import annotations

import logging
from pathlib import Path

from autoweak.errors import AutoweakError, StudiesError

_TRACE = "Traceback (most recent call last)"


def studies_root(studies: str) -> Path:
    """The folder of the studies.

    Raises:
        StudiesError: there is none.
    """
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
