"""The arm that learns prompts: real modules behind the real small model, for two epochs on six discs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoweak.errors import ExperimentError
from autoweak.experiments import run as run_module
from autoweak.experiments.arms import Role, check_arms
from autoweak.experiments.arms.s4 import recipe_of
from autoweak.experiments.cells import load_masks
from autoweak.experiments.results import rows_of
from autoweak.experiments.run import run_cells
from autoweak.experiments.spec import ArmEntry, Experiment
from autoweak.tasks import Task
from autoweak.training import prompt_recipe
from autoweak.training.prompt_recipe import BoxTerms, PromptRecipe
from tests.experiments.test_run_experiment import plan_of, run_of

SHORT = PromptRecipe(epochs=8, modules={"num_points": 1, "centre_channels": 16, "pool": 8}, terms=BoxTerms(side=64))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_recipe, "PROMPT_RECIPE", SHORT)


@pytest.mark.usefixtures("short")
def test_learned_prompts_and_each_term_left_out_give_masks_dice_iou_and_hd95(data: Path, task: Task) -> None:
    (data / "studies" / "boxes.csv").write_text(
        "image_id,label,x0,y0,x1,y1\ndisc8,disc,1,2,3,4\n"
    )  # more than others have
    arms = [
        "s4_learned",
        {"arm": "s4_learned", "title": "without emptiness", "losses": ["tightness", "size"]},
        {"arm": "s4_learned", "title": "without size", "losses": ["emptiness", "tightness"]},
    ]
    results = run_of(data, task, arms=arms, gold=[4], weak=[0], ground=False, hd95=True)
    assert results.failed == ()
    rows = {row.name: row for row in rows_of(results)}
    assert set(rows) == {"s4_learned", "without emptiness", "without size"}
    assert all(0 <= row.iou <= row.summary.mean <= 1 for row in rows.values())
    assert rows["without emptiness"].hd95 is not None
    masks = [
        load_masks(results.plan.workspace.root, result.key, ["disc20", "disc21", "disc22"])
        for result in results.results
    ]
    assert all(len(one) == 3 for one in masks)
    # Without what keeps the outside empty the object spreads; without the bounds on its size it does not grow.
    spread = [np.mean([mask.mean() for mask in one.values()]) for one in masks]
    assert spread[1] > spread[0]
    assert spread[1] > spread[2]
    versions = results.plan.workspace.root / "models" / "learned"
    records = [json.loads(path.read_text()) for path in versions.glob("*/record.json")]
    assert [record["boxed"] for record in records] == [0, 0, 0]
    assert [record["cv_dice"] for record in records] == [{}, {}, {}]  # what is evaluated on judges, not gold held out


def test_options_leave_terms_on(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = PromptRecipe().terms
    assert recipe_of(ArmEntry(arm="s4_learned")).terms == whole
    alone = recipe_of(ArmEntry(arm="s4_learned", losses=("size",))).terms
    assert (alone.emptiness, alone.tightness, alone.size) == (0, 0, whole.size)
    published = recipe_of(ArmEntry(arm="s4_learned", published=True)).terms
    assert (published.emptiness, published.tightness, published.size) == (1.0, 1e-4, 0.01)
    assert published.size_everywhere
    both = recipe_of(ArmEntry(arm="s4_learned", published=True, losses=("emptiness",))).terms
    assert (both.emptiness, both.size) == (1.0, 0.0)


@pytest.mark.usefixtures("short")
def test_the_ground_of_learned_prompts_is_the_ellipse_in_their_boxes(
    data: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autoweak.experiments.arms import members

    seen: list[Any] = []
    real = members.train_fold
    monkeypatch.setattr(members, "train_fold", lambda samples, *a, **k: seen.append(samples) or real(samples, *a, **k))
    plan = plan_of(data, task, arms=["s4_learned"], weak=[0])
    assert [entry.name for entry in plan.entries] == ["gold_only", "s4_learned", "s4_ellipse"]
    results = run_cells(plan)
    assert results.failed == ()
    assert [row.role for row in rows_of(results)] == [Role.REFERENCE, Role.METHOD, Role.GROUND]
    samples = [gold.sample() for gold in run_module.bench_of(plan, plan.cells()[0], plan.context.progress).gold]
    truth = {sample.image_id: sample.mask for sample in samples}
    assert len(seen) == task.coarse.folds
    for sample in seen[0]:
        rows, columns = np.nonzero(truth[sample.image_id][0])
        found_rows, found_columns = np.nonzero(sample.mask[0])
        assert (found_rows.min(), found_rows.max()) == (rows.min(), rows.max())
        assert (found_columns.min(), found_columns.max()) == (columns.min(), columns.max())
    others = plan_of(data, task, arms=["s1_box"])
    assert "s4_ellipse" not in [entry.name for entry in others.entries]


@pytest.mark.usefixtures("obedient")
def test_another_recipe_is_another_cell(data: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    from autoweak.experiments.run import bench_of

    def key() -> str:
        plan = plan_of(data, task, arms=["s4_learned"], weak=[0], ground=False)
        return bench_of(plan, plan.cells()[0], plan.context.progress).key

    first = key()
    assert key() == first
    monkeypatch.setattr(prompt_recipe, "PROMPT_RECIPE", replace(SHORT, epochs=3))
    assert key() != first


@pytest.mark.usefixtures("obedient")
def test_each_subset_of_the_gold_is_learned_from_with_each_seed(data: Path, task: Task) -> None:
    results = run_of(data, task, arms=["s3_refined"], weak=[0], subsets=[0, 1], seeds=[0, 1, 2], ground=False)
    (row,) = rows_of(results)
    assert list(row.seeds) == ["0/0", "0/1", "0/2", "1/0", "1/1", "1/2"]
    assert row.deviation is not None
    plan = results.plan
    drawn = [tuple(known.image_id for known in plan.draw(cell).gold) for cell in plan.cells()]
    assert drawn == [drawn[0]] * 3 + [drawn[3]] * 3
    assert drawn[0] != drawn[3]
    assert str(plan.cells()[4]) == "s3_refined, 4 gold + 0 weak, subset 1, seed 1"


@pytest.mark.parametrize("losses", [[], ["emptiness", "emptiness"], ["area"]])
def test_no_term_one_twice_and_an_unknown_one_are_refused(losses: list[str]) -> None:
    with pytest.raises(ValueError, match="losses"):
        ArmEntry(arm="s4_learned", losses=losses)


def test_other_arms_take_no_losses(task: Task) -> None:
    experiment = Experiment(name="toy", task="toy", gold=[4], weak=[2], arms=[{"arm": "s1_box", "losses": ["size"]}])
    with pytest.raises(ExperimentError, match="takes no option 'losses'"):
        check_arms(experiment, task)
