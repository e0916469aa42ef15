"""Sidecars: complete, readable again, and refused when they are not what they should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import autoweak
from autoweak.errors import LabelError
from autoweak.prompts import Prompt, get_policy
from autoweak.weak_labels import (
    Inputs,
    MaskRecord,
    QualityModel,
    Sidecar,
    WeakLabel,
    describe,
    read_sidecar,
    write_sidecar,
)

PROMPT = Prompt(1, 0, (1.5, 2.0, 4.0, 5.0), ((2.0, 3.0, True), (7.0, 7.0, False)), 0.39, 9)
NOON = datetime(2025, 1, 2, 12, 0, tzinfo=timezone.utc)


@pytest.fixture
def sidecar(inputs: Inputs, labelled: WeakLabel) -> Sidecar:
    """The sidecar of a label with one prompt."""
    weak = WeakLabel(**{**vars(labelled), "prompts": (PROMPT,)})
    return describe(weak, inputs=inputs, mask=MaskRecord(name="case_1.png", sha256="5" * 64), created=NOON)


def test_a_sidecar_read_again_is_the_same(sidecar: Sidecar, tmp_path: Path) -> None:
    path = tmp_path / "case_1.json"
    write_sidecar(path, sidecar)
    again = read_sidecar(path)
    assert again == sidecar
    assert again.prompts == (PROMPT,)
    assert again.inputs.policy == get_policy("box_points", components=2)


def test_a_sidecar_says_all_that_is_needed_to_make_the_label_again(sidecar: Sidecar, tmp_path: Path) -> None:
    path = tmp_path / "case_1.json"
    write_sidecar(path, sidecar)
    content = json.loads(path.read_text())
    assert (content["format"], content["autoweak"], content["created"]) == (
        1,
        autoweak.__version__,
        "2025-01-02T12:00:00Z",
    )
    made_of = content["inputs"]
    assert made_of["image"] == {"id": "case_1", "sha256": "1" * 64, "size": [1, 8, 8, 1]}
    assert made_of["task"] == {"name": "breast_ultrasound", "sha256": "2" * 64}
    assert made_of["coarse"] == {"version": "3", "sha256": "3" * 64}
    assert made_of["promptable"] == {
        "name": "small",
        "sha256": "4" * 64,
        "contract": "small-1",
        "precision": "float32",
    }
    assert made_of["policy"] == get_policy("box_points", components=2).to_dict()
    assert made_of["seed"] == 7
    assert content["prompts"][0] == {
        "label": 1,
        "slice_index": 0,
        "box": [1.5, 2.0, 4.0, 5.0],
        "points": [[2.0, 3.0, True], [7.0, 7.0, False]],
        "threshold": 0.39,
        "area": 9,
    }
    assert content["scores"][0]["scores"]["agreement"] == 0.7
    assert (content["quality"], content["calibrated"], content["verdict"]) == (0.8, False, "review")
    assert (content["status"], content["mask"]["name"]) == ("labelled", "case_1.png")


def test_nothing_found_is_said_without_mask_and_quality(inputs: Inputs, nothing: WeakLabel, tmp_path: Path) -> None:
    path = tmp_path / "case_1.json"
    write_sidecar(path, describe(nothing, inputs=inputs, mask=None))
    again = read_sidecar(path)
    assert (again.mask, again.quality, again.verdict) == (None, None, None)
    assert again.status.value == "nothing found"
    assert again.note == "nothing found: it is dark"
    assert again.created.tzinfo is not None


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"image": {"id": "renamed", "sha256": "1" * 64, "size": (1, 8, 8, 1)}}, True),
        ({"coarse": {"version": "9", "sha256": "3" * 64}}, True),
        ({"image": {"id": "case_1", "sha256": "a" * 64, "size": (1, 8, 8, 1)}}, False),
        ({"task": {"name": "breast_ultrasound", "sha256": "a" * 64}}, False),
        ({"coarse": {"version": "3", "sha256": "a" * 64}}, False),
        ({"promptable": {"name": "small", "sha256": "a" * 64, "contract": "small-1"}}, False),
        ({"promptable": {"name": "small", "sha256": "4" * 64, "contract": "small-1", "precision": "bfloat16"}}, False),
        ({"promptable": {"name": "small", "sha256": "4" * 64, "contract": "medsam"}}, False),
        ({"policy": get_policy("box")}, False),
        ({"seed": 8}, False),
        ({"quality_model": QualityModel(gold=3)}, False),
    ],
)
def test_contents_make_the_label_and_names_do_not(inputs: Inputs, change: dict[str, Any], same: bool) -> None:
    changed = Inputs.model_validate({**dict(inputs), **change})
    assert inputs.makes_same_label(changed) is same


def _set(*path: str | int, to: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for part in path[:-1]:
            content = content[part]
        content[path[-1]] = to

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("inputs", "image", "id", to="../final/case_1"),
        _set("inputs", "image", "id", to=".hidden"),
        _set("inputs", "image", "sha256", to="abc"),
        _set("inputs", "image", "size", to=[1, 8, 0, 1]),
        _set("inputs", "policy", "components", to=0),
        _set("inputs", "policy", "shape", to="round"),
        _set("inputs", "policy", to="box"),
        _set("inputs", "seed", to=-1),
        _set("inputs", "quality_model", "gold", to="many"),
        _set("mask", "name", to="/etc/passwd"),
        _set("mask", "name", to="..\\case.png"),
        _set("mask", "name", to="case\x00.png"),
        _set("mask", to=None),
        _set("quality", to=1.5),
        _set("quality", to=None),
        _set("verdict", to="perfect"),
        _set("status", to="nothing found"),
        _set("created", to="yesterday"),
        _set("created", to="2025-01-02T12:00:00"),
        _set("prompts", 0, "box", to=[1, 2]),
        _set("prompts", 0, "label", to="one"),
        _set("scores", 0, "scores", "stability", to=2),
        _set("note", to="x" * 3000),
        _set("surprise", to=1),
        lambda content: content.pop("calibrated"),
    ],
)
def test_a_sidecar_with_a_wrong_value_is_refused_in_one_sentence(
    change: Callable[[Any], None], sidecar: Sidecar, tmp_path: Path
) -> None:
    content = sidecar.to_dict()
    change(content)
    path = tmp_path / "case_1.json"
    path.write_text(json.dumps(content))
    with pytest.raises(LabelError, match="is not valid at") as refusal:
        read_sidecar(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"format": 1, "quality": NaN}', "no number"),
        (b"[]", "must hold a JSON object"),
        (b"{}", "format None"),
        (b'{"format": 2}', "format 2"),
    ],
)
def test_a_file_that_is_no_sidecar_is_refused(content: bytes, part: str, tmp_path: Path) -> None:
    path = tmp_path / "case_1.json"
    path.write_bytes(content)
    with pytest.raises(LabelError, match=part):
        read_sidecar(path)


def test_a_missing_or_monstrous_sidecar_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="cannot be read"):
        read_sidecar(tmp_path / "none.json")
    huge = tmp_path / "huge.json"
    with huge.open("wb") as stream:
        stream.truncate(100 * 1024 * 1024)
    with pytest.raises(LabelError, match="more than any weak label needs"):
        read_sidecar(huge)
