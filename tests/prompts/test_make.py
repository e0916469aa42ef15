"""Laws of prompts, and S1's published behaviour exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from autoweak.errors import PromptError
from autoweak.prompts import POLICIES, Prompt, PromptPolicy, get_policy, make_prompts

OURS = [name for name in POLICIES if not name.startswith("s1_")]
Map = npt.NDArray[np.float32]
laws = settings(max_examples=25, deadline=None)


@st.composite
def maps(draw: st.DrawFn, *, slices: int = 2, classes: int = 2, size: tuple[int, int] = (48, 56)) -> Map:
    """Blurred blobs of any height, some overlapping, some at the edge, on a low background of noise."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    found = rng.random((slices, classes, *size)) * 0.1
    for probability in found.reshape(-1, *size):
        for _ in range(draw(st.integers(0, 4))):
            row, column = rng.integers(0, size[0]), rng.integers(0, size[1])
            height, width = rng.integers(1, 16, size=2)
            probability[row : row + height, column : column + width] += rng.random()
        probability[:] = ndimage.gaussian_filter(probability, 1.0)
    return np.clip(found, 0, 1).astype(np.float32)


def _kept(prompt: Prompt, coarse_map: Map, policy: PromptPolicy) -> npt.NDArray[np.bool_]:
    """All pixels at or above the prompt's threshold that the components of its class could hold."""
    return coarse_map[prompt.slice_index, prompt.label - 1] >= np.float32(prompt.threshold)


@pytest.mark.parametrize("name", OURS)
@given(coarse_map=maps(), components=st.integers(1, 3))
@laws
def test_a_box_contains_its_component_and_a_positive_point_lies_in_it(
    name: str, coarse_map: Map, components: int
) -> None:
    policy = get_policy(name, components=components, fill_holes=False)
    for prompt in make_prompts(coarse_map, policy=policy, labels=(1, 2), seed=0):
        numbered, count = ndimage.label(_kept(prompt, coarse_map, policy), structure=np.ones((3, 3)))
        regions = [numbered == number for number in range(1, count + 1)]
        if prompt.box is not None:
            x0, y0, x1, y1 = prompt.box
            assert 0 <= x0 <= x1 <= 55
            assert 0 <= y0 <= y1 <= 47
            inside = np.zeros((48, 56), dtype=bool)
            inside[int(np.ceil(y0)) : int(y1) + 1, int(np.ceil(x0)) : int(x1) + 1] = True
            assert any(region.sum() == prompt.area and (inside | ~region).all() for region in regions)
        for x, y, is_positive in prompt.points:
            if is_positive:
                assert any(region.sum() == prompt.area and region[int(y), int(x)] for region in regions)


@pytest.mark.parametrize("name", ["points", "box_points", "two_pass"])
@given(coarse_map=maps(), components=st.integers(1, 3))
@laws
def test_negative_points_lie_outside_everything_kept_of_the_class(name: str, coarse_map: Map, components: int) -> None:
    policy = get_policy(name, components=components, negatives=4)
    for prompt in make_prompts(coarse_map, policy=policy, labels=(1, 2), seed=3):
        assert sum(is_positive for *_, is_positive in prompt.points) == 1
        for x, y, is_positive in prompt.points:
            if not is_positive:
                assert not _kept(prompt, coarse_map, policy)[int(y), int(x)]


@pytest.mark.parametrize("name", POLICIES)
@given(coarse_map=maps(), components=st.integers(1, 3))
@laws
def test_a_class_gets_at_most_its_components_in_a_slice(name: str, coarse_map: Map, components: int) -> None:
    policy = get_policy(name, components=components)
    prompts = make_prompts(coarse_map, policy=policy, labels=(1, 2), seed=0)
    places = [(prompt.slice_index, prompt.label) for prompt in prompts]
    assert all(places.count(place) <= components for place in places)
    assert places == sorted(places)


