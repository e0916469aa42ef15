"""The installed command, end to end, as a user types it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from autoweak.weak_labels import Status, read_sidecar
from tests.e2e.running import autoweak, command

pytestmark = pytest.mark.e2e


@pytest.mark.slow
def test_run_then_every_other_command(phantoms: Path, short_task: Path) -> None:
    studies = phantoms / "studies"
    (studies / "broken.png").write_bytes(b"not an image")
    summary = json.loads(autoweak("run", studies, "--task", short_task, "--seed", 2, "--json", code=1))
    assert [problem["image_id"] for problem in summary["problems"]] == ["broken"]
    (studies / "broken.png").unlink()

    report = Path(summary["report"])
    page = report.read_text()
    assert page.count("data:image/jpeg") >= 5
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert json.loads((report.parent / "metrics.json").read_text())["weak_labels"] == summary["weak_labels"]

    for sidecar in (studies / "labels" / "original").glob("*.json"):
        record = read_sidecar(sidecar)
        assert record.inputs.promptable.name == "small"
        assert sidecar.with_suffix(".png").exists() == (record.status is Status.LABELLED)
    assert len(list((studies / "labels" / "original").glob("*.json"))) == 5

    status = json.loads(autoweak("status", studies, "--json"))
    assert (status["images"], status["gold"]) == (11, 6)
    assert sum(status["weak"].values()) == 5

    validation = phantoms / "validation"
    out = phantoms / "evaluation"
    evaluated = autoweak(
        "evaluate", studies, "--images", validation / "images", "--labels", validation / "labels", "--out", out
    )
    assert "gold only" in evaluated
    assert (out / "report.html").is_file()
    assert json.loads((out / "metrics.json").read_text())["arms"]["gold only"]["count"] == 4
    assert "gold only" in autoweak("evaluate", studies)

    Image.new("L", (70, 50), 0).save(validation / "images" / "nothing.png")
    masks = phantoms / "masks"
    autoweak(
        "predict", validation / "images", "--workspace", studies / ".autoweak", "--model", "coarse", "--out", masks
    )
    for image in (validation / "images").glob("*.png"):
        with Image.open(image) as picture, Image.open(masks / image.name) as mask:
            assert mask.size == picture.size
            assert set(np.unique(np.asarray(mask))) <= {0, 1}
    with Image.open(masks / "nothing.png") as mask:
        assert not np.asarray(mask).any()


def test_interrupt_leaves_nothing_half_written(phantoms: Path, short_task: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(short_task.read_text())
    content["coarse"]["epochs"] = 10000  # it must not be done before the signal comes
    long_task = tmp_path / "long.yaml"
    long_task.write_text(yaml.safe_dump(content))
    studies = phantoms / "studies"
    process = subprocess.Popen(
        command("run", studies, "--task", long_task), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (studies / ".autoweak" / "task.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    # Python ends itself by the signal if it came in an import; a shell shows 130 either way.
    assert process.returncode in (130, -signal.SIGINT), err
    assert "Traceback" not in err
    assert "the same command goes on where this one was" in err
    assert out == ""
    assert not list(phantoms.rglob(".partial-*"))
    assert json.loads(autoweak("status", studies, "--json"))["gold"] == 6


@pytest.mark.slow
def test_published_policy_makes_other_prompts(phantoms: Path, short_task: Path) -> None:
    studies = phantoms / "studies"
    autoweak("train", studies, "--task", short_task)
    autoweak("label", studies, "--policy", "s1_box_published")
    sidecars = [read_sidecar(path) for path in (studies / "labels" / "original").glob("*.json")]
    assert {sidecar.inputs.policy.name for sidecar in sidecars} == {"s1_box_published"}
    shutil.rmtree(studies / ".autoweak")
    assert len(list((studies / "labels" / "final").glob("*.png"))) == 6
