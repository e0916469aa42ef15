"""The loop through MONAI Label's own client class: next image, weak label, correction, training, better model."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from monailabel.client import MONAILabelClient
from PIL import Image

from autoweak.phantoms.demo import make_phantom
from autoweak.phantoms.volume import make_volume_phantom, write_volume_phantom
from tests.server.clients import Server
from tests.server.conftest import Start, short_task
from tests.server.dicom import write_series


@pytest.fixture
def client(tmp_path: Path) -> MONAILabelClient:
    (tmp_path / "client").mkdir()
    return MONAILabelClient("http://unset", str(tmp_path / "client"), "a-person")


@pytest.mark.slow
def test_loop_on_volumes(start: Start, client: MONAILabelClient, tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    truth = {}
    for seed in range(6):
        phantom = make_volume_phantom(seed, shape=(28, 26, 12))
        truth[f"volume{seed}"] = phantom.mask
        write_volume_phantom(phantom, studies / f"volume{seed}.nii.gz")
    task = short_task("ct_spleen", tmp_path / "task.yaml", intensity={"kind": "percentile"})
    server = start(studies, task=task)
    client.set_server_url(server.url)
    assert "no coarse model" in client.info()["description"]
    affines = {}
    for _ in range(4):
        sample = client.next_sample("weak_label", {})
        affines[sample["id"]] = nibabel.load(sample["path"]).affine
        label = tmp_path / f"{sample['id']}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(truth[sample["id"]], affines[sample["id"]]), label)
        client.save_label(sample["id"], str(label), params={"label_info": [{"name": "spleen", "idx": 1}]})
    assert client.info()["datastore"]["completed"] == 4
    client.train_start("retrain", {})
    server.wait_for("/train/")
    info = client.info()
    assert next(iter(info["models"])) == "medsam_from_coarse"
    sample = client.next_sample("weak_label", {})
    file, params = client.infer("medsam_from_coarse", sample["id"], {"result_extension": ".nii.gz"})
    weak = nibabel.load(file)
    assert weak.shape == truth[sample["id"]].shape
    assert np.array_equal(weak.affine, nibabel.load(sample["path"]).affine)
    assert params["status"] in {"labelled", "nothing found"}
    preloaded = client.datastore()["objects"][sample["id"]]["labels"]
    if "original" in preloaded:
        original = nibabel.load(client.download_label(sample["id"], "original"))
        assert np.array_equal(np.asarray(original.dataobj), np.asarray(weak.dataobj))


def test_loop_on_pictures(trained: Server, client: MONAILabelClient, tmp_path: Path) -> None:
    """The next rounds on a folder of PNG: an image comes, its weak label is corrected and saved, the queue goes on."""
    client.set_server_url(trained.url)
    phantom = make_phantom("ultrasound", seed=99, size=(96, 128))
    Image.fromarray(phantom.image).save(tmp_path / "fromclient.png")
    assert client.upload_image(str(tmp_path / "fromclient.png"), "fromclient")["image"] == "fromclient"
    sample = client.next_sample("weak_label", {})
    assert Image.open(sample["path"]).size == (128, 96)
    file, params = client.infer("medsam_from_coarse", "fromclient", {"result_extension": ".nii.gz"})
    assert params["status"] in {"labelled", "nothing found"}
    assert nibabel.load(file).shape == (128, 96, 1)
    before = client.info()["datastore"]["completed"]
    for mask in (phantom.mask, np.flipud(phantom.mask)):  # saved, and corrected once more
        Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "label.png")
        client.save_label("fromclient", str(tmp_path / "label.png"), params={"label_info": []})
        assert client.info()["datastore"]["completed"] == before + 1
        shown = nibabel.load(client.download_label("fromclient", "final"))
        assert np.array_equal(np.asarray(shown.dataobj)[..., 0].T > 0, mask > 0)
    assert client.next_sample("weak_label", {})["id"] != "fromclient"


def test_local_dicom_folder(start: Start, client: MONAILabelClient, tmp_path: Path) -> None:
    phantom = make_volume_phantom(1, shape=(24, 20, 10))
    oblique = (0.8, 0.6, 0.0, -0.48, 0.64, 0.6)
    write_series(tmp_path / "studies" / "scan", "CT", phantom.image.transpose(2, 1, 0), cosines=oblique, step=-2.0)
    task = short_task("ct_spleen", tmp_path / "task.yaml", intensity={"kind": "percentile"})
    server: Server = start(tmp_path / "studies", task=task)
    client.set_server_url(server.url)
    sample = client.next_sample("random", {})
    assert sample["id"] == "scan"
    volume = nibabel.load(sample["path"])
    assert volume.shape == (24, 20, 10)
    i, j, k = (int(np.median(axis)) for axis in np.nonzero(np.asarray(volume.dataobj) > 350))
    clicked = {"label": "spleen", "foreground": [[i, j, k]], "background": [], "result_extension": ".nii.gz"}
    file, _ = client.infer("medsam", "scan", clicked)
    mask = nibabel.load(file)
    assert np.array_equal(mask.affine, volume.affine)
    assert np.asarray(mask.dataobj)[i, j, k] == 1
    client.save_label("scan", file, params={"label_info": [{"name": "spleen", "idx": 1}]})
    saved = nibabel.load(tmp_path / "studies" / "labels" / "final" / "scan.nii.gz")
    assert np.array_equal(np.asarray(saved.dataobj), np.asarray(mask.dataobj))