@pytest.mark.parametrize("name", OURS)
@given(coarse_map=maps(slices=1), down=st.integers(0, 20), right=st.integers(0, 20))
@laws
def test_moving_the_map_moves_the_prompts(name: str, coarse_map: Map, down: int, right: int) -> None:
    room = np.zeros((1, 2, 128, 136), dtype=np.float32)
    room[:, :, 30:78, 30:86] = np.where(coarse_map > 0.15, coarse_map, 0)
    moved = np.roll(room, (down, right), axis=(2, 3))
    # A minimum that depends on the slice alone, and negative points within reach of the component.
    policy = get_policy(name, relative_area=0.0, negatives=0)
    before = make_prompts(room, policy=policy, labels=(1, 2), seed=0)
    after = make_prompts(moved, policy=policy, labels=(1, 2), seed=0)
    assert len(after) == len(before)
    for prompt, other in zip(before, after, strict=True):
        expected = _moved(prompt, down, right)
        assert other.box == (None if expected.box is None else pytest.approx(expected.box))
        assert replace(other, box=None) == replace(expected, box=None)


def _moved(prompt: Prompt, down: int, right: int) -> Prompt:
    box = prompt.box
    if box is not None:
        box = (box[0] + right, box[1] + down, box[2] + right, box[3] + down)
    points = tuple((x + right, y + down, is_positive) for x, y, is_positive in prompt.points)
    return replace(prompt, box=box, points=points)


@pytest.mark.parametrize("name", POLICIES)
@given(coarse_map=maps(slices=3), seed=st.integers(0, 1000))
@laws
def test_the_same_seed_gives_the_same_prompts_however_many_slices_there_are(
    name: str, coarse_map: Map, seed: int
) -> None:
    policy = get_policy(name)
    whole = make_prompts(coarse_map, policy=policy, labels=(1, 2), seed=seed)
    assert make_prompts(coarse_map, policy=policy, labels=(1, 2), seed=seed) == whole
    others_empty = coarse_map.copy()
    others_empty[:2] = 0
    alone = make_prompts(others_empty, policy=policy, labels=(1, 2), seed=seed)
    assert alone == tuple(prompt for prompt in whole if prompt.slice_index == 2)


def test_another_seed_draws_other_negative_points(map_of: Callable[..., Map]) -> None:
    blob = map_of((20, 20, 20, 20, 0.9))
    first, second = (make_prompts(blob, policy=get_policy("points"), labels=(1,), seed=seed) for seed in (0, 1))
    assert first[0].points[0] == second[0].points[0]
    assert first[0].points[1:] != second[0].points[1:]


def test_slices_that_are_alike_get_negative_points_of_their_own(map_of: Callable[..., Map]) -> None:
    twice = np.repeat(map_of((20, 20, 20, 20, 0.9)), 2, axis=0)
    first, second = make_prompts(twice, policy=get_policy("points"), labels=(1,), seed=0)
    assert first.points[1:] != second.points[1:]


@pytest.mark.parametrize("seed", range(5))
def test_negative_points_keep_away_from_the_other_components_too(seed: int, map_of: Callable[..., Map]) -> None:
    blobs = map_of((20, 10, 20, 20, 0.9), (20, 36, 20, 20, 0.8))
    away = ndimage.distance_transform_edt(blobs[0, 0] < 0.5)
    policy = get_policy("points", components=2, negatives=16)
    for prompt in make_prompts(blobs, policy=policy, labels=(1,), seed=seed):
        assert min(away[int(y), int(x)] for x, y, is_positive in prompt.points if not is_positive) >= 4


@pytest.mark.parametrize("name", POLICIES)
def test_an_empty_map_makes_no_prompt(name: str) -> None:
    assert make_prompts(np.zeros((3, 2, 40, 50)), policy=get_policy(name), labels=(1, 2), seed=0) == ()


@pytest.mark.parametrize("name", OURS)
@given(seed=st.integers(0, 2**32 - 1), height=st.floats(0.0, 0.34))
@laws
def test_noise_below_the_peak_makes_no_prompt_where_the_published_policy_invents_one(
    name: str, seed: int, height: float
) -> None:
    noise = np.random.default_rng(seed).random((1, 1, 64, 64)) * height
    assert make_prompts(noise, policy=get_policy(name), labels=(1,), seed=0) == ()
    assume(noise.max() > 0.15)
    upscaled = np.repeat(np.repeat(noise, 4, axis=2), 4, axis=3)
    assert make_prompts(upscaled, policy=get_policy("s1_box_published"), labels=(1,), seed=0) != ()


