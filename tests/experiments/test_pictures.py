"""Panels: what is shown, where, and in which colour."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from autoweak.experiments.pictures import (
    LABEL_COLOURS,
    CaseLayers,
    choose_slices,
    draw_case,
    label_colour,
)

TITLE, GAP = 20, 6


@dataclass(frozen=True)
class Given:
    label: int
    slice_index: int
    box: tuple[float, float, float, float] | None
    points: tuple[tuple[float, float, bool], ...] = ()


def opened(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def grey(slices: int = 1, size: tuple[int, int] = (64, 64), channels: int = 1) -> NDArray[np.uint8]:
    return np.full((slices, *size, channels), 100, np.uint8)


def block(slices: int = 1, *, label: int = 1, top: int = 16, left: int = 32, side: int = 16) -> NDArray[np.uint8]:
    mask = np.zeros((slices, 64, 64), np.uint8)
    mask[:, top : top + side, left : left + side] = label
    return mask


def panel(picture: NDArray[np.uint8], index: int, *, width: int = 64) -> NDArray[np.uint8]:
    left = index * (width + GAP)
    return picture[TITLE:, left : left + width]


def has(pixels: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray((pixels == np.asarray(colour)).all(-1))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("size", "shown"), [((64, 64), (64, 64)), ((128, 64), (64, 32)), ((10, 40), (16, 64))])
def test_one_panel_for_each_layer_known_with_the_longer_side_as_asked(
    channels: int, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    view, mask = grey(size=size, channels=channels), np.zeros((1, *size), np.uint8)
    for layers, count in (
        (CaseLayers(view=view), 1),
        (CaseLayers(view=view, weak=mask), 2),
        (CaseLayers(view=view, coarse_map=np.zeros((1, 1, *size), np.float32), weak=mask, truth=mask), 4),
    ):
        picture = opened(draw_case(layers, long_side=64))
        assert picture.shape == (TITLE + shown[0], count * (shown[1] + GAP) - GAP, 3)


def test_contours_lie_on_the_edge_of_their_mask_in_the_label_colour() -> None:
    mask = np.maximum(block(), block(label=2, top=40, left=8))
    weak = panel(opened(draw_case(CaseLayers(view=grey(), weak=mask), long_side=64)), 1)
    for label in (1, 2):
        rows, columns = np.nonzero(has(weak, label_colour(label)))
        inside_rows, inside_columns = np.nonzero(mask[0] == label)
        assert abs(int(rows.min()) - int(inside_rows.min())) <= 1
        assert abs(int(columns.max()) - int(inside_columns.max())) <= 1
    assert not has(weak, label_colour(1))[24, 40]
    assert tuple(weak[2, 2]) == (100, 100, 100)


def test_the_image_panel_stays_untouched_by_what_is_drawn_on_the_others() -> None:
    layers = CaseLayers(view=grey(), coarse_map=np.ones((1, 1, 64, 64), np.float32), weak=block(), truth=block())
    picture = opened(draw_case(layers, long_side=64))
    assert (panel(picture, 0) == 100).all()


def test_heat_covers_where_the_map_is_high_and_nothing_else() -> None:
    maps = block()[:, None].astype(np.float32)
    coarse = panel(opened(draw_case(CaseLayers(view=grey(), coarse_map=maps), long_side=64)), 1)
    assert int(coarse[24, 40, 0]) > 180
    assert tuple(coarse[50, 10]) == (100, 100, 100)


def test_maps_of_several_labels_take_the_colours_of_their_labels() -> None:
    maps = np.zeros((1, 2, 64, 64), np.float32)
    maps[0, 0, :, :30], maps[0, 1, :, 34:] = 1, 1
    coarse = panel(opened(draw_case(CaseLayers(view=grey(), coarse_map=maps), long_side=64)), 1).astype(int)
    for column, label in ((10, 1), (50, 2)):
        distance = [np.abs(coarse[30, column] - colour).sum() for colour in LABEL_COLOURS]
        assert int(np.argmin(distance)) == label - 1


def test_boxes_and_points_land_on_the_pixels_they_name() -> None:
    prompt = Given(1, 0, (10, 20, 40, 50), ((25, 35, True), (55, 8, False)))
    maps = np.zeros((1, 1, 64, 64), np.float32)
    layers = CaseLayers(view=grey(), coarse_map=maps, prompts=[prompt])
    coarse = panel(opened(draw_case(layers, long_side=256)), 1, width=256)
    rows, columns = np.nonzero(has(coarse, label_colour(1)))
    assert np.allclose([columns.min(), rows.min(), columns.max(), rows.max()], [40, 80, 163, 203], atol=4)
    greener, redder = coarse[142, 102].astype(int), coarse[34, 222].astype(int)
    assert greener[1] > greener[0] + 60
    assert redder[0] > redder[1] + 60


def test_prompts_of_other_slices_are_not_drawn() -> None:
    weak = np.zeros((3, 64, 64), np.uint8)
    weak[1] = block()[0]
    maps = np.zeros((3, 1, 64, 64), np.float32)
    plain = draw_case(CaseLayers(view=grey(3), coarse_map=maps, weak=weak), long_side=64)
    other = draw_case(
        CaseLayers(view=grey(3), coarse_map=maps, weak=weak, prompts=[Given(1, 0, (3, 3, 30, 30))]), long_side=64
    )
    assert plain == other


def test_the_slices_with_most_foreground_are_shown_in_order() -> None:
    weak = np.zeros((6, 64, 64), np.uint8)
    for index, side in ((1, 5), (3, 20), (4, 10)):
        weak[index, :side, :side] = 1
    layers = CaseLayers(view=grey(6), weak=weak)
    assert choose_slices(layers, most=1) == (3,)
    assert choose_slices(layers, most=2) == (3, 4)
    assert choose_slices(layers, most=5) == (1, 3, 4)
    assert opened(draw_case(layers, long_side=64, most_slices=3)).shape[0] == 3 * (64 + TITLE) + 2 * GAP


def test_without_foreground_the_middle_slice_is_shown_and_truth_goes_before_the_weak_label() -> None:
    empty = np.zeros((5, 64, 64), np.uint8)
    truth = empty.copy()
    truth[4, 3:9, 3:9] = 1
    weak = empty.copy()
    weak[0, 3:9, 3:9] = 1
    maps = np.zeros((5, 1, 64, 64), np.float32)
    maps[1, 0, :4] = 0.9
    assert choose_slices(CaseLayers(view=grey(5), weak=empty), most=2) == (2,)
    assert choose_slices(CaseLayers(view=grey(5), weak=weak, truth=truth), most=1) == (4,)
    assert choose_slices(CaseLayers(view=grey(5), weak=empty, coarse_map=maps), most=1) == (1,)


@pytest.mark.parametrize(("name", "start"), [("png", b"\x89PNG"), ("jpeg", b"\xff\xd8\xff")])
def test_formats_are_what_they_say_and_repeat_exactly(name: str, start: bytes) -> None:
    layers = CaseLayers(view=grey(), weak=block())
    first = draw_case(layers, picture_format=name)
    assert first.startswith(start)
    assert first == draw_case(layers, picture_format=name)
