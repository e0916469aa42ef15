"""A run that is killed at any moment goes on, and ends with the masks of an undisturbed one."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from autoweak.weak_labels import read_sidecar
from tests.e2e.running import autoweak, command

pytestmark = pytest.mark.e2e


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.png"))}


def _start_over(studies: Path) -> None:
    shutil.rmtree(studies / ".autoweak")
    shutil.rmtree(studies / "labels" / "original", ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kills", [10], ids=["ten-times"])
def test_killed_run_ends_like_an_undisturbed_one(phantoms: Path, short_task: Path, kills: int) -> None:
    studies, disturbed = phantoms / "studies", phantoms / "disturbed"
    shutil.copytree(studies, disturbed)
    started = time.monotonic()
    autoweak("run", studies, "--task", short_task)
    undisturbed_seconds = time.monotonic() - started
    gold = _hashes(studies / "labels" / "final")

    moments = random.Random(kills)
    for _ in range(kills):
        process = subprocess.Popen(
            command("run", disturbed, "--task", short_task), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(timeout=moments.uniform(0.2, 1.0) * undisturbed_seconds)
            _start_over(disturbed)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # Whatever the moment, gold is whole.
        assert _hashes(disturbed / "labels" / "final") == gold

    autoweak("run", disturbed, "--task", short_task)
    assert _hashes(disturbed / "labels" / "original") == _hashes(studies / "labels" / "original")
    assert _hashes(disturbed / "labels" / "final") == gold
    assert not list((disturbed / "labels").rglob(".partial-*"))
    for sidecar in (disturbed / "labels" / "original").glob("*.json"):
        read_sidecar(sidecar)
    assert len(list((disturbed / "labels" / "original").glob("*.json"))) == 5

    for folder in (studies, disturbed):
        autoweak("predict", phantoms / "validation" / "images", "--workspace", folder, "--out", folder / "masks")
    assert _hashes(disturbed / "masks") == _hashes(studies / "masks")