@pytest.mark.parametrize("name", OURS)
def test_a_single_bright_pixel_makes_no_prompt(name: str, map_of: Callable[..., Map]) -> None:
    assert (
        make_prompts(map_of((30, 30, 1, 1, 1.0), size=(200, 200)), policy=get_policy(name), labels=(1,), seed=0) == ()
    )


def test_classes_and_slices_are_prompted_apart() -> None:
    coarse_map = np.zeros((3, 2, 40, 40), dtype=np.float32)
    coarse_map[0, 0, 5:15, 5:15] = 0.9
    coarse_map[2, 1, 20:30, 5:15] = 0.8
    prompts = make_prompts(coarse_map, policy=get_policy("box"), labels=(3, 7), seed=0)
    assert [(prompt.slice_index, prompt.label, prompt.area) for prompt in prompts] == [(0, 3, 100), (2, 7, 100)]


def test_another_class_gives_the_negative_point() -> None:
    coarse_map = np.zeros((1, 2, 60, 60), dtype=np.float32)
    coarse_map[0, 0, 5:16, 5:16] = 0.9
    coarse_map[0, 1, 5:16, 40:51] = 0.9
    first, second = make_prompts(coarse_map, policy=get_policy("points", negatives=1), labels=(1, 2), seed=0)
    assert first.points == ((10.0, 10.0, True), (45.0, 10.0, False))
    assert second.points == ((45.0, 10.0, True), (10.0, 10.0, False))


# --- S1 as published -------------------------------------------------------------------------------------------


def _published(levels: npt.NDArray[np.int_], name: str) -> tuple[Prompt, ...]:
    """Prompts of a 256 × 256 map given as 8-bit levels."""
    return make_prompts((levels / 255)[None, None], policy=get_policy(name), labels=(1,), seed=0)


@pytest.mark.parametrize(
    ("level", "threshold"), [(255, 120), (120, 120), (119, 100), (100, 100), (99, 50), (50, 50), (49, 25), (25, 25)]
)
def test_the_published_box_cascade_decides_by_8_bit_levels(level: int, threshold: int) -> None:
    levels = np.zeros((256, 256), dtype=int)
    levels[100:120, 50:90] = level
    (prompt,) = _published(levels, "s1_box_published")
    assert prompt.threshold == threshold / 255
    assert prompt.box == (50.0, 100.0, 89.0, 119.0)


@pytest.mark.parametrize(("level", "threshold"), [(225, 225), (224, 168), (167, 100), (99, 50), (49, 25)])
def test_the_published_point_cascade_starts_higher(level: int, threshold: int) -> None:
    levels = np.zeros((256, 256), dtype=int)
    levels[100:120, 50:91] = level
    (prompt,) = _published(levels, "s1_points_published")
    assert prompt.threshold == threshold / 255


@pytest.mark.parametrize("name", ["s1_box_published", "s1_points_published"])
def test_below_the_last_published_level_there_is_no_prompt(name: str) -> None:
    assert _published(np.full((256, 256), 24), name) == ()


def test_the_published_box_is_of_the_largest_4_connected_component() -> None:
    levels = np.zeros((256, 256), dtype=int)
    levels[10:20, 10:20] = 200
    levels[20:29, 20:29] = 200
    levels[100, 100] = 250
    (prompt,) = _published(levels, "s1_box_published")
    assert prompt.box == (10.0, 10.0, 19.0, 19.0)


def test_the_published_positive_point_is_the_median_column_and_row() -> None:
    levels = np.zeros((256, 256), dtype=int)
    levels[40:101, 40:61] = 255
    levels[90:101, 40:141] = 255
    levels[45:85, 45:58] = 0
    (prompt,) = _published(levels, "s1_points_published")
    rows, columns = np.nonzero(levels)
    assert prompt.points == ((float(np.round(np.median(columns))), float(np.round(np.median(rows))), True),)


