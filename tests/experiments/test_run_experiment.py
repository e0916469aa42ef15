"""Experiments on tiny studies: every arm, what is kept and found again, and what is never learned from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from autoweak.errors import ExperimentError
from autoweak.experiments import run as run_module
from autoweak.experiments.arms import ARMS
from autoweak.experiments.outlook import outlook
from autoweak.experiments.presenting import present
from autoweak.experiments.results import rows_of
from autoweak.experiments.run import Plan, Results, prepare, run_cells
from autoweak.experiments.spec import Data, Experiment
from autoweak.experiments.tables import weak_table
from autoweak.loop.context import Context
from autoweak.progress import NoProgress
from autoweak.tasks import CoarseNetwork, Task, load_task
from tests.experiments.conftest import ObedientModel, SizeCache, toy_task

KEPT = Path(".autoweak", "experiments")
pytestmark = pytest.mark.usefixtures("obedient")


def plan_of(data: Path, task: Task, **changes: Any) -> Plan:
    fields: dict[str, Any] = {"name": "toy", "task": "toy", "arms": ["s1_box"], "gold": [4], "weak": [3], "seeds": [0]}
    folders = Data(studies=data / "studies", truth=data / "truth", images=data / "images", labels=data / "labels")
    experiment = Experiment(**{**fields, "data": folders, **changes})
    return prepare(experiment, task, out=data / "out", progress=NoProgress())


def run_of(data: Path, task: Task, **changes: Any) -> Results:
    return run_cells(plan_of(data, task, **changes))


@pytest.mark.parametrize("arm", [name for name in ARMS if name != "s4_learned"])
def test_every_arm_gives_a_mask_for_every_evaluation_image(data: Path, task: Task, arm: str) -> None:
    results = run_of(data, task, arms=[arm], ground=False)
    assert results.failed == ()
    (result,) = results.results
    assert [score.image_id for score in result.scores] == ["disc20", "disc21", "disc22"]
    assert result.weak["offered"] == (3 if ARMS[arm].uses_weak else 0)


def test_the_ground_is_in_every_table(data: Path, task: Task) -> None:
    plan = plan_of(data, task)
    assert [entry.name for entry in plan.entries] == ["gold_only", "s1_box", "coarse_as_weak", "ellipse", "full_truth"]
    assert plan.reference == "gold_only"
    assert [entry.name for entry in plan_of(data, task, arms=["s2_box"], gold=[0]).entries] == [
        "s2_box",
        "s2_ellipse",
        "s2_truth",
    ]


def test_without_truth_there_is_no_bound(data: Path, task: Task) -> None:
    shutil.rmtree(data / "truth")
    (data / "truth").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(data / "truth" / "nobody.png")
    plan = plan_of(data, task, gold=[6])
    assert "full_truth" not in [entry.name for entry in plan.entries]
    with pytest.raises(ExperimentError, match="whose truth is known"):
        plan_of(data, task, gold=[6], arms=["s2_box"], reference="s2_truth")


def test_a_second_run_trains_nothing(data: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_of(data, task)
    monkeypatch.setattr(run_module, "_run", lambda *_: pytest.fail("a cell was run again"))
    second = run_of(data, task)
    assert second.resumed == len(second.results) == 5
    assert [result.scores for result in second.results] == [result.scores for result in first.results]


def test_a_killed_run_goes_on_and_ends_the_same(data: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_of(data, task)
    shutil.rmtree(data / "studies" / ".autoweak")
    real, done = run_module._run, []

    def dying(*arguments: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(real(*arguments))
        return done[-1]

    monkeypatch.setattr(run_module, "_run", dying)
    with pytest.raises(KeyboardInterrupt):
        run_of(data, task)
    monkeypatch.setattr(run_module, "_run", real)
    again = run_of(data, task)
    assert again.resumed == 2
    assert [result.scores for result in again.results] == [result.scores for result in whole.results]


def test_a_damaged_cell_is_done_again(data: Path, task: Task) -> None:
    first = run_of(data, task, ground=False)
    (kept,) = (data / "studies" / KEPT / "cells").glob("*.json")
    kept.write_text(kept.read_text()[:-40])
    second = run_of(data, task, ground=False)
    assert second.resumed == 0
    assert second.results[0].scores == first.results[0].scores


def test_another_number_of_weak_labels_makes_none_of_them_again(
    data: Path, task: Task, obedient: tuple[Any, Any]
) -> None:
    run_of(data, task, ground=False)
    asked = obedient[1].asked
    assert asked > 0
    run_of(data, task, ground=False, weak=[2, 3])
    assert obedient[1].asked == asked


def test_another_experiment_finds_cells_and_trainings(data: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ground of two experiments is one; another evaluation is another cell, and trains nothing."""
    from autoweak.training import cross_validation

    first = run_of(data, task)
    trained: list[Any] = []
    real = cross_validation.train_fold
    monkeypatch.setattr(cross_validation, "train_fold", lambda *a, **k: trained.append(k) or real(*a, **k))
    other = run_of(data, task, name="other", arms=["s1_points"])
    assert other.resumed == 4
    assert len(trained) == task.coarse.folds
    measured = run_of(data, task, name="measured", hd95=True)
    assert measured.resumed == 0
    assert len(trained) == task.coarse.folds
    assert [[score.dice for score in one.scores] for one in measured.results] == [
        [score.dice for score in one.scores] for one in first.results
    ]


