"""A folder of predicted masks, in which nothing that a person has put there is ever replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt

from autoweak.errors import StudiesError
from autoweak.studies import StudyImage, mask_suffix, write_mask

# Names of the masks that predictions have written here, one a line.
_WRITTEN = ".autoweak-predictions"
_LABEL_FOLDERS = ("final", "original")


class PredictionFolder:
    """Takes `<image id>.png` or `.nii.gz`; only masks that were predicted into the same folder before are replaced.

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
        record = folder / _WRITTEN
        self._own = set(record.read_text(encoding="utf-8").splitlines()) if record.is_file() else set()

    def write(self, mask: npt.NDArray[Any], *, image: StudyImage) -> Path:
        """Write a mask (S, H, W) in its image's own size and geometry.

        Raises:
            StudiesError: there is a file of that name that was not predicted.
            LabelError: see `write_mask`.
        """
        path = self._folder / f"{image.image_id}{mask_suffix(image)}"
        if path.name not in self._own:
            if path.exists() or path.is_symlink():
                raise StudiesError(
                    f"{path} is there already, and no prediction wrote it, so it is kept: choose another --out folder."
                )
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / _WRITTEN).open("a", encoding="utf-8") as record:
                record.write(f"{path.name}\n")
            self._own.add(path.name)
        write_mask(path, mask, image=image)
        return path