def test_the_published_median_is_rounded_half_to_even_and_may_lie_outside() -> None:
    levels = np.zeros((256, 256), dtype=int)
    levels[10:12, 10:12] = 255
    assert _published(levels, "s1_points_published")[0].points == ((10.0, 10.0, True),)


def test_the_published_negative_point_has_no_effect_and_is_left_out() -> None:
    levels = np.zeros((256, 256), dtype=int)
    levels[100:120, 50:90] = 255
    policy = get_policy("s1_points_published")
    seeds = {make_prompts((levels / 255)[None, None], policy=policy, labels=(1,), seed=seed) for seed in range(5)}
    assert len(seeds) == 1
    assert all(is_positive for *_, is_positive in seeds.pop()[0].points)


def test_the_area_is_counted_in_the_slice_s_own_pixels() -> None:
    native = np.zeros((1, 1, 512, 768))
    native[0, 0, 100:200, 300:450] = 1.0
    (prompt,) = make_prompts(native, policy=get_policy("s1_box_published"), labels=(1,), seed=0)
    assert prompt.area == pytest.approx(15000, rel=0.05)


@given(
    height=st.integers(40, 600),
    width=st.integers(40, 600),
    row=st.integers(0, 200),
    column=st.integers(0, 200),
    rows=st.integers(20, 56),
    columns=st.integers(20, 56),
)
@laws
def test_the_published_box_is_scaled_from_256_and_rounded(
    height: int, width: int, row: int, column: int, rows: int, columns: int
) -> None:
    native = np.zeros((height, width))
    top, bottom = row * height // 256, (row + rows) * height // 256
    left, right = column * width // 256, (column + columns) * width // 256
    native[top : max(bottom, top + 2), left : max(right, left + 2)] = 1.0
    (prompt,) = make_prompts(native[None, None], policy=get_policy("s1_box_published"), labels=(1,), seed=0)
    assert prompt.box is not None
    x0, y0, x1, y1 = prompt.box
    assert all(float(value).is_integer() for value in prompt.box)
    # Corners lie on the grid of 256 scaled to the slice, within one of its steps (or a pixel) of the truth.
    for value, size in ((x0, width), (y0, height), (x1, width), (y1, height)):
        assert any(value == np.round(step * size / 256) for step in range(256))
    across, down = max(1.0, width / 256) + 1, max(1.0, height / 256) + 1
    assert abs(x0 - left) <= across
    assert abs(y0 - top) <= down
    assert abs(x1 - (max(right, left + 2) - 1)) <= across
    assert abs(y1 - (max(bottom, top + 2) - 1)) <= down


# --- What is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coarse_map", "labels", "part"),
    [
        (np.zeros((1, 8, 8)), (1,), "shape"),
        (np.zeros((1, 2, 8, 8)), (1,), "1 classes"),
        (np.zeros((0, 1, 8, 8)), (1,), "shape"),
        (np.full((1, 1, 8, 8), np.nan), (1,), "nan"),
        (np.full((1, 1, 8, 8), 1.5), (1,), "1.5"),
        (np.full((1, 1, 8, 8), -1.0), (1,), "-1"),
        (np.zeros((1, 2, 8, 8)), (1, 1), "different"),
        (np.zeros((1, 1, 8, 8)), (0,), "from 1"),
    ],
)
def test_a_map_that_is_no_map_of_probabilities_is_refused(
    coarse_map: npt.NDArray[np.float64], labels: tuple[int, ...], part: str
) -> None:
    with pytest.raises(PromptError, match=part):
        make_prompts(coarse_map, policy=get_policy("box"), labels=labels, seed=0)


@pytest.mark.parametrize("seed", [-1, 0.5, True])
def test_a_seed_is_a_whole_number(seed: int) -> None:
    with pytest.raises(PromptError, match="seed"):
        make_prompts(np.zeros((1, 1, 8, 8)), policy=get_policy("box"), labels=(1,), seed=seed)
