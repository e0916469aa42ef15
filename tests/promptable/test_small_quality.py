"""The weights that come with the program, on real images that they were never trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scripts import evaluate_promptable as evaluate

from autoweak.promptable.model import Promptable, load_promptable
from autoweak.promptable.registry import get_entry


@pytest.fixture(scope="module")
def small_model() -> Promptable:
    return load_promptable("small")


def measured(model: Promptable, folder: Path, *, components: bool = False, every: int = 1) -> evaluate.Measured:
    """Prompts of the truth, each side of a box moved by up to 5 %, on every so many cases of a folder."""
    result, rng = evaluate.Measured(), np.random.default_rng(0)
    for index, (image, objects) in enumerate(evaluate.read_cases(folder, components=components, axis=2)):
        if index % every == 0:
            evaluate.measure(model, image, objects, shift=0.05, rng=rng, into=result)
    return result


# What the model card says, less what a few images more or less, or another machine, may change.
@pytest.mark.parametrize(
    ("folder", "components", "every", "box", "point"),
    [
        ("breast_ultrasound/gold", False, 1, 0.89, 0.55),
        ("skin_lesion/gold", False, 1, 0.92, 0.7),
        ("chest_xray/gold", True, 2, 0.88, 0.7),
        ("hippocampus_mr/gold", False, 6, 0.79, 0.5),
    ],
)
def test_dice_on_real_images(
    small_model: Promptable, data_dir: Path, folder: str, components: bool, every: int, box: float, point: float
) -> None:
    dice = measured(small_model, data_dir / folder, components=components, every=every).dice
    means = {kind: float(np.mean(values)) for kind, values in dice.items()}
    assert means["box"] >= box
    assert means["box"] > means["ellipse"] - 0.01
    assert means["box + point"] >= box
    assert means["box + own mask"] >= means["box"] - 0.01
    assert means["point"] >= point


def test_predicted_iou_ranks_masks(small_model: Promptable, data_dir: Path) -> None:
    guessed, true = [], []
    for folder in ("breast_ultrasound/gold", "skin_lesion/gold"):
        result = measured(small_model, data_dir / folder)
        guessed += result.guessed
        true += [each / (2 - each) for each in result.dice["box"]]
    assert stats.spearmanr(guessed, true).statistic >= 0.6


def test_weights_are_small_enough_to_travel() -> None:
    path = get_entry("small").bundled
    assert path is not None
    assert path.stat().st_size <= 10_000_000
