"""The studies folder as it is found in the world."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from autoweak.errors import ImageError, StudiesError
from autoweak.studies import list_images, open_studies, read_image

FINAL, ORIGINAL = "labels/final", "labels/original"


@pytest.fixture
def put(tmp_path: Path):
    """Make files (empty: listing reads none) and return the studies folder."""

    def make(*names: str) -> Path:
        root = tmp_path / "studies"
        for age, name in enumerate(names):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
            os.utime(path, (1_000_000 + age, 1_000_000 + age))
        return root

    return make


def test_images_are_listed_in_order_with_their_labels(put) -> None:
    root = put("c.nii.gz", "a (1).png", "b.JPEG", f"{FINAL}/a (1).nii.gz", f"{ORIGINAL}/b.png", f"{ORIGINAL}/b.json")
    folder = open_studies(root)
    assert [study.image_id for study in folder.studies] == ["a (1)", "b", "c"]
    assert [study.image_id for study in folder.gold] == ["a (1)"]
    assert [study.image_id for study in folder.unlabelled] == ["b", "c"]
    study = folder.get("b")
    assert (study.gold, study.weak, study.sidecar) == (None, root / ORIGINAL / "b.png", root / ORIGINAL / "b.json")
    assert folder.get("a (1)").gold == root / FINAL / "a (1).nii.gz"
    assert folder.notes == ()


def test_what_is_no_image_is_passed_over(put) -> None:
    root = put(
        "a.png", ".DS_Store", ".hidden.png", "Thumbs.db", "datastore_v2.json", "notes.txt", "README", ".lock",
        ".autoweak/models/x.png", "more/b.png", "labels/b.png", f"{FINAL}/.DS_Store", f"{FINAL}/a.txt",
    )  # fmt: skip
    folder = open_studies(root)
    assert [study.image_id for study in folder.studies] == ["a"]
    assert folder.notes == ()


def test_two_images_of_one_id_are_refused_with_both_names(put) -> None:
    for names in (("x.nii.gz", "x.png"), ("x.PNG", "x.png")):
        root = put(*names)
        with pytest.raises(StudiesError, match=rf"{names[0]} and {names[1]} have one id, 'x'"):
            open_studies(root)
        for name in names:
            (root / name).unlink()


def test_a_label_without_an_image_is_a_note(put) -> None:
    folder = open_studies(put("a.png", f"{FINAL}/b.png"))
    assert folder.notes == ("The label b.png in final belongs to no image and is left aside.",)


def test_the_newest_of_two_labels_counts(put) -> None:
    root = put("a.png", f"{FINAL}/a.png", f"{FINAL}/a.nii.gz")
    folder = open_studies(root)
    assert folder.get("a").gold == root / FINAL / "a.nii.gz"
    assert folder.notes == ("Image a has 2 labels in final (a.nii.gz, a.png); a.nii.gz, the newest, counts.",)
    os.utime(root / FINAL / "a.png", (2_000_000, 2_000_000))
    assert open_studies(root).get("a").gold == root / FINAL / "a.png"


def test_ids_with_dots_keep_their_labels_apart(put) -> None:
    root = put("e.png", "e.v1.png", "e.seg.png", f"{FINAL}/e.v1.nii.gz", f"{FINAL}/e.seg.nrrd")
    folder = open_studies(root)
    assert folder.get("e.v1").gold == root / FINAL / "e.v1.nii.gz"
    assert folder.get("e.seg").gold == root / FINAL / "e.seg.nrrd"
    assert folder.get("e").gold is None


def test_slicers_segmentation_belongs_to_its_image(put) -> None:
    root = put("e.nii.gz", f"{FINAL}/e.seg.nrrd")
    assert open_studies(root).get("e").gold == root / FINAL / "e.seg.nrrd"


@pytest.mark.parametrize("name", ["a\nb.png", "a\\b.png", f"{'x' * 240}.png", "a\u202ecod.png"])
def test_a_name_that_cannot_be_an_id_is_refused(put, name: str) -> None:
    with pytest.raises(StudiesError, match="rename the file"):
        open_studies(put("a.png", name))


@pytest.mark.parametrize("names", [("notes.txt",), ("sub/a.png",), (f"{FINAL}/a.png",)])
def test_a_folder_without_images_is_refused(put, names: tuple[str, ...]) -> None:
    with pytest.raises(StudiesError, match="There are no images in"):
        open_studies(put(*names))


def test_what_is_no_folder_is_refused(put, tmp_path: Path) -> None:
    with pytest.raises(StudiesError, match="does not exist"):
        open_studies(tmp_path / "gone")
    with pytest.raises(StudiesError, match="is not a folder"):
        open_studies(put("a.png") / "a.png")
    with pytest.raises(StudiesError, match="There is no file or folder"):
        list_images(tmp_path / "gone.png")


def test_links_are_images_and_broken_ones_fail_when_read(put, tmp_path: Path, save_picture) -> None:
    root = put("a.png")
    (root / "b.png").symlink_to(save_picture("elsewhere/x.png", np.ones((2, 3), dtype=np.uint8)))
    (root / "c.png").symlink_to(tmp_path / "nowhere.png")
    folder = open_studies(root)
    assert [study.image_id for study in folder.studies] == ["a", "b", "c"]
    assert read_image(folder.get("b").path).image_id == "b"
    with pytest.raises(ImageError, match=r"c\.png cannot be read: the file does not exist"):
        read_image(folder.get("c").path)


def test_an_unknown_id_is_said(put) -> None:
    with pytest.raises(StudiesError, match=r"There is no image '\.\./a'"):
        open_studies(put("a.png")).get("../a")


def test_a_folder_of_dicom_is_one_study_among_pictures(put, save_series, tmp_path: Path) -> None:
    root = put("a.png", "empty/notes.txt", f"{FINAL}/1.2.840.7.nii.gz")
    save_series("studies/1.2.840.7", np.zeros((3, 4, 5), dtype=np.int16))
    folder = open_studies(root)
    assert [study.image_id for study in folder.studies] == ["1.2.840.7", "a"]
    assert folder.get("1.2.840.7").gold == root / FINAL / "1.2.840.7.nii.gz"


def test_one_image_or_one_series_can_be_listed(put, save_series, save_dicom) -> None:
    assert [study.image_id for study in list_images(put("a.b.png") / "a.b.png")] == ["a.b"]
    series = save_series("ct", np.zeros((3, 4, 5), dtype=np.int16))
    (only,) = list_images(series)
    assert (only.image_id, only.path) == ("ct", series)
    with pytest.raises(StudiesError, match=r"notes\.txt is not an image"):
        list_images(put("notes.txt") / "notes.txt")


def test_a_folder_of_single_dicom_pictures_is_many_images(save_dicom, tmp_path: Path) -> None:
    for name in ("a.dcm", "b.dcm"):
        save_dicom(f"stills/{name}", np.zeros((4, 5), dtype=np.uint8))
    assert [study.image_id for study in list_images(tmp_path / "stills")] == ["a", "b"]
    (tmp_path / "stills" / "a.dcm").write_bytes(b"x")
    assert [study.image_id for study in list_images(tmp_path / "stills")] == ["a", "b"]


def test_listing_many_images_is_fast(put) -> None:
    import time

    root = put(*(f"{index}.png" for index in range(1500)), *(f"{FINAL}/{index}.png" for index in range(1500)))
    start = time.monotonic()
    folder = open_studies(root)
    assert time.monotonic() - start < 10
    assert len(folder.gold) == 1500
