"""Volumes on a real DICOMweb server: Orthanc, as Debian packages it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests
from monailabel.client import MONAILabelClient

from autoweak.phantoms.volume import make_volume_phantom
from tests.server.clients import Ohif, Server, Slicer
from tests.server.conftest import Start, short_task, upload
from tests.server.dicom import segmentation_of, write_picture, write_series

Factory = pytest.TempPathFactory
OBLIQUE = (0.8, 0.6, 0.0, -0.48, 0.64, 0.6)

pytestmark = pytest.mark.e2e


SHAPE = (24, 20, 10)
MORE = 4


def _volume(seed: int = 0) -> np.ndarray:
    """Slices, rows, columns."""
    return make_volume_phantom(seed, shape=SHAPE).image.transpose(2, 1, 0)


@pytest.fixture(scope="module")
def series(orthanc: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """UID of a series by name; MR is axial, CT oblique with its slices in descending order."""
    folder = tmp_path_factory.mktemp("dicom")
    uids = {
        "MR": write_series(folder / "MR", "MR", _volume()),
        "CT": write_series(folder / "CT", "CT", _volume(), cosines=OBLIQUE, step=-2.0),
        "CR": write_picture(folder / "CR", "CR", np.zeros((60, 80), dtype=np.uint16)),
    }
    for seed in range(1, MORE + 1):
        uids[f"MR{seed}"] = write_series(folder / f"MR{seed}", "MR", _volume(seed))
    for name in uids:
        upload(orthanc, folder / name)
    return uids


@pytest.fixture(scope="module")
def volumes_server(
    start: Start, orthanc: str, series: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Server:
    task = short_task("hippocampus_mr", tmp_path_factory.mktemp("task") / "task.yaml", plane="axial", policy_options={})
    return start(f"{orthanc}/dicom-web", task=task, modality="MR,CT")


def test_only_wanted_modalities_are_listed(volumes_server: Server) -> None:
    assert volumes_server.info()["datastore"]["total"] == 2 + MORE


def test_viewer_reads_through_the_proxy_and_nothing_beside(volumes_server: Server, series: dict[str, str]) -> None:
    found = volumes_server.get("/proxy/dicom/qido/series").json()
    assert [series["MR"]] in [one["0020000E"]["Value"] for one in found]
    for path in ("..%2fsystem", "%2e%2e/system", "studies/..%2f..%2fsystem", "studies/%252e%252e/x"):
        answer = requests.get(f"{volumes_server.url}/proxy/dicom/qido/{path}", timeout=20)
        assert answer.status_code == 422, path
        assert "detail" in answer.json()
    posted = requests.post(f"{volumes_server.url}/proxy/dicom/wado/tools/execute-script", data="x", timeout=20)
    assert posted.status_code == 405


def test_next_sample_tells_ohif_where_the_study_is(volumes_server: Server, series: dict[str, str]) -> None:
    sample = Ohif(volumes_server).next_sample()
    assert sample["SeriesInstanceUID"] == sample["id"]
    assert sample["id"] in series.values()
    assert sample["StudyInstanceUID"]
    assert sample["path"].endswith(".nii.gz")
    assert "PHANTOM" not in str(sample)
    assert "PHANTOM" not in volumes_server.log.read_text()  # which has the whole answer
    assert "20200101" not in volumes_server.log.read_text()


@pytest.mark.parametrize("name", ["MR", "CT"])
def test_volumes_are_clicked_and_saved(
    volumes_server: Server, orthanc: str, series: dict[str, str], name: str, tmp_path: Path
) -> None:
    uid = series[name]
    click: dict[str, Any] = {"foreground": [[12, 10, 5]], "background": []}
    _, mask = Ohif(volumes_server).infer("medsam", uid, click)
    assert mask.shape == (24, 20, 10)  # columns, rows, slices: voxel for voxel what the viewer shows
    assert set(np.nonzero(mask)[2]) == {5}

    image = tmp_path / "image.nii.gz"
    image.write_bytes(volumes_server.get("/datastore/image", image=uid).content)
    affine = nibabel.load(image).affine
    drawn = np.zeros((24, 20, 10), dtype=np.uint8)
    drawn[3:9, 4:7, 2] = 1
    drawn[15:20, 10:12, 7] = 1
    before = volumes_server.info()["datastore"]["completed"]
    answer = Slicer(volumes_server).submit(uid, drawn, ["posterior"], affine=affine)
    assert answer.ok, answer.text
    assert volumes_server.info()["datastore"]["completed"] == before + 1  # at once

    segmentation = segmentation_of(orthanc, uid)
    assert [item.SegmentLabel for item in segmentation.SegmentSequence] == ["anterior", "posterior"]
    assert {item.SegmentAlgorithmType for item in segmentation.SegmentSequence} == {"SEMIAUTOMATIC"}
    # Only slices with voxels have frames, each at the place of its slice.
    places = [
        frame.PlanePositionSequence[0].ImagePositionPatient for frame in segmentation.PerFrameFunctionalGroupsSequence
    ]
    wanted = [(affine @ [0, 0, index, 1])[:3] * [-1, -1, 1] for index in (2, 7)]
    assert np.allclose(sorted(map(tuple, places)), sorted(map(tuple, wanted)), atol=1e-2)
    counts = sorted(int(frame.sum()) for frame in segmentation.pixel_array)
    assert counts == [10, 18]


def test_loop_through_the_client(volumes_server: Server, orthanc: str, series: dict[str, str], tmp_path: Path) -> None:
    """MONAI Label's own client class: images of the PACS are labelled, a model is trained, the last is segmented."""
    (tmp_path / "client").mkdir()
    client = MONAILabelClient(volumes_server.url, str(tmp_path / "client"), "a-person")
    seeds = {series["MR"]: 0, **{series[f"MR{seed}"]: seed for seed in range(1, MORE + 1)}}
    names = [{"name": name, "idx": value} for value, name in enumerate(("anterior", "posterior"), start=1)]
    while client.info()["datastore"]["completed"] < 4:
        sample = client.next_sample("weak_label", {})
        seed = seeds.get(sample["id"], 0)
        truth = make_volume_phantom(seed, shape=SHAPE).mask.astype(np.uint8)
        label = tmp_path / "label.nii.gz"
        nibabel.save(nibabel.Nifti1Image(truth, nibabel.load(sample["path"]).affine), label)
        client.save_label(sample["id"], str(label), params={"label_info": names})
    client.train_start("retrain", {"use_weak_labels": False})
    volumes_server.wait_for("/train/")
    last = client.next_sample("weak_label", {})["id"]
    file, params = client.infer("medsam_from_coarse", last, {"result_extension": ".nii.gz"})
    assert params["status"] in {"labelled", "nothing found"}
    assert nibabel.load(file).shape == SHAPE
    client.save_label(last, file, params={"label_info": names})
    # A person has accepted what a model made.
    assert segmentation_of(orthanc, last).SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"
