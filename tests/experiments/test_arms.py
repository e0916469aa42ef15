"""The arms' own parts: simulated prompts, S3's two passes, cracks, the random walker, the surest mask."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoweak.experiments.arms.bench import Asked
from autoweak.experiments.arms.ground import ellipses
from autoweak.experiments.arms.s1 import surest_mask
from autoweak.experiments.arms.s2 import simulated
from autoweak.experiments.arms.s3 import refined, without_cracks
from autoweak.experiments.arms.s3_prompts import Refining, cleaned, footprint, s3_prompts
from autoweak.experiments.arms.walker import walked
from autoweak.experiments.spec import ArmEntry
from autoweak.prompts import PromptKind, PromptPolicy
from tests.experiments.conftest import ObedientModel, SizeCache, toy_task

BOX = PromptPolicy(name="box")
BOTH = PromptPolicy(name="both", kind=PromptKind.BOX_POINTS, negatives=2)


def _blocks() -> np.ndarray:
    """Three slices: none; label 1 in two pieces; labels 1 and 2."""
    truth = np.zeros((3, 40, 40), dtype=np.uint8)
    truth[1, 4:10, 5:15] = truth[1, 20:30, 22:33] = 1
    truth[2, 4:10, 5:15], truth[2, 20:30, 22:33] = 1, 2
    return truth


def test_slices_without_a_label_get_no_prompt() -> None:
    prompts = simulated(_blocks(), labels=(1, 2), policy=BOX, per="class", jitter=0, seed=0)
    assert [(prompt.slice_index, prompt.label) for prompt in prompts] == [(1, 1), (2, 1), (2, 2)]
    assert prompts[0].box == (5, 4, 32, 29)
    assert prompts[1].box == (5, 4, 14, 9)


def test_each_component_gets_a_box_of_its_own() -> None:
    prompts = simulated(_blocks(), labels=(1, 2), policy=BOX, per="component", jitter=0, seed=0)
    assert sorted(prompt.box for prompt in prompts if prompt.slice_index == 1) == [(5, 4, 14, 9), (22, 20, 32, 29)]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), jitter=st.floats(0, 0.5), per=st.sampled_from(["class", "component"]))
def test_simulated_prompts_stay_in_the_slice_and_on_the_right_side_of_the_outline(
    seed: int, jitter: float, per: str
) -> None:
    truth = _blocks()
    for prompt in simulated(truth, labels=(1, 2), policy=BOTH, per=per, jitter=jitter, seed=seed):
        x0, y0, x1, y1 = prompt.box or (0, 0, 0, 0)
        assert 0 <= x0 <= x1 <= 39
        assert 0 <= y0 <= y1 <= 39
        tight = simulated(truth, labels=(1, 2), policy=BOX, per=per, jitter=0, seed=0)
        widths = [one.box[2] - one.box[0] + 1 for one in tight if one.box]
        assert abs((x1 - x0 + 1) - min(widths, key=lambda width: abs(width - (x1 - x0 + 1)))) <= 2 * jitter * 33 + 1
        inside = [(x, y) for x, y, positive in prompt.points if positive]
        outside = [(x, y) for x, y, positive in prompt.points if not positive]
        assert len(inside) == 1
        assert all(truth[prompt.slice_index, int(y), int(x)] == prompt.label for x, y in inside)
        assert all(truth[prompt.slice_index, int(y), int(x)] != prompt.label for x, y in outside)


def test_negative_points_of_a_component_lie_outside_the_others_of_its_label() -> None:
    truth = np.zeros((1, 40, 40), dtype=np.uint8)
    truth[0, 10:20, 5:15] = truth[0, 10:20, 22:32] = 1
    for seed in range(30):
        prompts = simulated(truth, labels=(1,), policy=BOTH, per="component", jitter=0, seed=seed)
        places = [(int(y), int(x)) for prompt in prompts for x, y, positive in prompt.points if not positive]
        assert len(places) == 4
        assert not any(truth[0][place] for place in places)


@settings(max_examples=25, deadline=None)
@given(margin=st.floats(0, 2), jitter=st.floats(0, 0.3), per=st.sampled_from(["class", "component"]))
def test_a_margin_widens_boxes_on_every_side_inside_the_slice(margin: float, jitter: float, per: str) -> None:
    options = {"labels": (1, 2), "policy": BOX, "per": per, "seed": 0}
    tight = simulated(_blocks(), jitter=0, **options)
    for before, after in zip(tight, simulated(_blocks(), jitter=0, margin=margin, **options), strict=True):
        x0, y0, x1, y1 = after.box
        assert 0 <= x0 <= before.box[0]
        assert 0 <= y0 <= before.box[1]
        assert before.box[2] <= x1 <= 39
        assert before.box[3] <= y1 <= 39
        if x0 > 0:
            assert before.box[0] - x0 == pytest.approx(margin * (before.box[2] - before.box[0] + 1))
    for moved in simulated(_blocks(), jitter=jitter, margin=margin, **options):
        assert 0 <= moved.box[0] <= moved.box[2] <= 39


def test_ellipses_fill_their_boxes() -> None:
    prompts = simulated(_blocks(), labels=(1, 2), policy=BOX, per="component", jitter=0, seed=0)
    mask = ellipses(prompts, (3, 40, 40))
    assert not mask[0].any()
    again = simulated(mask, labels=(1, 2), policy=BOX, per="component", jitter=0, seed=0)
    assert sorted(prompt.box for prompt in again) == sorted(prompt.box for prompt in prompts)
    assert 0.7 < (mask > 0).sum() / (_blocks() > 0).sum() < 0.85


def _maps() -> np.ndarray:
    """(2, 40, 40): label 1 in a large unsure and a small sure piece; label 2 in one piece."""
    maps = np.zeros((2, 40, 40))
    maps[0, 2:22, 2:12], maps[0, 30:36, 2:8], maps[1, 10:20, 24:36] = 0.6, 0.9, 0.8
    return maps


def test_s3_keeps_the_likeliest_component_and_says_no_by_the_other_labels() -> None:
    first, second = s3_prompts(_maps(), labels=(1, 2), slice_index=4, seed=0)
    assert first.box == (2, 30, 7, 35)
    assert first.points == ((4, 32, True), (30, 14, False))
    assert second.points == ((30, 14, True), (4, 32, False))
    assert {prompt.slice_index for prompt in (first, second)} == {4}


def test_s3_centres_leave_out_what_two_labels_claim_and_labels_without_a_rest_are_not_prompted() -> None:
    maps = np.zeros((2, 40, 40))
    maps[0, 10:20, 0:20], maps[1, 10:20, 10:20] = 0.8, 0.8
    (prompt,) = s3_prompts(maps, labels=(1, 2), slice_index=0, seed=0)
    assert prompt.label == 1
    assert prompt.points[0][:2] == (4, 14)


def test_s3_with_one_label_says_no_where_the_map_is_low() -> None:
    maps = _maps()[1:]
    (prompt,) = s3_prompts(maps, labels=(1,), slice_index=0, seed=0)
    negatives = [(x, y) for x, y, positive in prompt.points if not positive]
    assert len(negatives) == 2
    assert all(maps[0, int(y), int(x)] == 0 for x, y in negatives)


def _bench(model: Any, labels: dict[str, int], **options: Any) -> Any:
    return SimpleNamespace(
        entry=ArmEntry(arm="s3_refined", **options),
        promptable=(model, SizeCache()),
        context=SimpleNamespace(task=toy_task(labels=labels), seed=0),
        labels=tuple(labels.values()),
        asked=Asked(),
    )


def test_the_second_pass_gets_points_and_the_first_ones_logits_and_no_box() -> None:
    model = ObedientModel()
    bench = _bench(model, {"one": 1, "two": 2})
    refined(bench, np.zeros((1, 40, 40, 1), np.uint8), _maps()[None])
    first, second = model.calls
    assert first["boxes"] is not None
    assert (first["points"], first["masks"]) == (None, None)
    assert second["boxes"] is None
    assert second["masks"].shape == (2, 40, 40)
    assert len(second["points"]) == 2
    assert [(one.label, one.slice) for one in bench.asked.estimates] == [(1, 0), (2, 0)]
    assert [one.dice for one in bench.asked.estimates] == pytest.approx([2 * 0.9 / 1.9] * 2)


def test_one_pass_is_the_box_alone() -> None:
    model = ObedientModel()
    refined(_bench(model, {"one": 1, "two": 2}, passes=1), np.zeros((1, 40, 40, 1), np.uint8), _maps()[None])
    (only,) = model.calls
    assert only["boxes"] is not None
    assert (only["points"], only["masks"]) == (None, None)


def test_labels_that_are_never_found_stay_as_the_coarse_map_has_them() -> None:
    """A label whose pixels another label claims as well gets no prompt, and its raw pixels are not lost."""
    maps = np.zeros((2, 40, 40))
    maps[0, 10:20, 0:20], maps[1, 10:20, 10:20] = 0.8, 0.9
    bench = _bench(ObedientModel(), {"one": 1, "two": 2})
    mask = refined(bench, np.zeros((1, 40, 40, 1), np.uint8), maps[None])
    assert {one.label for one in bench.asked.estimates} == {1}
    assert (mask[0] == 2).any()


def test_slices_without_a_label_are_not_encoded() -> None:
    bench = _bench(ObedientModel(), {"one": 1, "two": 2})
    mask = refined(bench, np.zeros((2, 40, 40, 1), np.uint8), np.stack([_maps() * 0, _maps()]))
    assert bench.promptable[1].asked == 1
    assert not mask[0].any()
    assert set(np.unique(mask[1])) == {0, 1, 2}


def test_every_component_is_prompted_however_many_there_are() -> None:
    truth = np.zeros((1, 40, 40), np.uint8)
    truth[0, ::4, ::4] = 1
    prompts = simulated(truth, labels=(1,), policy=PromptPolicy(name="box"), per="component", jitter=0, seed=0)
    assert len({prompt.box for prompt in prompts}) == 100


def _halves() -> tuple[np.ndarray, np.ndarray]:
    """Two labels side by side (20, 20), and maps (2, 20, 20) in which each falls from its own side."""
    raw = np.zeros((20, 20), np.uint8)
    raw[:, :10], raw[:, 10:] = 1, 2
    return raw, np.stack([np.tile(np.linspace(1, 0, 20), (20, 1)), np.tile(np.linspace(0, 1, 20), (20, 1))])


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_cracks_between_labels_are_closed_whole_or_not_at_all_and_outer_edges_stay(width: int) -> None:
    raw, maps = _halves()
    merged = raw.copy()
    merged[:, 9 : 9 + width] = 0
    merged[:3] = 0
    closed = without_cracks(merged, raw, maps, (1, 2))
    assert (closed[5:] == (raw if width <= 2 else merged)[5:]).all()
    assert not closed[:1].any()
    assert (without_cracks(np.where(merged == 1, merged, 0), raw, maps, (1, 2)) == np.where(merged == 1, 1, 0)).all()


def test_a_crack_gets_the_likelier_of_the_labels_beside_it() -> None:
    raw, maps = _halves()
    merged = raw.copy()
    merged[:, 10] = 0
    merged[0, 0] = 3  # far away, and the likeliest in the crack
    assert (without_cracks(merged, raw, np.stack([*maps, np.ones((20, 20))]), (1, 2, 3))[1:, 10] == 2).all()


def test_the_largest_component_is_kept_where_an_arm_says_so() -> None:
    largest = Refining.of(ArmEntry(arm="s3_refined", keep="largest"))
    assert cleaned(_maps())[0].sum() == 36
    assert cleaned(_maps(), largest)[0].sum() == 200
    first, _ = s3_prompts(_maps(), labels=(1, 2), slice_index=0, seed=0, how=largest)
    assert first.box == (2, 2, 11, 21)


@pytest.mark.parametrize(("shape", "area"), [("square", 10 * 10), ("diamond", 36 + 4 * 6 * 2 + 4), ("disk", 88)])
def test_components_are_dilated_and_eroded_before_they_are_prompted(shape: str, area: int) -> None:
    grown = Refining.of(ArmEntry(arm="s3_refined", grow=2, footprint=shape))
    found = cleaned(_maps(), grown)[0]
    assert found.sum() == area
    (first, _) = s3_prompts(_maps(), labels=(1, 2), slice_index=0, seed=0, how=grown)
    assert first.box == (0, 28, 9, 37)
    eroded = Refining.of(ArmEntry(arm="s3_refined", grow=-2, footprint=shape))
    assert cleaned(_maps(), eroded)[0].sum() == 4
    nothing = Refining.of(ArmEntry(arm="s3_refined", grow=-3))
    assert not cleaned(_maps(), nothing)[0].any()
    assert [one.label for one in s3_prompts(_maps(), labels=(1, 2), slice_index=0, seed=0, how=nothing)] == [2]


def test_footprints_are_symmetric_and_lie_in_each_other() -> None:
    square, disk, diamond = (footprint(name, 3) for name in ("square", "disk", "diamond"))
    for one in (square, disk, diamond):
        assert one.shape == (7, 7)
        assert (one == one[::-1]).all()
        assert (one == one.T).all()
    assert diamond.sum() < disk.sum() < square.sum()
    assert not (diamond & ~disk).any()


def test_cleaning_leaves_absent_labels_empty() -> None:
    found = cleaned(np.stack([_maps()[0], np.full((40, 40), 0.4)]))
    assert found[0].sum() == 36
    assert not found[1].any()


def test_the_random_walker_moves_an_outline_to_the_edge_of_the_image() -> None:
    rows, columns = np.mgrid[:60, :60]
    truth = ((rows - 30) ** 2 + (columns - 30) ** 2 < 18**2).astype(np.uint8)
    view = (40 + 160 * truth + np.random.default_rng(0).normal(0, 5, truth.shape)).astype(np.uint8)[None, ..., None]
    shifted = np.roll(truth, 2, axis=1)[None]
    moved = walked(view, shifted)

    def wrong(mask: np.ndarray) -> int:
        return int((mask != truth).sum())

    assert wrong(moved[0]) < wrong(shifted[0]) / 3
    assert not walked(view, np.zeros_like(shifted)).any()
    assert set(np.unique(walked(view, shifted * 2))) == {0, 2}


class Guessing(ObedientModel):
    """Surest of the point nearest to (10, 30); its masks are stable where `steady` says so of a point."""

    def __init__(self, steady: Callable[[float, float], bool], *, most: float = 1.0) -> None:
        super().__init__()
        self._steady, self._most = steady, most

    def decode(self, embedding: Any, **prompts: Any) -> Any:
        result = super().decode(embedding, **prompts)
        for index, ((x, y, _), *_) in enumerate(prompts["points"]):
            result.logits[index] *= 100 if self._steady(x, y) else 0.5
            result.predicted_iou[index] = self._most - (abs(x - 10) + abs(y - 30)) / 1000
        return result


@pytest.mark.parametrize(
    ("model", "where"),
    [
        (Guessing(lambda x, y: True), (10, 30)),
        # A steady mask goes before an unsteady one of which the model is surer.
        (Guessing(lambda x, y: x > 20), (21, 30)),
        # Where none passes the limits, the model's own word decides among all.
        (Guessing(lambda x, y: False), (10, 30)),
        (Guessing(lambda x, y: x > 20, most=0.5), (10, 30)),
    ],
)
def test_the_surest_mask_is_the_best_by_the_models_own_word(model: Guessing, where: tuple[int, int]) -> None:
    mask = surest_mask(model, (40, 40), (40, 40))
    rows, columns = np.nonzero(mask)
    assert abs(columns.mean() - where[0]) < 3
    assert abs(rows.mean() - where[1]) < 3


def test_a_student_agrees_with_its_own_copy_and_learns_from_the_difference() -> None:
    from autoweak.experiments.arms.mean_teacher import agreement_weight, disagreement

    torch.manual_seed(0)
    student, teacher = (torch.nn.Conv2d(1, 1, 3, padding=1) for _ in range(2))
    images = torch.rand(2, 1, 16, 16)
    apart = disagreement(student, teacher, images)
    apart.backward()
    assert student.weight.grad is not None
    assert teacher.weight.grad is None
    teacher.load_state_dict(student.state_dict())
    assert disagreement(student, teacher, images) < apart / 5
    assert agreement_weight(0.0) < agreement_weight(0.2) < agreement_weight(0.4) == agreement_weight(1.0)
