"""Patients by DICOM header, their ids hidden."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autoweak.studies import folds, list_images, patients_of

GREY = np.zeros((4, 5), dtype=np.uint8)


def test_images_of_one_patient_are_known_and_kept_in_one_fold(save_dicom, save_series, save_picture) -> None:
    for name, patient in (("a", "P1"), ("b", "P2"), ("c", "P1"), ("d", None)):
        save_dicom(f"s/{name}.dcm", GREY, PatientID=patient)
    save_series("s/e", np.zeros((3, 4, 5), dtype=np.int16), PatientID="P1 ")
    path = save_picture("s/f.png", GREY)
    (path.parent / "g.dcm").write_bytes(b"damaged")
    studies = list_images(path.parent)
    patients = patients_of(studies)
    assert sorted(patients) == ["a", "b", "c", "e"]
    assert patients["a"] == patients["c"] == patients["e"] != patients["b"]
    assert "P1" not in "".join(patients.values())
    parts = folds([study.image_id for study in studies], count=3, seed=1, patient_of=patients)
    assert any({"a", "c", "e"} <= set(part) for part in parts)


def test_other_formats_say_nothing(save_picture, tmp_path: Path) -> None:
    save_picture("f.png", GREY)
    assert patients_of(list_images(tmp_path)) == {}
