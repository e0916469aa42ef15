"""Image ids and file endings."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoweak.errors import StudiesError
from autoweak.studies.names import FileKind, check_id, image_id_of, kind_of


@pytest.mark.parametrize(
    ("name", "image_id", "kind"),
    [
        ("benign (105).png", "benign (105)", FileKind.RASTER),
        ("a.b.NII.GZ", "a.b", FileKind.NIFTI),
        ("x.JPeG", "x", FileKind.RASTER),
        ("x.tif", "x", FileKind.RASTER),
        ("e.v1.nrrd", "e.v1", FileKind.NRRD),
        ("e.seg.nrrd", "e", FileKind.NRRD),
        ("x.png.nii.gz", "x.png", FileKind.NIFTI),
        ("Ö.DCM", "Ö", FileKind.DICOM),
        ("notes.txt", "notes.txt", None),
        (".png", ".png", None),
        ("nii.gz", "nii.gz", None),
    ],
)
def test_the_id_is_the_name_without_its_image_ending(name: str, image_id: str, kind: FileKind | None) -> None:
    assert image_id_of(Path(name)) == image_id
    assert kind_of(Path(name)) is kind


def test_dicom_is_known_without_an_ending(tmp_path: Path) -> None:
    start = b"\0" * 128 + b"DICM"
    for name, kind in (("1.2.840.7", FileKind.DICOM), ("IM0001", FileKind.DICOM), ("DICOMDIR", None), ("x.txt", None)):
        (tmp_path / name).write_bytes(start)
        assert kind_of(tmp_path / name) is kind
    (tmp_path / "short").write_bytes(b"DICM")
    assert kind_of(tmp_path / "short") is None


@pytest.mark.parametrize("image_id", ["benign (105)", "a.b", "Aufnahme 3, links", "è", "x" * 200, "1.2.840.113"])
def test_plain_ids_are_allowed(image_id: str) -> None:
    assert check_id(image_id) == image_id


@pytest.mark.parametrize(
    "image_id",
    [
        "",
        ".",
        "..",
        ".hidden",
        "a/b",
        "../a",
        "a\\b",
        "a\nb",
        "a\0b",
        "a\x1bb",
        "C:x",
        "x" * 201,
        "è" * 101,
        "\udcff",
        "a\u202eb",
    ],
)
def test_ids_that_could_lead_elsewhere_are_refused(image_id: str) -> None:
    with pytest.raises(StudiesError) as caught:
        check_id(image_id)
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()
