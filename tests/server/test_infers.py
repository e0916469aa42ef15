"""The automatic models: masks in the image's own size and place, weak labels made once."""

from __future__ import annotations

import json

import numpy as np
import pytest

from autoweak.weak_labels import read_sidecar
from tests.server.clients import Ohif, Server, Slicer
from tests.server.conftest import GOLD, UNLABELLED

IMAGE = "ultrasound_008"


def test_best_automatic_model_comes_first(trained: Server) -> None:
    info = trained.info()
    assert list(info["models"]) == ["medsam_from_coarse", "coarse", "medsam"]
    assert [model["type"] for model in info["models"].values()] == ["segmentation", "segmentation", "deepgrow"]
    assert "no coarse model" not in info["description"]


@pytest.mark.parametrize("model", ["medsam_from_coarse", "coarse"])
def test_both_clients_get_the_same_mask(trained: Server, model: str) -> None:
    slicer, params = Slicer(trained).infer(model, IMAGE)
    header, ohif = Ohif(trained).infer(model, IMAGE)
    assert slicer.shape == (128, 96, 1)  # columns, rows, one slice, as ITK reads a PNG
    assert np.array_equal(slicer, ohif)
    assert header["space directions"] == "(1.0,0.0,0.0) (0.0,1.0,0.0) (0.0,0.0,1.0)"
    assert set(np.unique(slicer)) <= {0, 1}
    assert params["label_names"] == ({"lesion": 1} if slicer.any() else {})


def test_fresh_weak_label_is_returned_and_not_made_again(trained: Server) -> None:
    folder = trained.studies / "labels" / "original"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len([name for name in before if name.startswith("ultrasound_") and name.endswith(".json")]) == UNLABELLED
    volume, params = Slicer(trained).infer("medsam_from_coarse", IMAGE)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    sidecar = read_sidecar(folder / f"{IMAGE}.json")
    assert params["quality"] == sidecar.quality
    assert volume.any() == (sidecar.mask is not None)


def test_weak_label_whose_mask_is_gone_is_made_again(trained: Server) -> None:
    folder = trained.studies / "labels" / "original"
    path = next(folder.glob("*.png"))
    content = path.read_bytes()
    path.unlink()
    volume, _ = Slicer(trained).infer("medsam_from_coarse", path.stem)
    assert volume.any()
    assert path.read_bytes() == content


def test_original_label_is_preloaded_with_its_names(trained: Server) -> None:
    path = next((trained.studies / "labels" / "original").glob("*.png"))
    store = trained.get("/datastore/", output="all").json()
    known = store["objects"][path.stem]["labels"]["original"]["info"]
    assert list(known["params"]["label_names"].keys()) == ["lesion"]
    assert known["verdict"] in {"accept", "review", "reject"}
    answer = trained.get("/datastore/label", label=path.stem, tag="original")
    assert answer.headers["content-disposition"].endswith('.nii.gz"')
    assert store["objects"]["ultrasound_000"]["labels"].keys() == {"final"}
    assert trained.info()["datastore"]["label_tags"]["final"] >= GOLD


def test_json_alone(trained: Server) -> None:
    answer = trained.post("/infer/coarse", image=IMAGE, output="json")
    assert answer.ok
    assert answer.json()["version"].startswith(("coarse/", "retrained/"))


def test_default_is_the_images_own_format(trained: Server) -> None:
    answer = trained.post("/infer/coarse", image=IMAGE, output="image")
    assert answer.content.startswith(b"\x89PNG")


def test_wrong_extension_is_refused(trained: Server) -> None:
    answer = Slicer(trained).raw("coarse", IMAGE, {"result_extension": ".exe"})
    assert answer.status_code == 422
    assert ".nrrd" in json.loads(answer.text)["detail"]
