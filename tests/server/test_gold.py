"""A person's label wins: what viewers save becomes gold, in any of their formats, and stays."""

from __future__ import annotations

import hashlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from autoweak.studies import nrrd
from autoweak.studies.geometry import picture_geometry, volume_geometry
from tests.server.clients import Ohif, Server, Slicer, put_label

WIDTH, HEIGHT = 128, 96


@pytest.fixture
def drawn() -> np.ndarray:
    """What a person drew, (H, W) uint8, nowhere symmetric."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    mask[10:30, 40:90] = 1
    mask[30:50, 40:50] = 1
    return mask


def _gold(server: Server, image: str) -> np.ndarray:
    with Image.open(server.studies / "labels" / "final" / f"{image}.png") as picture:
        return np.asarray(picture)


def _cropped(drawn: np.ndarray) -> bytes:
    """A `.seg.nrrd` of the part of a picture that is drawn on."""
    rows, columns = (np.flatnonzero(drawn.any(axis=axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    part = drawn[top : rows[-1] + 1, left : columns[-1] + 1]
    lines = [
        "NRRD0004",
        "type: unsigned char",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {part.shape[1]} {part.shape[0]} 1",
        "space directions: (1,0,0) (0,1,0) (0,0,1)",
        "kinds: domain domain domain",
        "encoding: raw",
        f"space origin: ({left},{top},0)",
        "Segment0_LabelValue:=1",
        "Segment0_Name:=lesion",
        f"Segmentation_ReferenceImageExtentOffset:={left} {top} 0",
    ]
    return "\n".join([*lines, "", ""]).encode() + part.tobytes()


def _other(folder: Path) -> Path:
    """A label of something else."""
    Image.fromarray(np.full((HEIGHT, WIDTH), 255, dtype=np.uint8)).save(folder / "other.png")
    return folder / "other.png"


@pytest.mark.parametrize(
    ("image", "suffix"),
    [
        ("ultrasound_009", ".nii.gz"),
        ("ultrasound_010", ".nrrd"),
        ("ultrasound_011", ".png"),
        ("ultrasound_012", ".bin"),
        ("ultrasound_012", ".nii"),
        ("ultrasound_012", ".seg.nrrd"),
    ],
)
def test_every_format_becomes_the_same_gold(
    fresh: Server, drawn: np.ndarray, tmp_path: Path, image: str, suffix: str
) -> None:
    file = tmp_path / f"label{suffix}"
    if suffix.startswith(".nii"):  # 3D Slicer, of a PNG too
        nibabel.save(nibabel.Nifti1Image(drawn.T[..., None], np.diag([-1, -1, 1, 1])), file)
    elif suffix == ".nrrd":
        nrrd.write(file, drawn, geometry=picture_geometry(drawn.shape), compress=True)
    elif suffix == ".seg.nrrd":  # 3D Slicer's own format: what lies around the segments
        file.write_bytes(_cropped(drawn))
    elif suffix == ".png":
        Image.fromarray(drawn * 255).save(file)
    else:  # OHIF
        file.write_bytes(drawn.tobytes())
    put_label(fresh, image, _other(tmp_path))  # saved again, it replaces what was there
    answer = put_label(fresh, image, file, {"label_info": [{"name": "lesion", "idx": 1}]})
    assert answer.ok, answer.text
    assert np.array_equal(_gold(fresh, image), drawn)
    assert Slicer(fresh, f"{image}{suffix}").next_sample().get("id") != image


def test_empty_mask_is_gold(fresh: Server) -> None:
    assert Slicer(fresh).submit("ultrasound_013", np.zeros((WIDTH, HEIGHT, 1), dtype=np.uint8), ["lesion"]).ok
    assert not _gold(fresh, "ultrasound_013").any()
    assert "ultrasound_013" in [
        pair["image"].split("/")[-1][:-4] for pair in fresh.get("/datastore/", output="train").json()
    ]


def test_saved_again_it_is_replaced_and_the_earlier_one_kept(fresh: Server, drawn: np.ndarray) -> None:
    client, image = Slicer(fresh), "ultrasound_006"
    assert client.submit(image, drawn.T[..., None], ["lesion"]).ok
    reopened, _ = Slicer(fresh).infer("medsam", image, {"label": "lesion", "foreground": []})
    assert np.array_equal(reopened[:, :, 0].T, drawn)
    corrected = np.roll(drawn, 3, axis=1)
    assert client.submit(image, corrected.T[..., None], ["lesion"]).ok
    assert np.array_equal(_gold(fresh, image), corrected)
    earlier = list((fresh.studies / "labels" / "earlier").glob(f"*-{image}.png"))
    assert len(earlier) == 1
    with Image.open(earlier[0]) as picture:
        assert np.array_equal(np.asarray(picture), drawn)


def test_segments_are_told_apart_by_name(volumes: Server, tmp_path: Path) -> None:
    image = "volume3"
    affine = nibabel.load(volumes.studies / f"{image}.nii.gz").affine
    mask = np.zeros((40, 36, 28), dtype=np.uint8)
    mask[5:9, 6:10, 7:11] = 1
    # Only the second label is there: Slicer numbers it 1.
    assert Slicer(volumes).submit(image, mask, ["posterior"], affine=affine).ok
    saved = nibabel.load(volumes.studies / "labels" / "final" / f"{image}.nii.gz")
    assert np.array_equal(np.asarray(saved.dataobj), mask * 2)
    assert np.array_equal(saved.affine, affine)
    swapped = mask.copy()
    swapped[20:22] = 2
    assert Slicer(volumes).submit(image, swapped, ["Posterior", "anterior"], affine=affine).ok
    saved = np.asarray(nibabel.load(volumes.studies / "labels" / "final" / f"{image}.nii.gz").dataobj)
    assert set(np.unique(saved[5:9])) == {0, 2}
    assert set(np.unique(saved[20:22])) == {1}
    # Numbered without the segment "background", and named with it.
    file = tmp_path / "label.nii.gz"
    nibabel.save(nibabel.Nifti1Image(mask, affine), file)
    assert put_label(volumes, image, file, {"label_info": [{"name": "posterior", "idx": 2}]}).ok
    saved = nibabel.load(volumes.studies / "labels" / "final" / f"{image}.nii.gz")
    assert np.array_equal(np.asarray(saved.dataobj), mask * 2)
    refused = Slicer(volumes).submit(image, mask, ["Segment_1"], affine=affine)
    assert refused.status_code == 422
    assert "anterior, posterior" in refused.json()["detail"]


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_second_label_without_the_first_in_either_format(volumes: Server, tmp_path: Path, suffix: str) -> None:
    image = "volume2"
    source = nibabel.load(volumes.studies / f"{image}.nii.gz")
    mask = np.zeros(source.shape, dtype=np.uint8)
    mask[5:9, 6:10, 7:11] = 2
    file = tmp_path / f"label{suffix}"
    if suffix == ".nii.gz":
        nibabel.save(nibabel.Nifti1Image(mask, source.affine), file)
    else:
        geometry = volume_geometry(source.shape, source.affine, plane="axial")
        nrrd.write(file, mask, geometry=geometry, compress=True)
    for label_info in ([{"name": "posterior", "idx": 2}], None):  # named, and by the task's own values
        assert put_label(volumes, image, file, {"label_info": label_info} if label_info else {}).ok
        saved = nibabel.load(volumes.studies / "labels" / "final" / f"{image}.nii.gz")
        assert np.array_equal(np.asarray(saved.dataobj), mask)


def test_empty_mask_of_a_volume_is_gold_and_can_be_opened_again(volumes: Server) -> None:
    image = "volume2"
    affine = nibabel.load(volumes.studies / f"{image}.nii.gz").affine
    assert Slicer(volumes).submit(image, np.zeros((40, 36, 28), dtype=np.uint8), [], affine=affine).ok
    shown, params = Slicer(volumes).infer("medsam", image, {"label": "anterior", "foreground": []})
    assert not shown.any()
    assert params["label_names"] == {}
    drawn = np.zeros((40, 36, 28), dtype=np.uint8)
    drawn[3:6, 4:9, 5:7] = 1
    assert Slicer(volumes).submit(image, drawn, ["anterior"], affine=affine).ok
    shown, _ = Slicer(volumes).infer("medsam", image, {"label": "anterior", "foreground": []})
    assert np.array_equal(shown, drawn)


def test_label_of_another_image_is_refused(fresh: Server) -> None:
    answer = Slicer(fresh).submit("ultrasound_007", np.ones((50, 40, 1), dtype=np.uint8), ["lesion"])
    assert answer.status_code == 422
    assert not (fresh.studies / "labels" / "final" / "ultrasound_007.png").exists()


def test_ohif_saves_what_was_inferred_by_its_options(trained: Server) -> None:
    image = "ultrasound_013"
    config = trained.info()["models"]["medsam_from_coarse"]["config"]
    assert config["save_as_gold"] is False
    _, shown = Ohif(trained).infer("medsam_from_coarse", image, {**config, "save_as_gold": True})
    assert np.array_equal(_gold(trained, image), shown[:, :, 0].T)
    # From now on it is the person's that is shown.
    _, params = Slicer(trained).infer("medsam_from_coarse", image)
    assert params["status"] == "gold"


def test_program_leaves_gold_alone(trained: Server) -> None:
    folder = trained.studies / "labels" / "final"
    before = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    Slicer(trained).infer("medsam_from_coarse", "ultrasound_000")
    Slicer(trained).raw("coarse", "ultrasound_000", {"save_label": True, "label_tag": "final"})
    trained.post("/batch/infer/medsam_from_coarse", {}, images="all", run_sync=True)
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()} == before