def test_arms_with_equal_weak_labels_share_a_training_and_a_damaged_one_is_done_again(data: Path, task: Task) -> None:
    same = {"arm": "s1_box", "title": "filtered", "drop_extreme": 0.999}
    first = run_of(data, task, arms=["s1_box", same], ground=False)
    kept = data / "studies" / KEPT / "trained"
    (folder,) = kept.iterdir()
    (folder / "model.safetensors").write_bytes(b"damaged")
    shutil.rmtree(data / "studies" / KEPT / "cells")
    again = run_of(data, task, arms=["s1_box", same], ground=False)
    assert [one.scores for one in again.results] == [one.scores for one in first.results]
    assert sum("was damaged and is trained again" in note for note in again.plan.context.notes) == 1


def test_an_arm_can_ask_a_promptable_model_of_its_own(
    data: Path, task: Task, obedient: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weak labels and cells are told apart by weights; the report names both models."""
    other = (ObedientModel(), SizeCache())
    other[0].name, other[0].sha256 = "other", "f" * 64
    monkeypatch.setattr(Context, "load_promptable", lambda self: other if self.promptable == "other" else obedient)
    arms = ["s1_box", {"arm": "s1_box", "title": "by other", "promptable": "other"}]
    first = run_of(data, task, arms=arms, ground=False)
    assert first.failed == ()
    assert (obedient[1].asked, other[1].asked) == (3, 3)
    assert len({result.key for result in first.results}) == 2
    path, _ = present(first, source="x", command="autoweak experiment toy")
    assert "obedient (none, float32), " in path.read_text()
    assert "as long as the coarse model" not in path.read_text()
    assert "other (none, float32), ffff" in path.read_text()
    monkeypatch.setattr(Context, "load_promptable", lambda self: other)
    again = run_of(data, task, ground=False)
    assert again.results[0].key == first.results[1].key
    with pytest.raises(ExperimentError, match="takes no option 'promptable'"):
        plan_of(data, task, arms=[{"arm": "ellipse", "promptable": "other"}])


def test_the_outlook_is_what_then_happens(data: Path, task: Task) -> None:
    plan = plan_of(data, task, weak=[2, 3], arms=["s1_box", "s3_refined"])
    before = outlook(plan)
    assert (before.cells, before.done, before.coarse, before.others) == (10, 0, 1, 8)
    assert not (data / "studies" / ".autoweak").exists()
    assert "10 cells, 0 done already; to train: coarse models 1, others at most 8" in str(before)
    run_of(data, task, weak=[2], arms=["s1_box"])
    between = outlook(plan)
    assert (between.done, between.coarse, between.others) == (5, 0, 4)
    run_cells(plan)
    assert str(outlook(plan)) == "Plan: all 10 cells are done already; nothing to train."


def test_a_weak_label_of_an_image_that_was_replaced_is_made_again(
    data: Path, task: Task, obedient: tuple[Any, Any]
) -> None:
    run_of(data, task, ground=False, gold=[6], weak=[4])
    asked = obedient[1].asked
    shutil.copy(data / "images" / "disc22.png", data / "studies" / "disc7.png")
    (data / "images" / "disc22.png").unlink()
    run_of(data, task, ground=False, gold=[6], weak=[4])
    assert obedient[1].asked == asked + 1


def test_trainings_on_weak_labels_are_as_long_as_the_experiment_says(
    data: Path, task: Task, obedient: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference is not, but where it says so itself; weak labels do not depend on it."""
    from autoweak.experiments.arms import members
    from autoweak.training import cross_validation

    run_of(data, task, ground=False)
    asked, epochs = obedient[1].asked, []
    for module in (cross_validation, members):
        real = module.train_fold
        monkeypatch.setattr(
            module, "train_fold", lambda *a, real=real, **k: epochs.append(k["epochs"]) or real(*a, **k)
        )
    longer = {"arm": "gold_only", "title": "gold_only for longer", "length": 4}
    arms = [longer, "s1_box", "s3_trained_raw", {"arm": "s1_points", "length": 1}, "autoweak"]
    plan = plan_of(data, task, arms=arms, length=3)
    assert {entry.name: entry.length for entry in plan.entries} == {
        "gold_only": None,
        "gold_only for longer": 4,
        "s1_box": 3,
        "s3_trained_raw": 3,
        "s1_points": 1,
        "autoweak": None,
        "coarse_as_weak": 3,
        "ellipse": 3,
        "full_truth": 3,
    }
    assert plan.reference == "gold_only"
    assert "epochs each: 1 to 4;" in str(outlook(plan))
    for name, expected in (("gold_only for longer", 4), ("s1_box", 3), ("s3_trained_raw", 3), ("s1_points", 1)):
        epochs.clear()
        (cell,) = [cell for cell in plan.cells() if cell.name == name]
        bench = run_module.bench_of(plan, cell, NoProgress())
        bench.arm.make(bench)
        assert epochs == [expected] * task.coarse.folds, name
    again = run_of(data, task, ground=False, length=1)
    assert again.resumed == 1
    longest = run_of(data, task, ground=False, length=3)
    assert longest.resumed == 0
    path, _ = present(longest, source="x", command="autoweak experiment toy")
    assert "Some train 3 times as long as the coarse model" in path.read_text()
    assert obedient[1].asked == asked + 3  # the points of s1_points


@pytest.mark.slow
def test_all_arms_train_the_network_that_the_task_names(data: Path, task: Task) -> None:
    coarse = task.coarse.model_copy(update={"network": CoarseNetwork.UNETPLUSPLUS, "start": False})
    nested = task.model_copy(update={"coarse": coarse})
    arms = ["gold_only", "full_truth"]  # with the truth, there is something to train on whatever the network learns
    results = run_of(data, nested, arms=arms, ground=False)
    assert results.failed == ()
    cards = list((data / "studies" / KEPT).rglob("model.json"))
    assert len(cards) == 2
    assert all("UNetPlusPlus" in card.read_text() for card in cards)
    assert run_of(data, task, arms=arms, ground=False).resumed == 0


def test_the_users_models_and_labels_stay_as_they_are(data: Path, task: Task) -> None:
    before = {path: path.read_bytes() for path in (data / "studies").rglob("*") if path.is_file()}
    run_of(data, task, arms=["autoweak", "s1_points"])
    assert {path: path.read_bytes() for path in before} == before
    assert not (data / "studies" / ".autoweak" / "models").exists()
    assert not (data / "studies" / "labels" / "original").exists()


def test_an_evaluation_image_from_the_studies_is_left_out(data: Path, task: Task) -> None:
    shutil.copy(data / "studies" / "disc7.png", data / "images" / "copy.png")
    shutil.copy(data / "truth" / "disc7.png", data / "labels" / "copy.png")
    plan = plan_of(data, task)
    assert [known.image_id for known in plan.material.evaluation] == ["disc20", "disc21", "disc22"]
    assert any("copy is disc7 of the studies" in note for note in plan.context.notes)


def test_arms_that_do_not_need_the_truth_never_get_it(data: Path, task: Task) -> None:
    """With other truth of the unlabelled images the same masks come out."""
    first = run_of(data, task, arms=["s1_box"], ground=False)
    for path in (data / "truth").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    second = run_of(data, task, arms=["s1_box"], ground=False)
    assert second.resumed == 0
    assert [result.scores for result in second.results] == [result.scores for result in first.results]
    assert second.results[0].weak["dice"] != first.results[0].weak["dice"]


def test_gold_and_pool_never_meet_and_fewer_are_a_part_of_more(data: Path, task: Task) -> None:
    material = plan_of(data, task).material
    for seed in range(20):
        large = material.draw(gold=5, weak=4, seed=seed, truth=False)
        small = material.draw(gold=4, weak=2, seed=seed, truth=False)
        assert not {one.image_id for one in large.gold} & {one.image_id for one in large.pool}
        assert {one.image_id for one in small.gold} < {one.image_id for one in large.gold}
    pools = [[{one.image_id for one in material.draw(gold=4, weak=weak, seed=3, truth=False).pool} for weak in (2, 5)]]
    assert pools[0][0] < pools[0][1]


def test_a_cell_that_cannot_be_done_is_listed_and_the_others_go_on(
    data: Path, task: Task, obedient: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = obedient[0].decode

    def blind(embedding: Any, **prompts: Any) -> Any:
        result = real(embedding, **prompts)
        result.logits[:] = -1
        return result

    monkeypatch.setattr(obedient[0], "decode", blind)
    results = run_of(data, task, arms=["s2_box"], gold=[0])
    assert [problem.image_id for problem in results.failed] == ["s2_box, 0 gold + 3 weak, seed 0"]
    assert "no weak label to train on" in results.failed[0].reason
    assert [row.name for row in rows_of(results)] == ["s2_ellipse", "s2_truth"]


def test_the_extreme_filter_drops_small_objects_and_the_report_warns(data: Path, task: Task) -> None:
    filtered = {"arm": "s1_box", "title": "filtered", "drop_extreme": 0.6}
    results = run_of(data, task, arms=["s1_box", filtered], ground=False)
    plain, dropped = (result.weak for result in results.results)
    assert (plain["extreme"], plain["used"]) == (0, 3)
    assert dropped["extreme"] + dropped["used"] == 3
    assert dropped["extreme"] > 0
    path, _ = present(results, source="name: toy", command="autoweak experiment toy.yaml")
    assert "throws away small objects" in path.read_text()


def test_filters_by_foreground_drop_what_is_smaller_or_larger(data: Path, task: Task) -> None:
    arms = [
        {"arm": "s1_box", "title": "all", "drop_below": 0.001, "drop_above": 0.9},
        {"arm": "s1_box", "title": "none small", "drop_below": 0.9},
        {"arm": "s1_box", "title": "none large", "drop_above": 0.01},
    ]
    results = run_of(data, task, arms=arms, ground=False)
    assert [result.weak["used"] for result in results.results] == [3, 0, 0]
    assert [result.weak["extreme"] for result in results.results] == [0, 3, 3]
    weak = weak_table(rows_of(results))[0]
    assert [row[weak.header.index("dropped by filters")] for row in weak.rows] == ["0", "3", "3"]


def test_the_models_own_estimate_is_kept_by_label_and_shown(data: Path, task: Task) -> None:
    results = run_of(data, task, arms=["s3_refined", "s3_trained_refined"], ground=False)
    expected = pytest.approx(2 * 0.9 / 1.9)
    assert [result.weak["estimated"] for result in results.results] == [expected, expected]
    sidecars = list((data / "studies" / KEPT / "weak_labels").rglob("*.json"))
    assert [one["label"] for path in sidecars for one in json.loads(path.read_text())["estimated"]] == [1, 1, 1]
    again = run_of(data, task, arms=["s3_trained_refined"], weak=[3, 2], ground=False)
    assert [result.weak["estimated"] for result in again.results] == [expected, expected]


def test_every_weak_label_says_what_it_was_made_of(data: Path, task: Task) -> None:
    arms = ["s1_box", "s1_points", "s2_box_points", "s3_trained_refined", "ellipse"]
    assert run_of(data, task, arms=arms, ground=False).failed == ()
    sidecars = [json.loads(path.read_text()) for path in (data / "studies" / KEPT / "weak_labels").rglob("*.json")]
    assert len(sidecars) == 15
    for sidecar in sidecars:
        kinds = {(prompt["box"] is not None, bool(prompt["points"])) for prompt in sidecar["prompts"]}
        expected = {
            "s1_box": {(True, False)},
            "s1_points": {(False, True)},
            "s2_box_points": {(True, True)},
            "s3_trained_refined": {(True, True)},
            "ellipse": set(),
        }
        assert kinds == expected[sidecar["arm"]], sidecar["arm"]
        assert (sidecar["policy"] is None) == (sidecar["arm"] == "ellipse")


def test_the_report_holds_table_pictures_and_all_that_is_needed_again(data: Path, task: Task) -> None:
    results = run_of(data, task, weak=[2, 3], seeds=[0, 1])
    path, metrics = present(results, source="name: toy # <mine>", command="autoweak experiment toy.yaml")
    page = path.read_text()
    for text in ("p (Holm)", "above the ground", "Learning curves", "s1_box, 4 gold + 3 weak, seed 0: worst"):
        assert text in page
    assert "name: toy # &lt;mine&gt;" in page
    assert (path.parent / "experiment.yaml").read_text() == "name: toy # <mine>"
    assert load_task(path.parent / "task.yaml").sha256 == task.sha256
    stored = json.loads((path.parent / "metrics.json").read_text())
    assert stored == metrics
    assert len(stored["rows"]) == 1 + 4 * 2
    assert len(stored["cells"]) == 2 * (1 + 4 * 2)
    assert stored["provenance"]["command"] == "autoweak experiment toy.yaml"
    assert set(stored["rows"][0]["images"]) == {"disc20", "disc21", "disc22"}


def _write_volume(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


def test_weak_labels_of_volumes_keep_their_geometry_and_slices_without_a_label_are_not_encoded(
    tmp_path: Path, obedient: tuple[Any, Any]
) -> None:
    affine = np.array([[-0.8, 0, 0, 30], [0, 0, 1.5, -20], [0, 2.5, 0, 7], [0, 0, 0, 1]], dtype=float)
    rng = np.random.default_rng(0)
    for index in range(4):
        truth = np.zeros((40, 6, 36), dtype=np.uint8)
        truth[12:28, 2:5, 10:26] = 1
        image = (60 + 130 * truth + rng.normal(0, 9, truth.shape)).astype(np.int16)
        inside = index < 3
        folder = tmp_path / ("studies" if inside else "images")
        _write_volume(folder / f"volume{index}.nii.gz", image, affine)
        labels = folder / "labels" / "final" if inside else tmp_path / "labels"
        _write_volume(labels / f"volume{index}.nii.gz", truth, affine)
    data = Data(studies=tmp_path / "studies", images=tmp_path / "images", labels=tmp_path / "labels")
    experiment = Experiment(name="toy", task="toy", arms=["s2_box"], gold=0, weak=3, seeds=0, ground=False, data=data)
    plan = prepare(experiment, toy_task(dimension=3), out=tmp_path / "out", progress=NoProgress())
    results = run_cells(plan)
    assert results.failed == ()
    weak = sorted((tmp_path / "studies" / KEPT / "weak_labels").rglob("*.nii.gz"))
    assert [path.name for path in weak] == [f"volume{index}.nii.gz" for index in range(3)]
    stored = nibabel.load(weak[0])
    assert np.allclose(stored.affine, affine)
    assert stored.shape == (40, 6, 36)
    shown = np.asarray(stored.dataobj).any(axis=(0, 2))
    slices = 3 if obedient[1].asked == 9 else 16
    assert obedient[1].asked == 3 * slices
    assert shown.tolist() == [False, False, True, True, True, False]
    assert results.results[0].weak["dice"] > 0.7
