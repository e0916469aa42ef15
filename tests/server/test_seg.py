"""DICOM segmentations: read back equal, with references, codes, colours and the truth about how they were made."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from autoweak.server.errors import BadRequestError
from autoweak.server.seg import MadeBy, read_seg, write_seg
from autoweak.studies import StudyImage, open_studies, read_image, read_study
from autoweak.tasks import Task, load_task
from tests.server.dicom import AXIAL, write_exam, write_picture, write_series

OBLIQUE = (0.8, 0.6, 0.0, -0.48, 0.64, 0.6)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


@pytest.fixture
def task() -> Task:
    return load_task("hippocampus_mr")


def _drawn(image: StudyImage) -> np.ndarray:
    """A mask (S, H, W) of two labels that no turn or flip maps to itself; some slices are empty."""
    mask = np.zeros(image.pixels.shape[:3], dtype=np.uint8)
    mask[0, 2:5, 3:9] = 1
    mask[0, 5:8, 3:5] = 2
    if mask.shape[0] > 2:
        mask[2, 1:3, 1:4] = 2
    return mask


@pytest.mark.parametrize("step", [2.0, -2.0], ids=["ascending", "descending"])
@pytest.mark.parametrize("cosines", [AXIAL, SAGITTAL, OBLIQUE], ids=["axial", "sagittal", "oblique"])
def test_series_comes_back_equal(tmp_path: Path, task: Task, cosines: tuple[float, ...], step: float) -> None:
    volume = np.arange(5 * 10 * 12, dtype=np.int16).reshape(5, 10, 12)
    series = write_series(tmp_path / "series", "MR", volume, cosines=cosines, step=step)
    image = read_image(tmp_path / "series", plane="axial")
    mask = _drawn(image)
    path = tmp_path / "seg.dcm"
    write_seg(path, mask, image=image, task=task, made_by=MadeBy.SEMIAUTOMATIC, algorithm="autoweak small")
    back = read_seg(path, image=image)
    assert np.array_equal(back.mask, mask)
    assert back.names == {1: "anterior", 2: "posterior"}
    assert back.made_by is MadeBy.SEMIAUTOMATIC
    dataset = pydicom.dcmread(path)
    assert dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == series
    source = pydicom.dcmread(tmp_path / "series" / "slice000.dcm")
    assert dataset.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert dataset.StudyInstanceUID == source.StudyInstanceUID
    assert dataset.PatientID == source.PatientID
    # Each frame lies where the instance lies that it refers to.
    placed = {
        pydicom.dcmread(file).SOPInstanceUID: pydicom.dcmread(file).ImagePositionPatient
        for file in (tmp_path / "series").iterdir()
    }
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        reference = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        assert np.allclose(frame.PlanePositionSequence[0].ImagePositionPatient, placed[reference], atol=1e-3)


@pytest.mark.parametrize("modality", ["US", "XC", "CR"])
def test_pictures_come_back_equal(tmp_path: Path, modality: str) -> None:
    shape = (20, 30) if modality == "CR" else (20, 30, 3)
    write_picture(tmp_path / "series", modality, np.arange(np.prod(shape), dtype=np.uint8).reshape(shape))
    image = read_image(tmp_path / "series")
    mask = np.minimum(_drawn(image), 1)
    path = tmp_path / "seg.dcm"
    write_seg(path, mask, image=image, task=load_task("skin_lesion"), made_by=MadeBy.MANUAL, algorithm="")
    assert np.array_equal(read_seg(path, image=image).mask, mask)


def test_segments_are_called_and_coloured_as_the_task_says(tmp_path: Path, task: Task) -> None:
    write_series(tmp_path / "series", "MR", np.zeros((3, 10, 12), dtype=np.int16))
    image = read_image(tmp_path / "series", plane="axial")
    path = tmp_path / "seg.dcm"
    write_seg(path, _drawn(image), image=image, task=task, made_by=MadeBy.AUTOMATIC, algorithm="medsam_from_coarse")
    first, second = pydicom.dcmread(path).SegmentSequence
    assert [first.SegmentLabel, second.SegmentLabel] == ["anterior", "posterior"]
    code = first.SegmentedPropertyTypeCodeSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == ("5366008", "SCT", "Hippocampus")
    assert first.SegmentAlgorithmType == "AUTOMATIC"
    assert first.SegmentAlgorithmName == "medsam_from_coarse"
    assert first.RecommendedDisplayCIELabValue != second.RecommendedDisplayCIELabValue
    assert 0.6 * 65535 < first.RecommendedDisplayCIELabValue[0] < 0.8 * 65535  # a light orange


@pytest.mark.parametrize(
    "keyword", ["PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "SliceThickness"]
)
def test_headers_that_lack_what_may_be_empty_are_enough(tmp_path: Path, task: Task, keyword: str) -> None:
    image = _lacking(keyword, tmp_path)
    path = tmp_path / "seg.dcm"
    write_seg(path, _drawn(image), image=image, task=task, made_by=MadeBy.MANUAL, algorithm="")
    assert np.array_equal(read_seg(path, image=image).mask, _drawn(image))


def test_headers_that_lack_more_are_one_sentence(tmp_path: Path, task: Task) -> None:
    image = _lacking("FrameOfReferenceUID", tmp_path)
    path = tmp_path / "seg.dcm"
    with pytest.raises(BadRequestError, match="headers lack what one refers to"):
        write_seg(path, _drawn(image), image=image, task=task, made_by=MadeBy.MANUAL, algorithm="")
    assert not path.exists()


def _lacking(keyword: str, folder: Path) -> StudyImage:
    """A series without one element in its headers, as programs that take the patient out leave it."""
    write_series(folder / "series", "CT", np.zeros((4, 12, 10), np.int16))
    for file in (folder / "series").iterdir():
        dataset = pydicom.dcmread(file)
        del dataset[keyword]
        dataset.save_as(file)
    return read_image(folder / "series", plane="axial")


def test_persons_mask_names_no_algorithm(tmp_path: Path, task: Task) -> None:
    write_series(tmp_path / "series", "MR", np.zeros((3, 10, 12), dtype=np.int16))
    image = read_image(tmp_path / "series", plane="axial")
    write_seg(tmp_path / "seg.dcm", _drawn(image), image=image, task=task, made_by=MadeBy.MANUAL, algorithm="x")
    segment = pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence[0]
    assert segment.SegmentAlgorithmType == "MANUAL"
    assert "SegmentAlgorithmName" not in segment


@pytest.mark.filterwarnings("ignore:Encoding an empty segmentation")
def test_empty_mask_is_an_answer(tmp_path: Path, task: Task) -> None:
    write_series(tmp_path / "series", "MR", np.zeros((3, 10, 12), dtype=np.int16))
    image = read_image(tmp_path / "series", plane="axial")
    mask = np.zeros(image.pixels.shape[:3], dtype=np.uint8)
    write_seg(tmp_path / "seg.dcm", mask, image=image, task=task, made_by=MadeBy.MANUAL, algorithm="")
    assert not read_seg(tmp_path / "seg.dcm", image=image).mask.any()


def test_segmentation_of_another_image_is_refused(tmp_path: Path, task: Task) -> None:
    for name in ("one", "two"):
        write_series(tmp_path / name, "MR", np.zeros((3, 10, 12), dtype=np.int16))
    one, two = (read_image(tmp_path / name, plane="axial") for name in ("one", "two"))
    write_seg(tmp_path / "seg.dcm", _drawn(one), image=one, task=task, made_by=MadeBy.MANUAL, algorithm="")
    with pytest.raises(BadRequestError, match="not of image two"):
        read_seg(tmp_path / "seg.dcm", image=two)


@pytest.mark.skipif(
    shutil.which("dciodvfy") is None and os.environ.get("CI") != "true",
    reason="dciodvfy of dicom3tools is not installed",
)
def test_validator_finds_no_error(tmp_path: Path, task: Task) -> None:
    write_series(tmp_path / "series", "MR", np.zeros((3, 10, 12), dtype=np.int16))
    image = read_image(tmp_path / "series", plane="axial")
    path = tmp_path / "seg.dcm"
    write_seg(path, _drawn(image), image=image, task=task, made_by=MadeBy.AUTOMATIC, algorithm="autoweak small")
    said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True)
    assert [line for line in said.stderr.splitlines() if line.startswith("Error")] == []


def test_frame_of_a_film_is_what_the_segmentation_refers_to(tmp_path: Path) -> None:
    film = np.arange(4 * 20 * 30 * 3, dtype=np.uint32).astype(np.uint8).reshape(4, 20, 30, 3)
    _, (instance,) = write_exam(tmp_path / "s" / "exam", "US", film)
    image = read_study(open_studies(tmp_path / "s").get("exam-3"))
    mask = np.minimum(_drawn(image), 1)
    path = tmp_path / "seg.dcm"
    write_seg(path, mask, image=image, task=load_task("skin_lesion"), made_by=MadeBy.MANUAL, algorithm="")
    assert np.array_equal(read_seg(path, image=image).mask, mask)
    (group,) = pydicom.dcmread(path).PerFrameFunctionalGroupsSequence
    (source,) = group.DerivationImageSequence[0].SourceImageSequence
    assert (source.ReferencedSOPInstanceUID, source.ReferencedFrameNumber) == (instance, 3)
    other = read_study(open_studies(tmp_path / "s").get("exam-2"))
    assert not read_seg(path, image=other).mask.any()
