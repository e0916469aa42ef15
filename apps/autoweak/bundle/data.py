"""The data lists of the bundles: what is wrong with them is said before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autoweak.bundle.calls import one_sentence
from autoweak.errors import StudiesError
from autoweak.studies import Study, folds, image_id_of, list_images, open_studies
from autoweak.studies.patients import Patients, read_patients

Pair = dict[str, Any]
REFUSE, SKIP = "refuse", "skip"


@one_sentence
def images(dataset_dir: str) -> list[Pair]:
    """The images of a folder, or one image, as MONAI's data list: `image` is a path.

    Of one picture among several (a frame of a DICOM film, a still of a series) `image_id` and `frame` tell which.

    Args:
        dataset_dir: a studies folder, any folder of images, a folder with one DICOM series, or one image.

    Stops the program where there are none.
    """
    return [_entry(study) for study in list_images(Path(dataset_dir))]


@one_sentence
def pairs(dataset_dir: str, *, unlabelled: str = REFUSE) -> list[Pair]:
    """Images and labels of a studies folder, labels in `labels/final`: `image` and `label` are paths.

    Args:
        dataset_dir: the studies folder.
        unlabelled: "refuse" or "skip" images without a label.

    Stops the program where there are no labels, where an image has none and `unlabelled` is "refuse", or where a label
    belongs to no image.
    """
    studies = open_studies(Path(dataset_dir))
    if unlabelled not in (REFUSE, SKIP):
        msg = f"The entry 'unlabelled' must be {REFUSE!r} or {SKIP!r}, got {unlabelled!r}."
        raise StudiesError(msg)
    lost = [note for note in studies.notes if "belongs to no image" in note]
    if lost:
        raise StudiesError(lost[0].replace("and is left aside", "so names do not match; rename it or take it away"))
    if not studies.gold:
        msg = f"There are no labels in {dataset_dir}; put them into {Path(dataset_dir) / 'labels' / 'final'}."
        raise StudiesError(msg)
    if studies.unlabelled and unlabelled == REFUSE:
        msg = (
            f"{len(studies.unlabelled)} of {len(studies.studies)} images in {dataset_dir} have no label in "
            f"labels/final, the first is {studies.unlabelled[0].path.name}; label them, or pass --unlabelled {SKIP}."
        )
        raise StudiesError(msg)
    return [{**_entry(study), "label": str(study.gold)} for study in studies.gold]


@one_sentence
def split(listed: Sequence[Mapping[str, Any]], *, seed: int, parts: int = 4) -> tuple[list[Pair], list[Pair]]:
    """Divide images and labels for training and validation, all images of a patient on one side.

    Patients are known from DICOM, and from `patients.csv` beside the images.

    Args:
        listed: as `pairs` gives them.
        seed: of the shuffle.
        parts: one of so many goes to the validation; with fewer patients there are fewer parts.

    Returns:
        those to train on, those to validate on.

    Stops the program where there are fewer than two patients.
    """
    by_id = {_id_of(item): dict(item) for item in listed}
    folders = {Path(item["image"]).parent for item in listed}
    told: dict[str, str] = {}
    for folder in sorted(folders):
        told.update(read_patients(folder))
    known = Patients.of([Study(image_id, Path(item["image"])) for image_id, item in by_id.items()], told).joined()
    apart = len({known.get(image_id, image_id) for image_id in by_id})
    held_out = set(folds(by_id, count=max(2, min(parts, apart)), seed=seed, patient_of=known)[0])
    return (
        [item for image_id, item in by_id.items() if image_id not in held_out],
        [item for image_id, item in by_id.items() if image_id in held_out],
    )


def _entry(study: Study) -> Pair:
    entry: Pair = {"image": str(study.path)}
    if study.frame is not None or study.image_id != image_id_of(study.path):
        entry |= {"image_id": study.image_id, "frame": study.frame or 0}
    return entry


def _id_of(item: Mapping[str, Any]) -> str:
    return str(item.get("image_id") or image_id_of(Path(item["image"])))
