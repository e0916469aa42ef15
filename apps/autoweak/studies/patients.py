"""Which images are of one patient, so far as DICOM says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from autoweak.errors import ImageError
from autoweak.studies.folder import Study
from autoweak.studies.names import FileKind, kind_of


def patients_of(studies: Iterable[Study]) -> dict[str, str]:
    """Map image ids to patients, for `folds`; images of other formats than DICOM say nothing and are left out.

    Args:
        studies: the images; only headers are read, and files that cannot be read are left out.

    Returns:
        image id to the first 16 hex digits of the SHA-256 of the patient's id, or of the study's where there is none:
        the id itself goes nowhere.
    """
    found = {}
    for study in studies:
        patient = _patient(study.path)
        if patient:
            found[study.image_id] = hashlib.sha256(patient.encode("utf-8", errors="replace")).hexdigest()[:16]
    return found


def _patient(path: Path) -> str:
    from autoweak.studies import dicom, dicom_series

    try:
        with dicom.faults():
            file = next(iter(dicom_series.files(path)), None) if path.is_dir() else path
            if file is None or kind_of(file) is not FileKind.DICOM:
                return ""
            header = dicom.open_dataset(file, pixels=False)
            # Frames of one film, and stills of one series, are never of two patients.
            known = (str(header.get(key) or "").strip() for key in ("PatientID", "StudyInstanceUID"))
            return next((value for value in known if value), "")
    except ImageError:
        return ""
