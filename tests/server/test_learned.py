"""Learned prompts over REST: the trainer, and the model that appears when it has done its work."""

from __future__ import annotations

import time

import numpy as np
import pytest
import requests

from autoweak.server.learned import ASKED_FILE
from tests.server.clients import Ohif, Server, Slicer
from tests.server.conftest import GOLD, Start, phantom_studies

IMAGE = "ultrasound_008"


@pytest.fixture(scope="module")
def learned(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server whose prompts are learned through REST, and of which no other model is trained."""
    studies, task = phantom_studies(tmp_path_factory.mktemp("learned"))
    (studies / "boxes.csv").write_text("image_id,label,x0,y0,x1,y1\nultrasound_010,lesion,20,20,70,60\n")
    server = start(studies, task=task)
    assert list(server.info()["models"]) == ["medsam"]
    assert server.post("/train/prompt_learner", {"max_epochs": 2}).ok
    server.wait_for("/train/")
    return server


def test_training_ends_with_figures_that_slicer_reads(learned: Server) -> None:
    stats = learned.info()["train_stats"]["prompt_learner"]

    assert stats["epoch"] == stats["total_epochs"]
    assert stats["total_time"] > 0
    assert 0 <= stats["best_metric"] <= 1
    assert stats["model"] == "learned/v001"
    assert (stats["gold"], stats["boxed"]) == (GOLD, 1)
    assert not (learned.studies / ".autoweak" / "models" / "final.json").exists()


def test_the_model_appears_and_both_clients_get_the_same_mask(learned: Server) -> None:
    models = learned.info()["models"]
    slicer, params = Slicer(learned).infer("medsam_learned", IMAGE)
    _, ohif = Ohif(learned).infer("medsam_learned", IMAGE)

    assert list(models) == ["medsam", "medsam_learned"]
    assert models["medsam_learned"]["type"] == "segmentation"
    assert slicer.shape == (128, 96, 1)
    assert np.array_equal(slicer, ohif)
    assert set(np.unique(slicer)) <= {0, 1}
    assert params["version"] == "learned/v001"
    assert params["promptable"] == "small"


def test_an_image_is_encoded_once(learned: Server) -> None:
    Slicer(learned).infer("medsam_learned", IMAGE)
    folder = learned.studies / ".autoweak" / "embeddings"
    before = {path.name for path in folder.glob("*.safetensors")}

    Slicer(learned).infer("medsam_learned", IMAGE)

    assert {path.name for path in folder.glob("*.safetensors")} == before


def test_a_number_of_epochs_that_is_none_ends_with_a_sentence(learned: Server) -> None:
    assert learned.post("/train/prompt_learner", {"max_epochs": "many"}).ok
    with pytest.raises(AssertionError, match="max_epochs must be a whole number"):
        learned.wait_for("/train/")
    assert "max_epochs" in learned.info()["train_stats"]["prompt_learner"]["error"]
    assert list(learned.info()["models"]) == ["medsam", "medsam_learned"]


def test_a_box_that_does_not_fit_is_refused_before_it_is_trained_on(learned: Server) -> None:
    path = learned.studies / "boxes.csv"
    content = path.read_text()
    path.write_text(content.replace("lesion", "cyst"))
    try:
        answer = learned.post("/train/prompt_learner", {})
    finally:
        path.write_text(content)

    assert answer.status_code == 422
    assert "there is no label 'cyst'" in answer.json()["detail"]


def test_before_training_the_model_says_what_to_do(fresh: Server) -> None:
    answer = Slicer(fresh).raw("medsam_learned", "ultrasound_007", {})

    assert answer.status_code == 422
    assert "start the training `prompt_learner`" in answer.json()["detail"]


def test_training_without_enough_gold_is_refused(volumes: Server) -> None:
    answer = volumes.post("/train/prompt_learner", {})

    assert answer.status_code == 422
    assert "at least 4" in answer.json()["detail"]


def test_a_stopped_training_leaves_the_last_good_model(learned: Server) -> None:
    assert learned.post("/train/prompt_learner", {"max_epochs": 10000}).ok
    deadline = time.monotonic() + 120
    while learned.info()["train_stats"]["prompt_learner"].get("stage") != "Learning prompts":
        assert time.monotonic() < deadline
        time.sleep(0.3)
    assert learned.post("/train/prompt_learner", {}).status_code == 429
    assert requests.delete(f"{learned.url}/train/", timeout=20).json()["status"] == "STOPPED"

    # OHIF starts all trainers one after the other: what waits behind the one that is stopped must not begin.
    assert not (learned.studies / ".autoweak" / ASKED_FILE).exists()
    volume, params = Slicer(learned).infer("medsam_learned", IMAGE)
    assert params["version"] == "learned/v001"
    assert set(np.unique(volume)) <= {0, 1}
    assert [path.name for path in (learned.studies / ".autoweak" / "models" / "learned").iterdir()] == ["v001"]
