"""The images being labelled: reading images and labels, writing masks, splits."""

from __future__ import annotations

from autoweak.studies.folder import StudiesFolder, Study, list_images, open_studies
from autoweak.studies.geometry import Geometry
from autoweak.studies.images import StudyImage, image_sha256, read_image, read_study
from autoweak.studies.intensity import to_channels, to_uint8
from autoweak.studies.labels import LabelRead, mask_suffix, read_label, write_mask
from autoweak.studies.names import check_id, image_id_of
from autoweak.studies.patients import patients_of
from autoweak.studies.splits import folds

__all__ = [
    "Geometry",
    "LabelRead",
    "StudiesFolder",
    "Study",
    "StudyImage",
    "check_id",
    "folds",
    "image_id_of",
    "image_sha256",
    "list_images",
    "mask_suffix",
    "open_studies",
    "patients_of",
    "read_image",
    "read_label",
    "read_study",
    "to_channels",
    "to_uint8",
    "write_mask",
]
