"""An image of the studies in one file that viewers can load."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autoweak.atomic import write_with
from autoweak.server.live import Live
from autoweak.studies import Study


def image_file(study: Study, *, live: Live, folder: Path) -> Path:
    """The file of an image: its own, or one made in `folder`.

    A folder with a DICOM series becomes NIfTI, a frame of a film PNG.

    Raises:
        ImageError: the image cannot be read.
    """
    if study.frame is not None:
        return _as_png(study, live, folder)
    return _as_nifti(study, live, folder) if study.path.is_dir() else study.path


def _as_png(study: Study, live: Live, folder: Path) -> Path:
    """With its own values where PNG has them, else as the models see it."""
    from PIL import Image

    image, view = live.image(study)
    path = folder / f"{study.image_id}-{image.sha256[:12]}.png"
    if not path.exists():
        pixels = image.pixels if image.pixels.dtype in (np.uint8, np.uint16) else view
        picture = Image.fromarray(pixels[0, ..., 0] if pixels.shape[-1] == 1 else pixels[0])
        write_with(path, lambda partial: picture.save(partial, format="PNG"))
    return path


def _as_nifti(study: Study, live: Live, folder: Path) -> Path:
    from autoweak.studies.dicom_series import files
    from autoweak.studies.nifti import write_volume

    image, _ = live.image(study)
    if image.geometry.affine is None:
        return next(iter(files(study.path)))
    path = folder / f"{study.image_id}-{image.sha256[:12]}.nii.gz"
    if not path.exists():
        stored = image.geometry.from_slices(image.pixels[..., 0])
        write_volume(path, stored, affine=image.geometry.affine)
    return path
