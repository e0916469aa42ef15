"""`autoweak experiment` as it is called: exit codes, what it prints, and that it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from autoweak.cli import main
from tests.experiments.conftest import toy_task

TASK = toy_task().model_dump(mode="json", exclude_none=True)


@pytest.fixture
def file(data: Path) -> Path:
    """An experiment file beside the data and its task."""
    (data / "toy.yaml").write_text(yaml.safe_dump(TASK))
    content = {
        "name": "small",
        "task": "toy.yaml",
        "data": {key: key for key in ("studies", "truth", "images", "labels")},
        "arms": ["s3_refined"],
        "gold": 4,
        "seeds": [0, 1],
    }
    path = data / "small.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.usefixtures("obedient")
def test_an_experiment_ends_in_a_table_a_report_and_metrics(
    file: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["experiment", str(file)]) == 0
    out, said = capsys.readouterr()
    assert "Plan: 4 cells, 0 done already; to train: coarse models 2, others at most 0" in said
    assert "above the ground" in out
    assert "s3_refined" in out
    folder = data / "studies" / ".autoweak" / "experiments" / "reports" / "small"
    assert f"Report: {folder / 'report.html'}" in out
    assert main(["experiment", str(file), "--json", "--seed", "1", "--out", str(data / "one")]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["experiment"]["seeds"] == [1]
    assert f"--out {data / 'one'} --seed 1" in content["provenance"]["command"]
    assert json.loads((data / "one" / "metrics.json").read_text()) == {
        key: value for key, value in content.items() if key != "report"
    }


@pytest.mark.usefixtures("obedient")
def test_an_unreadable_image_is_listed_and_the_rest_is_done(
    file: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "images" / "disc21.png").write_bytes(b"no picture")
    assert main(["experiment", str(file), "--seed", "0"]) == 1
    assert "not done: disc21" in capsys.readouterr().err


@pytest.mark.usefixtures("obedient")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--seed", "-1"], "--seed must be 0 or more"),
        (["--studies", "nowhere"], "The studies folder nowhere does not exist"),
        (["--labels", "{data}/aside"], "No image of"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    file: Path, data: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    filled = [argument.format(data=data) for argument in arguments]
    assert main(["experiment", str(file), *filled]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("autoweak: ")]
    assert len(said) == 1
    assert sentence in said[0]
