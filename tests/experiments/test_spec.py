"""Experiment files: what they may say, and the one sentence for what they may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoweak.errors import ExperimentError
from autoweak.experiments.arms import ARMS, Role, check_arms, entries_of, reference_of
from autoweak.experiments.spec import Experiment, load_experiment, with_folders
from autoweak.resources import resource_path
from autoweak.task_files import EXPERIMENT, names
from autoweak.tasks import Task, load_task

GOOD = """\
name: mine
task: breast_ultrasound
gold: 5
weak: [3, 6]
arms:
  - gold_only
  - {arm: s1_box, title: boxes}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", names(EXPERIMENT))
def test_each_shipped_experiment_can_be_done_with_its_task(name: str) -> None:
    experiment, path = load_experiment(name)
    assert experiment.name == path.stem == name
    check_arms(experiment, load_task(experiment.task))
    reference_of(experiment, entries_of(experiment, truth=True))


def test_an_installation_ships_the_experiments() -> None:
    assert "configs/experiments/*.yaml" in (resource_path("configs").parent / "setup.cfg").read_text()


def test_folders_are_relative_to_the_file_and_the_command_line_wins(tmp_path: Path) -> None:
    text = GOOD + "data: {studies: here, images: /abs/images, labels: labels}\n"
    experiment, _ = load_experiment(written(tmp_path, text))
    assert experiment.data.studies == tmp_path / "here"
    assert experiment.data.images == Path("/abs/images")
    changed = with_folders(experiment, studies=Path("other"), truth=None, images=None, labels=None)
    assert (changed.data.studies, changed.data.labels) == (Path("other"), tmp_path / "labels")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("gold: 5", "golt: 5"), r"unknown key 'golt' \(did you mean 'gold'\?\)"),
        (("title:", "titel:"), r"unknown key 'arms.1.titel' \(did you mean 'title'\?\); the keys are arm, title"),
        (("gold: 5", "gold: -1"), "gold.0: "),
        (("gold: 5\n", ""), "the key 'gold' is missing; add it .docs/experiments.md explains each key."),
        (("[3, 6]", "[3, 3]"), "weak lists 3 twice"),
        (("{arm: s1_box, title: boxes}", "gold_only"), "arms lists 'gold_only' twice; give each a title"),
        (("name: mine", "name: ../mine"), "name: must be letters"),
        (("title: boxes", "drop_extreme: 97"), "drop_extreme: "),
    ],
)
def test_what_an_experiment_file_must_not_say_gets_one_sentence(
    tmp_path: Path, change: tuple[str, str], sentence: str
) -> None:
    assert change[0] in GOOD
    with pytest.raises(ExperimentError, match=sentence) as caught:
        load_experiment(written(tmp_path, GOOD.replace(*change)))
    assert str(caught.value).startswith("Experiment file ")
    assert "\n" not in str(caught.value)


def test_an_experiment_that_is_not_there_is_said_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"no experiment 's1_skin' \(did you mean 's1_skin_lesion'\?\)"):
        load_experiment("s1_skin")
    with pytest.raises(ExperimentError, match="no experiment file"):
        load_experiment(tmp_path / "none.yaml")


def test_folders_that_nobody_gave_are_asked_for(tmp_path: Path) -> None:
    experiment, _ = load_experiment(written(tmp_path, GOOD))
    with pytest.raises(ExperimentError, match="--studies FOLDER and --images FOLDER and --labels FOLDER"):
        with_folders(experiment)


@pytest.mark.parametrize(
    ("arms", "sentence"),
    [
        (["s1_boxs"], r"no arm 's1_boxs' \(did you mean 's1_box'\?\)"),
        (
            [{"arm": "s1_box", "policy": "points"}],
            "no option 'policy'; its options are: drop_above, drop_below, drop_extreme, length, promptable, synthetic",
        ),
        ([{"arm": "gold_only", "jitter": 0.1}], "its options are: length"),
        (["s1_automatic"], "cannot tell labels apart"),
        ([{"arm": "prompted", "policy": "nothing"}], "no prompt policy named 'nothing'"),
    ],
)
def test_arms_that_do_not_fit_are_refused_before_anything_is_trained(arms: list[object], sentence: str) -> None:
    experiment = Experiment.model_validate({"name": "a", "task": "two_lungs", "gold": 5, "weak": 3, "arms": arms})
    with pytest.raises(Exception, match=sentence):
        check_arms(experiment, load_task("two_lungs"))


def test_too_few_labels_for_an_arm_are_refused(task: Task) -> None:
    def check(**counts: object) -> None:
        check_arms(Experiment.model_validate({"name": "a", "task": "toy", "arms": ["s1_box"], **counts}), task)

    with pytest.raises(ExperimentError, match="needs at least 4 gold labels, and gold lists 3"):
        check(gold=[8, 3], weak=3)
    with pytest.raises(ExperimentError, match="let weak list a number above 0"):
        check(gold=8)


def test_a_reference_must_be_an_arm(task: Task) -> None:
    fields = {"name": "a", "task": "toy", "arms": ["s1_box"], "gold": 5, "weak": 3, "reference": "s1_points"}
    experiment = Experiment.model_validate(fields)
    with pytest.raises(ExperimentError, match="not among the arms gold_only, s1_box"):
        reference_of(experiment, entries_of(experiment, truth=False))


@pytest.mark.parametrize("name", names(EXPERIMENT))
def test_every_shipped_table_has_ground_without_a_promptable_model_and_its_bound(name: str) -> None:
    experiment, _ = load_experiment(name)
    found = [ARMS[entry.arm] for entry in entries_of(experiment, truth=True)]
    assert [arm for arm in found if arm.role is Role.GROUND and "ellipse" in arm.name]
    bounds = [arm.name for arm in found if arm.role is Role.BOUND]
    # Nobody knows the truth of images that a generator drew; learned prompts are bounded by the masks themselves.
    without = {"s1_synthetic", "s4_breast_ultrasound"}
    assert bool(bounds) == (name not in without)
    assert any(arm.role in (Role.REFERENCE, Role.BOUND) for arm in found)


def test_every_arm_says_what_it_is() -> None:
    documented = (Path(__file__).parents[2] / "docs" / "experiments.md").read_text()
    for arm in ARMS.values():
        assert arm.summary.endswith(".")
        assert f"`{arm.name}`" in documented
