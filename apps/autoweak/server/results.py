"""Masks as files for a client."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autoweak.server.errors import BadRequestError
from autoweak.studies import StudyImage, mask_suffix, write_mask

SUFFIXES = (".nrrd", ".nii.gz", ".nii", ".png")


def result_file(
    mask: npt.NDArray[np.uint8],
    *,
    image: StudyImage,
    suffix: str,
    folder: Path,
    compress: bool = True,
    name: str | None = None,
) -> Path:
    """Write a mask (S, H, W) in its image's own size and geometry into `folder`.

    Args:
        mask: the mask.
        image: its image.
        suffix: one of `SUFFIXES`.
        folder: where to; made if missing.
        compress: pack the values of `.nrrd`.
        name: file name without suffix; None makes one that no other request has.
    """
    path = folder / f"{name or uuid.uuid4().hex}{suffix}"
    write_mask(path, mask, image=image, compress=compress)
    return path


def wanted_suffix(request: Mapping[str, Any], image: StudyImage) -> str:
    """The file ending that a client asks for, by default that of masks of `image`.

    Raises:
        BadRequestError: it is none that masks are written with.
    """
    suffix = request.get("result_extension") or mask_suffix(image)
    if suffix not in SUFFIXES or (suffix == ".png" and image.geometry.is_volume):
        known = ", ".join(SUFFIXES[:3] if image.geometry.is_volume else SUFFIXES)
        raise BadRequestError(f"The result_extension must be one of {known}; got {str(suffix)[:40]!r}.")
    return str(suffix)


def wants_compression(request: Mapping[str, Any]) -> bool:
    """Whether `.nrrd` is packed: OHIF says no."""
    return request.get("result_compress", True) not in (False, "false", 0)
