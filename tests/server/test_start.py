"""Starting: settings are checked, nothing is downloaded, nothing has to be trained."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from autoweak.errors import AutoweakError
from autoweak.server.live import Live
from autoweak.server.settings import SettingsError, parse_settings
from tests.server.clients import Server, Slicer
from tests.server.conftest import GOLD, UNLABELLED, phantom_studies, server_command


def test_unknown_setting_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"'promtable'.*task.*promptable.*checkpoint.*policy.*seed"):
        parse_settings({"promtable": "small"})


@pytest.mark.parametrize(
    ("key", "value"), [("seed", "-1"), ("seed", "one"), ("lease_minutes", "0"), ("max_upload_mb", "x")]
)
def test_wrong_value_is_refused_with_its_meaning(key: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{key} cannot be '{value}'.*it is: "):
        parse_settings({key: value})


def test_text_becomes_what_it_means() -> None:
    settings = parse_settings({"seed": "3", "lease_minutes": "0.5", "checkpoint": "a.pth", "server_mode": "true"})
    assert (settings.seed, settings.lease_minutes, settings.checkpoint) == (3, 0.5, Path("a.pth"))


@pytest.mark.parametrize(
    ("conf", "said"),
    [({"task": "breast"}, "breast_ultrasound"), ({"promptable": "medsam"}, "medsam_vit_b.pth"), ({"policy": "x"}, "x")],
)
def test_what_cannot_work_is_refused_at_once(tmp_path: Path, conf: dict[str, str], said: str) -> None:
    with pytest.raises(AutoweakError, match=said):
        Live(tmp_path, parse_settings({"task": "breast_ultrasound", **conf}))


def test_studies_without_a_task_ask_for_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--conf task"):
        Live(tmp_path, parse_settings({}))


def test_server_ends_with_one_sentence(tmp_path: Path) -> None:
    studies, task = phantom_studies(tmp_path)
    command = server_command(studies, 1, {"task": task, "taks": "x"})
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    output = ended.stdout + ended.stderr
    assert ended.returncode != 0
    assert "There is no setting 'taks'" in output
    assert "Traceback" not in output


def test_before_training_it_says_what_is_missing(fresh: Server) -> None:
    info = fresh.info()
    assert "no coarse model yet" in info["description"]
    assert list(info["models"]) == ["medsam"]
    assert info["models"]["medsam"]["type"] == "deepgrow"
    assert info["models"]["medsam"]["labels"] == {"lesion": 1}
    assert info["datastore"]["total"] >= GOLD + UNLABELLED
    assert info["datastore"]["completed"] >= GOLD
    assert isinstance(info["train_stats"]["retrain"]["best_metric"], float)


@pytest.mark.parametrize("model", ["coarse", "medsam_from_coarse"])
def test_before_training_models_say_what_to_do(fresh: Server, model: str) -> None:
    answer = Slicer(fresh).raw(model, "ultrasound_007", {})
    assert answer.status_code == 422
    assert "save labels of at least 4 images" in answer.json()["detail"]
