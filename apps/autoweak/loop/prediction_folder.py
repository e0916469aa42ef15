"""A folder of predicted masks, in which nothing that a person has put there is ever replaced."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy.typing as npt

from autoweak.atomic import write_with
from autoweak.errors import StudiesError
from autoweak.hashing import file_sha256
from autoweak.studies import StudyImage, mask_suffix, write_mask

# Hash and name of each mask that predictions have written into a folder, one a line. It lies beside the folder, which
# holds masks alone.
_WRITTEN = ".{folder}.autoweak-predictions"
_LABEL_FOLDERS = ("final", "original")


class PredictionFolder:
    """Takes `<image id>.png` or `.nii.gz`; only masks that are as they were predicted into this folder are replaced.

    Args:
        folder: made with the first mask.

    Raises:
        StudiesError: it is a label folder of studies.
    """

    def __init__(self, folder: Path) -> None:
        resolved = folder.resolve()
        if resolved.name in _LABEL_FOLDERS and resolved.parent.name == "labels":
            raise StudiesError(
                f"{folder} holds the labels of studies, where predictions never go: choose another --out folder."
            )
        self._folder = folder
        self._record = resolved.parent / _WRITTEN.format(folder=resolved.name)
        self._own = set(self._record.read_text(encoding="utf-8").splitlines()) if self._record.is_file() else set()

    def write(self, mask: npt.NDArray[Any], *, image: StudyImage) -> Path:
        """Write a mask (S, H, W) in its image's own size and geometry.

        Raises:
            StudiesError: there is a file of that name that was not predicted, or was changed since.
            LabelError: see `write_mask`.
        """
        path = self._folder / f"{image.image_id}{mask_suffix(image)}"
        if path.is_symlink() or (path.exists() and self._line(path, path.name) not in self._own):
            raise StudiesError(
                f"{path} is there already, and is not as a prediction left it, so it is kept: choose another --out "
                "folder."
            )
        write_with(path, lambda partial: self._fill(partial, path.name, mask, image))
        return path

    def _fill(self, partial: Path, name: str, mask: npt.NDArray[Any], image: StudyImage) -> None:
        write_mask(partial, mask, image=image)
        # Before the mask gets its name: one that a killed run leaves is known.
        line = self._line(partial, name)
        # Where nothing may be written beside the folder, the masks will be kept as if a person had put them there.
        with contextlib.suppress(OSError), self._record.open("a", encoding="utf-8") as record:
            record.write(f"{line}\n")
        self._own.add(line)

    @staticmethod
    def _line(path: Path, name: str) -> str:
        return f"{file_sha256(path)}  {name}"
