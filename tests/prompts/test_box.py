"""Boxes."""

from __future__ import annotations

import numpy as np

from autoweak.prompts.box import tight_box, widen


def test_a_tight_box_has_inclusive_corners_in_x_y_order() -> None:
    component = np.zeros((10, 20), dtype=bool)
    component[3, 5:9] = True
    component[7, 6] = True
    assert tight_box(component) == (5.0, 3.0, 8.0, 7.0)


def test_a_margin_is_a_share_of_width_and_height() -> None:
    assert widen((10.0, 20.0, 19.0, 39.0), margin=0.1, size=(100, 100)) == (9.0, 18.0, 20.0, 41.0)


def test_a_margin_ends_at_the_edge_of_the_slice() -> None:
    assert widen((0.0, 1.0, 9.0, 8.0), margin=1.0, size=(10, 12)) == (0.0, 0.0, 11.0, 9.0)
