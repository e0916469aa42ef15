"""Task files: the project's own, and the one sentence that each fault gets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from autoweak.errors import TaskError
from autoweak.tasks import Intensity, IntensityKind, Mirror, Plane, Task, list_tasks, load_task

NAMES = ("breast_ultrasound", "chest_xray", "ct_spleen", "hippocampus_mr", "skin_lesion", "two_lungs")
VALID = """\
name: mine
description: A task.
modality: US
dimension: 2
channels: 1
labels:
  cyst: 1
  wall: 2
coarse:
  size: 64
  epochs: 5
"""


@pytest.fixture
def write(tmp_path: Path):
    def writer(text: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return writer


def fault(path: str | Path) -> str:
    with pytest.raises(TaskError) as caught:
        load_task(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert "pydantic" not in sentence
    return sentence


def test_the_projects_own_tasks_are_listed_in_order() -> None:
    assert tuple(name for name in list_tasks() if name in NAMES) == NAMES
    assert list(list_tasks()) == sorted(list_tasks())


@pytest.mark.parametrize("name", NAMES)
def test_each_of_the_projects_own_tasks_loads_under_its_own_name(name: str) -> None:
    task = load_task(name)
    assert task.name == name
    assert task.coarse.folds >= 2


def test_tasks_say_what_makes_them_special() -> None:
    lungs, hippocampus, spleen = load_task("two_lungs"), load_task("hippocampus_mr"), load_task("ct_spleen")
    assert lungs.labels == {"right_lung": 1, "left_lung": 2}
    assert Mirror.HORIZONTAL not in lungs.mirror
    assert hippocampus.dimension == 3
    assert hippocampus.label_names == ("anterior", "posterior")
    assert (spleen.intensity.level, spleen.intensity.width) == (40, 400)
    assert load_task("chest_xray").components == 2


def test_breast_ultrasound_explains_every_key() -> None:
    from autoweak.resources import resource_path

    text = (resource_path("configs") / "breast_ultrasound.yaml").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\s*(?:# )?([a-z_]+):", text, flags=re.MULTILINE))
    wanted = set(Task.model_fields) | set(type(load_task("skin_lesion").coarse).model_fields) | {"kind"}
    assert wanted <= explained


def test_defaults_and_derived_values(write) -> None:
    task = load_task(write(VALID))
    assert task.label_names == ("cyst", "wall")
    assert task.num_labels == 2
    assert task.plane is Plane.AXIAL
    assert task.policy == "auto"
    assert task.policy_options == {}
    assert task.promptable == "small"
    assert (task.coarse.folds, task.coarse.batch_size) == (3, 8)
    assert task.intensity == Intensity(kind=IntensityKind.PERCENTILE, lower=0.5, upper=99.5)


def test_the_hash_follows_the_meaning_not_the_writing(write) -> None:
    first = load_task(write(VALID)).sha256
    assert load_task(write("# a comment\n" + VALID + "policy: auto\n")).sha256 == first
    assert load_task(write(VALID.replace("size: 64", "size: 80"))).sha256 != first
    assert re.fullmatch(r"[0-9a-f]{64}", first)


def test_a_task_cannot_be_changed(write) -> None:
    task = load_task(write(VALID))
    with pytest.raises(ValueError, match="frozen"):
        task.name = "other"


def test_an_unknown_name_lists_the_tasks_and_guesses() -> None:
    sentence = fault("breast_ultrasond")
    assert "did you mean 'breast_ultrasound'" in sentence
    assert "two_lungs" in sentence


@pytest.mark.parametrize("name", ["../configs/two_lungs", "", "/etc/passwd", "two_lungs\0", "configs/two_lungs"])
def test_a_name_is_no_path(name: str) -> None:
    assert "There is no task" in fault(name)


def test_a_missing_file_lists_the_tasks(tmp_path: Path) -> None:
    sentence = fault(tmp_path / "absent.yaml")
    assert "absent.yaml" in sentence
    assert "breast_ultrasound" in sentence


FAULTS = {
    "unknown key": (VALID + "modalty: US\n", "unknown key 'modalty' (did you mean 'modality'?)"),
    "unknown key below": (VALID + "  epoch: 3\n", "unknown key 'coarse.epoch' (did you mean 'epochs'?)"),
    "unknown key in intensity": (VALID + "intensity: {windw: 3}\n", "unknown key 'intensity.windw'"),
    "missing key": (VALID.replace("modality: US\n", ""), "the key 'modality' is missing"),
    "label order": (
        VALID.replace("cyst: 1", "cyst: 2").replace("wall: 2", "wall: 1"),
        "1 to 2 in this order, got cyst 2",
    ),
    "label gap": (VALID.replace("wall: 2", "wall: 3"), "got cyst 1, wall 3"),
    "label zero": (VALID.replace("cyst: 1", "cyst: 0"), "got cyst 0, wall 2"),
    "label text": (VALID.replace("cyst: 1", "cyst: one"), "labels.cyst: should be a valid integer, got 'one'"),
    "label bool": (VALID.replace("cyst: 1", "cyst: yes"), "got True"),
    "label fraction": (VALID.replace("cyst: 1", "cyst: 1.0"), "got 1.0"),
    "label name bool": (VALID.replace("cyst: 1", "no: 1"), "labels"),
    "background": (VALID.replace("cyst: 1", "background: 1"), "0 is always the background"),
    "no labels": (VALID.replace("labels:\n  cyst: 1\n  wall: 2", "labels: {}"), "must name 1 to 254 labels, got 0"),
    "labels a list": (
        VALID.replace("labels:\n  cyst: 1\n  wall: 2", "labels: [cyst]"),
        "labels: should be a valid dictionary",
    ),
    "window alone": (VALID + "intensity: {kind: window}\n", "level and width is missing"),
    "window half": (VALID + "intensity: {kind: window, level: 4}\n", "width is missing"),
    "window unasked": (VALID + "intensity: {level: 4, width: 9}\n", "belong to kind window"),
    "window negative": (
        VALID + "intensity: {kind: window, level: 4, width: -9}\n",
        "intensity.width: should be greater than 0, got -9",
    ),
    "percentiles": (VALID + "intensity: {lower: 60, upper: 40}\n", "lower must be below upper"),
    "kind": (VALID + "intensity: {kind: z_score}\n", "'as_is', 'percentile' or 'window', got 'z_score'"),
    "nan": (VALID + "rotation: .nan\n", "rotation: should be a finite number"),
    "dimension": (VALID.replace("dimension: 2", "dimension: 4"), "dimension: should be 2 or 3, got 4"),
    "plane in 2D": (VALID + "plane: coronal\n", "needs dimension 3"),
    "mirror": (VALID + "mirror: [sideways]\n", "'horizontal' or 'vertical', got 'sideways'"),
    "mirror twice": (VALID + "mirror: [vertical, vertical]\n", "twice"),
    "size": (VALID.replace("size: 64", "size: 63"), "coarse.size: should be a multiple of 16, got 63"),
    "network": (
        VALID + "  network: nnunet\n",
        "coarse.network: should be 'large_kernel' or 'unetplusplus', got 'nnunet'",
    ),
    "name": (VALID.replace("name: mine", "name: ../mine"), "name: must be letters"),
    "policy options": (VALID + "policy_options: {margin: .inf}\n", "policy_options must hold"),
    "policy date": (VALID + "policy_options: {margin: 2020-01-01}\n", "policy_options must hold"),
    "empty": ("", "is empty"),
    "only a comment": ("# nothing\n", "is empty"),
    "not a mapping": ("- a\n- b\n", "must hold keys and values ('name: ...'), got a list"),
    "a text": ("hello\n", "got a str"),
    "syntax": ("name: a\nlabels: [1\nmodality: b\n", "is not valid YAML in line 3"),
    "tab": ("name: a\n\tb: 3\n", "is not valid YAML in line 2"),
    "object": ("name: !!python/object/apply:os.system ['true']\n", "is not valid YAML in line 1"),
    "two documents": (VALID + "---\nname: b\n", "is not valid YAML in line"),
    "key twice": (VALID + "modality: CT\n", "has the key 'modality' twice (line 12)"),
    "label twice": (VALID.replace("wall: 2", "cyst: 2"), "has the key 'cyst' twice (line 8)"),
    "alias": ("a: &x [1]\nb: *x\n", "YAML alias"),
    "too large": (VALID + "#" * 70_000, "more than 64 KiB"),
    "too deep": ("[" * 20_000, "is not usable YAML"),
    "bad date": ("name: 2020-99-99\n", "is not usable YAML"),
    "control": ("name: \x07\n", "is not valid YAML"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_each_fault_gets_one_sentence(write, case: str) -> None:
    text, expected = FAULTS[case]
    sentence = fault(write(text))
    assert expected in sentence
    assert "mine.yaml" in sentence


def test_text_of_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("description: Läsion".encode("latin-1"))
    assert "not UTF-8" in fault(path)


def test_a_byte_order_mark_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_bytes(b"\xef\xbb\xbf" + VALID.encode())
    assert load_task(str(path)).name == "mine"


def test_what_is_dumped_loads_again(write) -> None:
    task = load_task("ct_spleen")
    assert load_task(write(yaml.safe_dump(task.model_dump(mode="json"), sort_keys=False))) == task
