"""The trainer over REST: progress, publication, stopping, and the scoring and batch that go with it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from autoweak.loop.retrain import labelling_version
from autoweak.weak_labels import Status, read_sidecar
from autoweak.workspace import ModelKind, Workspace
from tests.server.clients import Ohif, Server, Slicer
from tests.server.conftest import GOLD, Start, phantom_studies, short_task


def _waiting(server: Server) -> int:
    """How many images have no gold label."""
    status = server.info()["datastore"]
    return int(status["total"] - status["completed"])


def test_training_ends_with_figures_that_slicer_reads(trained: Server) -> None:
    stats = trained.info()["train_stats"]["retrain"]
    assert stats["epoch"] == stats["total_epochs"]
    assert stats["total_time"] > 0
    assert 0 < stats["best_metric"] <= 1
    assert stats["model"].startswith(("coarse/", "retrained/"))
    assert stats["reason"]
    final = trained.studies / ".autoweak" / "models" / "final.json"
    assert final.is_file()


def test_scoring_tells_the_quality_of_each_weak_label(trained: Server) -> None:
    answer = trained.post("/scoring/weak_label_quality", run_sync=True).json()
    assert answer["gold"] >= GOLD
    sidecars = {path.stem: read_sidecar(path) for path in (trained.studies / "labels" / "original").glob("*.json")}
    for image_id, known in answer["images"].items():
        assert known["quality"] == sidecars[image_id].quality
    assert len(answer["images"]) == _waiting(trained)


def test_weak_labels_are_those_of_the_best_model(trained: Server) -> None:
    workspace = Workspace.existing(trained.studies)
    best = labelling_version(workspace, workspace.versions(ModelKind.COARSE)[-1])
    gold = {path.stem for path in (trained.studies / "labels" / "final").iterdir()}
    sidecars = (trained.studies / "labels" / "original").glob("*.json")
    made_with = {read_sidecar(path).inputs.coarse.version for path in sidecars if path.stem not in gold}
    assert made_with == {best.name}


def test_batch_makes_what_is_missing_and_keeps_the_rest(trained: Server) -> None:
    folder = trained.studies / "labels" / "original"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    gold = {path.stem for path in (trained.studies / "labels" / "final").iterdir()}
    weak = [path for path in folder.glob("*.json") if path.stem not in gold]
    gone = next(path for path in weak if read_sidecar(path).status is Status.LABELLED)
    gone.with_suffix(".png").unlink()
    (trained.studies / "broken.png").write_bytes(b"no picture")
    try:
        # The parameters that MONAI Label's own client sends by default, for a machine with GPUs.
        params = {"device": "cuda", "multi_gpu": True, "gpus": "all", "save_label": True, "label_tag": "original"}
        assert trained.post("/batch/infer/medsam_from_coarse", params, images="unlabeled").ok
        task = trained.wait_for("/batch/infer")
    finally:
        (trained.studies / "broken.png").unlink()
    after = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert {name for name in after if after[name] != before.get(name)} == {gone.name, f"{gone.stem}.png"}
    lines = "\n".join(task["details"])
    assert f"{_waiting(trained) + 1} / {_waiting(trained) + 1}" in lines
    assert "broken" in lines
    assert "Traceback" not in lines


def test_batch_never_saves_as_a_persons(trained: Server) -> None:
    params = {"label_tag": "final", "save_label": True}
    answer = trained.post("/batch/infer/medsam_from_coarse", params, images="unlabeled", run_sync=True)
    assert answer.status_code == 422
    assert len(list((trained.studies / "labels" / "final").iterdir())) >= GOLD
    assert trained.post("/batch/infer/coarse", {}, images="all").status_code == 422


def test_training_without_enough_gold_is_refused(volumes: Server) -> None:
    for path in ("/train/retrain", "/train/"):
        answer = volumes.post(path, {})
        assert answer.status_code == 422
        assert "at least 4" in answer.json()["detail"]


def test_stopped_training_leaves_everything_usable(start: Start, tmp_path: Path) -> None:
    studies, _ = phantom_studies(tmp_path)
    coarse = {"size": 32, "epochs": 10000, "folds": 2, "batch_size": 4, "learning_rate": 0.001}
    server = start(studies, task=short_task("breast_ultrasound", tmp_path / "long.yaml", coarse=coarse))
    assert server.post("/train/", {}).ok  # OHIF starts all trainers
    deadline = time.monotonic() + 60
    while "steps" not in str(stats := server.info()["train_stats"]["retrain"]) and time.monotonic() < deadline:
        if stats.get("stage") == "Training the coarse model" and stats["epoch"] >= 2:
            break
        time.sleep(0.3)
    assert server.get("/train/", check_if_running="true").json()["status"] == "RUNNING"
    assert stats["stage"] == "Training the coarse model"
    assert "total_time" not in stats
    assert server.post("/train/retrain", {}).status_code == 429
    import requests

    assert requests.delete(f"{server.url}/train/", timeout=20).json()["status"] == "STOPPED"
    assert list(server.info()["models"]) == ["medsam"]
    volume, _ = Slicer(server).infer("medsam", "ultrasound_000", {"foreground": [], "background": []})
    assert volume.any()
    assert Ohif(server).next_sample()["id"]
    assert not list((studies / "labels").rglob(".partial-*"))


_TRAINING = """
import itertools, sys, time
from pathlib import Path
from autoweak.errors import AutoweakError
from autoweak.server.trainer import StatsProgress
progress = StatsProgress(Path(sys.argv[1]), parts={"Training the coarse model": 1})
try:
    progress.stage("Training the coarse model")
    for step in itertools.count():
        progress.update(step, 10**9, "a step")
        time.sleep(0.02)
except AutoweakError as error:
    progress.end(error=str(error))
"""
_SERVER = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]])
while not os.path.exists(sys.argv[2]):
    time.sleep(0.02)
os._exit(0)
"""


def test_a_training_ends_soon_after_its_server(tmp_path: Path) -> None:
    stats = tmp_path / "training.json"
    subprocess.run([sys.executable, "-c", _SERVER, _TRAINING, str(stats)], check=True, timeout=60)
    deadline = time.monotonic() + 20
    while "error" not in (told := json.loads(stats.read_text())):
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    assert "server has ended" in told["error"]
