"""Which images are of one patient, from DICOM headers and from `patients.csv`."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from autoweak.errors import ImageError, StudiesError
from autoweak.studies.folder import Study
from autoweak.studies.names import FileKind, kind_of

PATIENTS_FILE = "patients.csv"


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


@dataclass(frozen=True)
class Patients:
    """What is known of some images' patients.

    Attributes:
        told: image id to patient, from a `patients.csv`; where both speak, it is right and the headers are not.
        headers: image id to a patient's hash, from DICOM.
    """

    told: Mapping[str, str]
    headers: Mapping[str, str]

    @classmethod
    def of(cls, studies: Iterable[Study], told: Mapping[str, str]) -> Patients:
        """What the headers of images, and a table of which only their rows count, say."""
        known = tuple(studies)
        ids = {study.image_id for study in known}
        return cls({name: patient for name, patient in told.items() if name in ids}, patients_of(known))

    def joined(self) -> dict[str, str]:
        """Image id to patient. An image without a row is of the patient told of others with the same header."""
        told_of = {self.headers[name]: patient for name, patient in sorted(self.told.items()) if name in self.headers}
        by_header = {
            name: f"told {told_of[patient]}" if patient in told_of else f"header {patient}"
            for name, patient in self.headers.items()
        }
        return {**by_header, **{name: f"told {patient}" for name, patient in self.told.items()}}

    def groups(self) -> dict[str, str]:
        """As `joined`; nothing where all images are of one, which is a made-up id more often than not."""
        found = self.joined()
        return found if len(set(found.values())) > 1 else {}

    def share(self, image_id: str, others: Patients) -> bool:
        """Whether an image is of a patient of others: by the tables where both have a row, else by the headers."""
        told, header = self.told.get(image_id), self.headers.get(image_id)
        if told is not None and told in others.told.values():
            return True
        silent = {patient for name, patient in others.headers.items() if told is None or name not in others.told}
        return header is not None and header in silent


def told_of_evaluation(studies: Path, images: Path, *, inside: Iterable[str]) -> dict[str, str]:
    """Image id to patient for evaluation images: from their own `patients.csv`, else from that of the studies.

    Args:
        studies: the studies folder; rows of its table that name one of its own images say nothing of an evaluation
            image which happens to have the same name.
        images: the folder with the evaluation images, or one image.
        inside: ids of the studies' images.

    Raises:
        StudiesError: a table lacks its columns.
    """
    own = set(inside)
    rows = {name: patient for name, patient in read_patients(studies).items() if name not in own}
    return {**rows, **read_patients(images)}


def read_patients(studies: Path) -> dict[str, str]:
    """Image id to patient, from `patients.csv` (columns `image_id`, `patient`) in the studies, if it is there.

    Raises:
        StudiesError: when the file has not these columns.
    """
    path = studies / PATIENTS_FILE
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream)
            if not {"image_id", "patient"} <= set(rows.fieldnames or ()):
                has = ", ".join(rows.fieldnames or ()) or "none"
                raise StudiesError(f"{path} needs the columns image_id and patient, and has {has}.")
            pairs = [((row["image_id"] or "").strip(), (row["patient"] or "").strip()) for row in rows]
    except (UnicodeDecodeError, csv.Error):
        raise StudiesError(f"{path} is no table in UTF-8: save it as CSV UTF-8.") from None
    return {image_id: patient for image_id, patient in pairs if image_id and patient}
