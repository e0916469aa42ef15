"""Pictures on a real DICOMweb server: X-rays, photographs, ultrasound stills and films, drawn ones and samples."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import highdicom
import numpy as np
import pydicom
import pytest
import requests
from PIL import Image
from pydicom.uid import UltrasoundMultiFrameImageStorage

from autoweak.hashing import file_sha256
from autoweak.phantoms.demo import make_phantom
from autoweak.server.dicomweb import DicomWebDatastore
from autoweak.server.errors import UpstreamError
from autoweak.server.live import Live
from autoweak.server.pacs import Pacs
from autoweak.server.seg import MadeBy, write_seg
from autoweak.server.settings import parse_settings
from autoweak.studies import read_image
from autoweak.studies.folder import WEAK_FOLDER
from autoweak.studies.labels import write_mask
from autoweak.tasks import load_task
from tests.server.clients import Server, Slicer
from tests.server.conftest import Start, free_port, short_task, upload
from tests.server.dicom import segmentations_of, write_exam, write_picture

pytestmark = pytest.mark.e2e
SIZE = (60, 80)
# The ultrasound film of the samples says that it is no film, which is not allowed; its copy here says it is.
SAMPLES = {
    "sample DX": ("highdicom/dx_image.dcm", ""),
    "sample CR": ("pydicom_data/RG1_J2KI.dcm", ""),
    "sample US": ("pydicom_data/US1_UNCI.dcm", ""),
    "sample film": ("pydicom_data/OBXXXX1A_2frame.dcm", UltrasoundMultiFrameImageStorage),
}


@dataclass(frozen=True)
class Placed:
    """An image on the PACS: its id, series, instance and frame, and its size (rows, columns)."""

    image_id: str
    series: str
    instance: str
    frame: int | None
    size: tuple[int, int]


def _phantom(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return make_phantom("ultrasound", seed=seed, size=size).image


def _colour(grey: np.ndarray) -> np.ndarray:
    return np.stack([grey, grey, grey], axis=-1)


@pytest.fixture(scope="module")
def drawn_images(orthanc: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Placed]:
    """A still by itself of each kind, and an examination of a still, a smaller one and a film of three frames."""
    folder = tmp_path_factory.mktemp("dicom")
    stills = {
        "US": _colour(_phantom(3)),
        "CR": _phantom(4).astype(np.uint16) * 16,
        "DX": _phantom(5).astype(np.uint16) * 16,
        "XC": make_phantom("dermoscopy", seed=1, size=SIZE).image,
    }
    placed = {}
    for name, pixels in stills.items():
        series = write_picture(folder / name, name, pixels)
        upload(orthanc, folder / name)
        instance = pydicom.dcmread(folder / name / "image.dcm").SOPInstanceUID
        placed[name] = Placed(series, series, instance, None, SIZE)
    film = np.stack([_colour(_phantom(seed)) for seed in (7, 8, 9)])
    series, instances = write_exam(folder / "exam", "US", _phantom(6), _phantom(6, (48, 64)), film)
    upload(orthanc, folder / "exam")
    placed["still of several"] = Placed(f"{series}-1", series, instances[0], None, SIZE)
    placed["smaller still"] = Placed(f"{series}-2", series, instances[1], None, (48, 64))
    placed["frame 2"] = Placed(f"{series}-3-2", series, instances[2], 2, SIZE)
    placed["frame 3"] = Placed(f"{series}-3-3", series, instances[2], 3, SIZE)
    return placed


@pytest.fixture(scope="module")
def sample_images(orthanc: str, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Placed]:
    """Real ones, as vendors write them."""
    placed = {}
    for name, (file, storage) in SAMPLES.items():
        dataset = pydicom.dcmread(data_dir / "samples" / "dicom" / file)
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = storage or dataset.SOPClassUID
        copy = tmp_path_factory.mktemp("sample") / "image.dcm"
        dataset.save_as(copy)
        upload(orthanc, copy.parent)
        frame = 2 if storage else None
        series = str(dataset.SeriesInstanceUID)
        image_id = f"{series}-{frame}" if frame else series
        placed[name] = Placed(image_id, series, dataset.SOPInstanceUID, frame, (dataset.Rows, dataset.Columns))
    return placed


@pytest.fixture(scope="module")
def server(
    start: Start, orthanc: str, drawn_images: dict[str, Placed], tmp_path_factory: pytest.TempPathFactory
) -> Server:
    task = short_task("breast_ultrasound", tmp_path_factory.mktemp("task") / "task.yaml")
    return start(f"{orthanc}/dicom-web", task=task, modality="US,CR,DX,XC")


def _drawn(size: tuple[int, int]) -> np.ndarray:
    """(rows, columns), nowhere symmetric."""
    mask = np.zeros(size, dtype=np.uint8)
    mask[10:30, 5:15] = 1
    mask[25:30, 15:40] = 1
    return mask


def _wait(condition: Callable[[], object], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _check_loop(server: Server, orthanc: str, image: Placed, tmp_path: Path) -> pydicom.Dataset:
    """Open, click, save an image; the segmentation on the PACS holds what was drawn, on the right picture."""
    rows, columns = image.size
    content = server.get("/datastore/image", image=image.image_id)
    assert content.ok, content.text
    if image.frame is not None:
        with Image.open(io.BytesIO(content.content)) as picture:
            assert picture.size == (columns, rows)
    else:
        assert pydicom.dcmread(io.BytesIO(content.content)).SOPInstanceUID == image.instance
    clicked, _ = Slicer(server).infer("medsam", image.image_id, {"foreground": [[columns // 2, rows // 2, 0]]})
    assert clicked.shape == (columns, rows, 1)
    drawn = _drawn(image.size)
    saved = Slicer(server).submit(image.image_id, drawn.T[..., None], ["lesion"])
    assert saved.ok, saved.text
    found = segmentations_of(orthanc, image.series)[-1]
    path = tmp_path / "seg.dcm"
    found.save_as(path)
    segmentation = highdicom.seg.segread(path)
    options = {"combine_segments": True, "ignore_spatial_locations": True}
    if image.frame is None:
        (mask,) = segmentation.get_pixels_by_source_instance([image.instance], **options)
    else:
        (mask,) = segmentation.get_pixels_by_source_frame(image.instance, [image.frame], **options)
    assert np.array_equal(mask, drawn)
    _check_valid(path)
    return found


def _check_valid(path: Path) -> None:
    if shutil.which("dciodvfy") is None:
        assert os.environ.get("CI") != "true", "dciodvfy of dicom3tools is not installed"
        return
    said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True)
    assert [line for line in said.stderr.splitlines() if line.startswith("Error")] == []


def test_every_picture_is_listed_and_told(server: Server, drawn_images: dict[str, Placed]) -> None:
    objects = server.get("/datastore/", output="all").json()["objects"]
    exam = drawn_images["frame 2"].series
    wanted = {one.image_id for one in drawn_images.values()} | {f"{exam}-3-1"}
    assert wanted <= set(objects)
    assert exam not in objects
    assert objects[f"{exam}-3-1"]["image"]["info"]["SeriesInstanceUID"] == exam


@pytest.mark.parametrize("name", ["US", "CR", "DX", "XC", "still of several", "smaller still", "frame 2", "frame 3"])
def test_drawn_pictures_make_the_loop(
    server: Server, orthanc: str, drawn_images: dict[str, Placed], name: str, tmp_path: Path
) -> None:
    found = _check_loop(server, orthanc, drawn_images[name], tmp_path)
    assert found.SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"  # it was clicked


def test_what_a_person_draws_alone_is_called_so(server: Server, orthanc: str, tmp_path: Path) -> None:
    write_picture(tmp_path / "more", "US", _phantom(12))
    series = str(pydicom.dcmread(tmp_path / "more" / "image.dcm").SeriesInstanceUID)
    upload(orthanc, tmp_path / "more")
    _wait(lambda: series in server.get("/datastore/", output="all").json()["objects"])
    assert Slicer(server).submit(series, _drawn(SIZE).T[..., None], ["lesion"]).ok
    assert segmentations_of(orthanc, series)[0].SegmentSequence[0].SegmentAlgorithmType == "MANUAL"


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_make_the_loop(
    server: Server, orthanc: str, sample_images: dict[str, Placed], name: str, tmp_path: Path
) -> None:
    image = sample_images[name]
    # They came while the server was running.
    _wait(lambda: image.image_id in server.get("/datastore/", output="all").json()["objects"])
    _check_loop(server, orthanc, image, tmp_path)


def test_examination_that_grows_keeps_its_ids(server: Server, orthanc: str, tmp_path: Path) -> None:
    series, _ = write_exam(tmp_path / "exam", "US", _phantom(1), _phantom(2))
    first, second = sorted((tmp_path / "exam").iterdir())

    def listed() -> set[str]:
        objects = server.get("/datastore/", output="all").json()["objects"]
        return {image_id for image_id in objects if image_id.startswith(series)}

    for file, expected in ((first, {series}), (second, {series, f"{series}-2"})):
        assert requests.post(f"{orthanc}/instances", data=file.read_bytes(), timeout=20).ok
        _wait(lambda expected=expected: listed() == expected)
    shown = pydicom.dcmread(io.BytesIO(server.get("/datastore/image", image=series).content))
    assert np.array_equal(shown.pixel_array, _phantom(1))


def _store_elsewhere(orthanc: str, folder: Path, seed: int, made_by: MadeBy) -> tuple[str, np.ndarray]:
    """An image, and the segmentation that another program has stored of it."""
    series = write_picture(folder / "image", "US", _phantom(seed))
    mask = _drawn(SIZE)
    (folder / "seg").mkdir()
    write_seg(
        folder / "seg" / "seg.dcm",
        mask[np.newaxis],
        image=read_image(folder / "image" / "image.dcm"),
        task=load_task("breast_ultrasound"),
        made_by=made_by,
        algorithm="another program",
    )
    # The segmentation comes first, as it may when a PACS is filled.
    upload(orthanc, folder / "seg")
    upload(orthanc, folder / "image")
    return series, mask


def test_persons_segmentation_becomes_gold_while_the_server_runs(server: Server, orthanc: str, tmp_path: Path) -> None:
    automatic, _ = _store_elsewhere(orthanc, tmp_path / "automatic", 20, MadeBy.AUTOMATIC)
    manual, mask = _store_elsewhere(orthanc, tmp_path / "manual", 21, MadeBy.MANUAL)

    def labels(series: str) -> Any:
        entry = server.get("/datastore/", output="all").json()["objects"].get(series)
        return entry and entry["labels"]

    _wait(lambda: labels(manual))
    assert labels(automatic) == {}
    shown, _ = Slicer(server).infer("medsam", manual, {"label": "lesion", "foreground": []})
    assert np.array_equal(shown[:, :, 0].T, mask)


def test_segmentation_of_something_else_is_left_aside(server: Server, orthanc: str, tmp_path: Path) -> None:
    """Nobody has said that it is meant for the task, even if that has one label alone."""
    write_picture(tmp_path / "image", "US", _colour(_phantom(22)))
    other = load_task("breast_ultrasound").model_copy(update={"labels": {"cyst": 1}, "segments": {}})
    uid = str(pydicom.dcmread(tmp_path / "image" / "image.dcm").SeriesInstanceUID)
    image = read_image(tmp_path / "image" / "image.dcm")
    path = tmp_path / "seg" / "seg.dcm"
    path.parent.mkdir()
    write_seg(path, _drawn(SIZE)[np.newaxis], image=image, task=other, made_by=MadeBy.MANUAL, algorithm="")
    upload(orthanc, path.parent)
    upload(orthanc, tmp_path / "image")
    machine = _other_machine(orthanc, tmp_path / "other")
    machine.begin()
    _wait(lambda: machine._takeover._waiting or any((machine._live.workspace.root / "synced").iterdir()))
    _wait(lambda: not machine._takeover._running.locked())
    assert machine.study(uid).gold is None


def _other_machine(orthanc: str, folder: Path, **settings: object) -> DicomWebDatastore:
    """The datastore of a server on another machine, with a cache of its own."""
    task = short_task("breast_ultrasound", folder.parent / "task.yaml")
    folder.mkdir()
    live = Live(folder, parse_settings({"task": str(task), **settings}))
    pacs = Pacs(f"{orthanc}/dicom-web", memory=live.workspace.root / "series.json", modality="US")
    return DicomWebDatastore(live, pacs, uploads=folder)


def test_another_machine_takes_over_what_is_there_and_keeps_its_own(
    server: Server, orthanc: str, drawn_images: dict[str, Placed], tmp_path: Path
) -> None:
    image = drawn_images["frame 2"]
    for mask in (np.zeros(SIZE, dtype=np.uint8), _drawn(SIZE)):  # the newest counts
        assert Slicer(server).submit(image.image_id, mask.T[..., None], ["lesion"]).ok
    other = _other_machine(orthanc, tmp_path / "other")
    own = drawn_images["US"].image_id
    study = other.study(own)
    kept = np.ones((1, *SIZE), dtype=np.uint8)
    read, _ = other._live.image(study)
    other.save_gold(study, read, kept)
    other.begin()
    _wait(lambda: other.study(image.image_id).gold)
    _wait(lambda: not other._takeover._running.locked())
    with Image.open(other.study(image.image_id).gold) as picture:
        assert np.array_equal(np.asarray(picture), _drawn(SIZE))
    with Image.open(other.study(own).gold) as picture:
        assert np.asarray(picture).all()


def test_each_weak_label_is_sent_once_and_one_that_failed_again(
    orthanc: str, drawn_images: dict[str, Placed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _other_machine(orthanc, tmp_path / "other", send_weak_labels="true")
    series = drawn_images["smaller still"].series
    study = store.study(drawn_images["smaller still"].image_id)
    image, _ = store._live.image(study)

    def tell(mask: np.ndarray) -> None:
        path = store._live.root / WEAK_FOLDER / f"{study.image_id}.png"
        write_mask(path, mask[np.newaxis], image=image)
        record = SimpleNamespace(name=path.name, sha256=file_sha256(path))
        made_by = SimpleNamespace(promptable=SimpleNamespace(name="small"))
        store._live.on_weak_label(study, SimpleNamespace(mask=record, inputs=made_by))

    before = len(segmentations_of(orthanc, series))
    with monkeypatch.context() as patch:
        patch.setattr(store._pacs, "send", Mock(side_effect=UpstreamError("The DICOMweb server is gone.")))
        tell(_drawn((48, 64)))  # the label is there all the same
    for _ in range(3):  # as each time when someone looks at it
        tell(_drawn((48, 64)))
    assert len(segmentations_of(orthanc, series)) == before + 1
    tell(np.zeros((48, 64), dtype=np.uint8))  # labelled anew
    sent = segmentations_of(orthanc, series)[before:]
    assert {one.SegmentSequence[0].SegmentAlgorithmType for one in sent} == {"AUTOMATIC"}
    assert [int(one.pixel_array.sum()) for one in sent] == [_drawn((48, 64)).sum(), 0]
    store.save_gold(study, image, _drawn((48, 64))[np.newaxis])
    tell(1 - _drawn((48, 64)))  # a weak label that was still on its way when a person saved
    kinds = [one.SegmentSequence[0].SegmentAlgorithmType for one in segmentations_of(orthanc, series)[before:]]
    assert sorted(kinds) == ["AUTOMATIC", "AUTOMATIC", "MANUAL"]


def test_scoring_counts_pictures_that_were_never_fetched(server: Server) -> None:
    answer = server.post("/scoring/weak_label_quality", run_sync=True).json()
    status = server.info()["datastore"]
    assert answer["gold"] == status["completed"]
    assert answer["gold"] + answer["unlabelled"] == status["total"]


def test_server_that_is_gone_is_told(tmp_path: Path) -> None:
    pacs = Pacs(f"http://127.0.0.1:{free_port()}/dicom-web", memory=tmp_path / "series.json")
    with pytest.raises(UpstreamError, match="check that it runs"):
        pacs.images()
