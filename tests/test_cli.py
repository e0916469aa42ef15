"""The command line: exit codes, one sentence for a mistake, JSON alone when asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from autoweak import cli
from autoweak.commands import COMMANDS
from autoweak.errors import StudiesError


def _studies(folder: Path, *, images: int = 2) -> Path:
    folder.mkdir(exist_ok=True)
    for index in range(images):
        Image.new("L", (32, 24), index).save(folder / f"image{index}.png")
    return folder


def _sentence(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if line.startswith("autoweak: ")]
    assert len(lines) == 1
    assert "Traceback" not in captured.err
    return lines[0]


@pytest.mark.parametrize("command", ["run", "train", "label"])
def test_missing_task_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert cli.main([command, str(_studies(tmp_path))]) == 2
    assert "--task" in _sentence(capsys)


def test_unknown_task_names_the_known_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", str(_studies(tmp_path)), "--task", "breast_ultrasuond"]) == 2
    assert "breast_ultrasound" in _sentence(capsys)


def test_missing_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", str(tmp_path / "nowhere"), "--task", "breast_ultrasound"]) == 2
    assert "nowhere" in _sentence(capsys)
    assert not (tmp_path / "nowhere").exists()


def test_no_gold_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", str(_studies(tmp_path)), "--task", "breast_ultrasound"]) == 2
    assert "0 readable gold labels" in _sentence(capsys)
    assert not (tmp_path / ".autoweak").exists()


def test_negative_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", str(_studies(tmp_path)), "--task", "breast_ultrasound", "--seed", "-1"]) == 2
    assert "--seed" in _sentence(capsys)


def test_unknown_policy_names_the_known_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", str(_studies(tmp_path)), "--task", "breast_ultrasound", "--policy", "magic"]
    assert cli.main(arguments) == 2
    assert "s1_box_published" in _sentence(capsys)


def test_unknown_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", str(_studies(tmp_path)), "--task", "breast_ultrasound", "--device", "warp"]) == 2
    assert "There is no device 'warp'" in _sentence(capsys)


def test_predict_without_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", str(_studies(tmp_path)), "--out", str(tmp_path / "out")]) == 2
    assert "No workspace" in _sentence(capsys)
    assert not (tmp_path / "out").exists()


def test_label_without_coarse_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["label", str(_studies(tmp_path)), "--task", "breast_ultrasound"]) == 2
    assert "autoweak train" in _sentence(capsys)


def test_status_as_table_and_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    studies = _studies(tmp_path, images=3)
    assert cli.main(["status", str(studies)]) == 0
    assert "not labelled at all         3" in capsys.readouterr().out
    assert cli.main(["status", str(studies), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["images"], status["gold"], status["unlabelled"]) == (3, 0, 3)
    assert sorted(path.name for path in studies.iterdir()) == ["image0.png", "image1.png", "image2.png"]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (StudiesError("No images."), 2, "autoweak: No images.\n"),
        (KeyboardInterrupt(), 130, "autoweak: Stopped. Nothing is half-written: the same command goes on where"),
        (OSError(28, "No space left on device", "mask.png"), 2, "autoweak: The system refused: No space left on"),
    ],
)
def test_errors_become_sentences(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setitem(COMMANDS, "status", fail)
    assert cli.main(["status", "x"]) == code
    assert capsys.readouterr().err.startswith(said)


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    parser = cli.build_parser()
    subparsers = next(action for action in parser._actions if hasattr(action, "choices") and action.choices)
    assert isinstance(subparsers.choices, dict)
    assert set(subparsers.choices) == set(COMMANDS)
    for command in subparsers.choices.values():
        assert all(action.help for action in command._actions)


@pytest.mark.e2e
def test_command_starts_without_heavy_imports() -> None:
    code = "import sys, autoweak.cli as c; c.build_parser(); print([m for m in ('torch', 'monai') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
