"""`python -m monai.bundle run` in processes of its own, from folders that have nothing to do with the bundle."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from autoweak.loop.predict import predict
from autoweak.workspace import ModelChoice
from tests.bundles.conftest import BUNDLES, Copy, Trained, mask_in, write_studies
from tests.bundles.test_export import _export


def _run(bundle: Path, *configs: str, cwd: Path, launcher: tuple[str, ...] = (), **overrides: object):
    files = ",".join(f"'{bundle / 'configs' / f'{name}.json'}'" for name in configs)
    settings = [word for key, value in overrides.items() for word in (f"--{key}", str(value))]
    program = launcher or (sys.executable,)
    return subprocess.run(
        [*program, "-m", "monai.bundle", "run", "--config_file", f"[{files}]", *settings],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
def test_exported_model_in_a_fresh_process_gives_the_app_s_masks(
    trained: Callable[[str], Trained], tmp_path: Path
) -> None:
    made = trained("colour")
    bundle = _export(made, tmp_path / "some where" / "model", "final")
    (elsewhere := tmp_path / "elsewhere").mkdir()
    out = tmp_path / "masks"
    ended = _run(bundle, "inference", cwd=elsewhere, dataset_dir=made.studies, output_dir=out)
    assert ended.returncode == 0, ended.stderr
    workspace = made.context().workspace
    predict(made.studies, tmp_path / "own", workspace=workspace, task=made.task, choice=ModelChoice.FINAL)
    own = {path.name: mask_in(path) for path in (tmp_path / "own").iterdir()}
    assert all(np.array_equal(mask, mask_in(out / name)) for name, mask in own.items())
    assert list(elsewhere.iterdir()) == []


@pytest.mark.slow
def test_a_mistake_is_one_sentence_and_a_non_zero_exit_code(copy_of: Copy, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ended = _run(copy_of("coarse_segmentation"), "inference", cwd=tmp_path, dataset_dir=tmp_path / "empty")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("autoweak: There are no images in")
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", BUNDLES)
def test_two_processes_train_one_network(name: str, copy_of: Copy, tmp_path: Path) -> None:
    bundle = copy_of(name)
    studies = write_studies(tmp_path / "studies", "grey", gold=6, images=6)
    before = torch.load(bundle / "models" / "model.pt", weights_only=True)
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    ended = _run(
        bundle,
        "train",
        "multi_gpu_train",
        cwd=tmp_path,
        launcher=launcher,
        dataset_dir=studies,
        max_epochs=2,
        val_interval=1,
        batch_size=2,
        device="cpu",
        **{"train#handlers#1#exec_at_start": False},  # else the start weights may stay the best
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    after = torch.load(bundle / "models" / "model.pt", weights_only=True)
    assert after.keys() == before.keys()
    assert any(not torch.equal(after[key].float(), before[key].float()) for key in after)


@pytest.mark.slow
@pytest.mark.parametrize("name", BUNDLES)
def test_trains_and_evaluates(name: str, copy_of: Copy, tmp_path: Path) -> None:
    bundle = copy_of(name)
    studies = write_studies(tmp_path / "studies", "grey", gold=4, images=4)
    trained = _run(bundle, "train", cwd=tmp_path, dataset_dir=studies, max_epochs=1, val_interval=1)
    assert trained.returncode == 0, trained.stderr[-3000:]
    out = tmp_path / "metrics"
    measured = _run(bundle, "inference", "evaluate", cwd=tmp_path, dataset_dir=studies, output_dir=out)
    assert measured.returncode == 0, measured.stderr[-3000:]
    assert "mean_dice" in (out / "metrics.csv").read_text()
