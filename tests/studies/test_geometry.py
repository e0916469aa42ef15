"""Slices of volumes: upright, and back again without loss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoweak.errors import ImageError
from autoweak.studies.geometry import closest_axes, picture_geometry, volume_geometry

PLANES = ("axial", "coronal", "sagittal")


@st.composite
def affines(draw: st.DrawFn) -> np.ndarray:
    """Any axis order and direction, any spacing, tilted by up to 20 degrees, anywhere."""
    from scipy.spatial.transform import Rotation

    order = draw(st.permutations(range(3)))
    signs = draw(st.tuples(*[st.sampled_from((-1.0, 1.0))] * 3))
    spacing = draw(st.tuples(*[st.floats(0.2, 5)] * 3))
    tilt = draw(st.tuples(*[st.floats(-10, 10)] * 3))
    linear = np.zeros((3, 3))
    linear[list(order), range(3)] = signs
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", tilt, degrees=True).as_matrix() @ linear * spacing
    affine[:3, 3] = draw(st.tuples(*[st.floats(-300, 300)] * 3))
    return affine


@settings(max_examples=60, deadline=None)
@given(affine=affines(), plane=st.sampled_from(PLANES), shape=st.tuples(*[st.integers(1, 5)] * 3))
def test_slices_go_back_to_the_very_same_array(affine: np.ndarray, plane: str, shape: tuple[int, int, int]) -> None:
    stored = np.arange(np.prod(shape)).reshape(shape)
    geometry = volume_geometry(shape, affine, plane=plane)
    assert np.array_equal(geometry.from_slices(geometry.to_slices(stored)), stored)


@settings(max_examples=60, deadline=None)
@given(affine=affines(), plane=st.sampled_from(PLANES))
def test_slices_are_upright(affine: np.ndarray, plane: str) -> None:
    """World coordinates, sliced like the volume, change the way a radiologist looks at them."""
    shape = (3, 4, 5)
    geometry = volume_geometry(shape, affine, plane=plane)
    index = np.stack([*np.indices(shape), np.ones(shape)])
    world = np.einsum("ab,bijk->aijk", affine, index)[:3]
    right, anterior, superior = (np.asarray(geometry.to_slices(axis), dtype=float) for axis in world)
    steps = {
        "axial": (superior, -anterior, -right),
        "coronal": (anterior, -superior, -right),
        "sagittal": (right, -superior, -anterior),
    }[plane]
    for axis, growing in enumerate(steps):
        assert (np.diff(growing, axis=axis) > 0).all()


@settings(max_examples=40, deadline=None)
@given(affine=affines())
def test_axes_are_those_of_nibabel(affine: np.ndarray) -> None:
    import nibabel

    expected = nibabel.orientations.io_orientation(affine)
    assert [list(pair) for pair in closest_axes(affine)] == expected.astype(int).tolist()


def test_spacing_follows_the_slices() -> None:
    geometry = volume_geometry((3, 4, 5), np.diag([1.0, 2.0, 3.0, 1.0]), plane="coronal")
    assert geometry.spacing == pytest.approx((2, 3, 1))
    assert picture_geometry((3, 4)).spacing is None


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("thin", [0, 1, 2])
def test_a_volume_of_one_slice_is_sliced_across_it(plane: str, thin: int) -> None:
    shape = [4, 5, 6]
    shape[thin] = 1
    geometry = volume_geometry((shape[0], shape[1], shape[2]), np.eye(4), plane=plane)
    assert geometry.to_slices(np.zeros(shape)).shape[0] == 1


@pytest.mark.parametrize(
    "affine",
    [np.zeros((4, 4)), np.full((4, 4), np.nan), np.diag([1.0, 0, 1, 1]), np.ones((4, 4)), np.diag([np.inf, 1, 1, 1])],
)
def test_a_volume_without_a_place_in_space_is_refused(affine: np.ndarray) -> None:
    with pytest.raises(ImageError, match="geometry"):
        volume_geometry((2, 3, 4), affine, plane="axial")


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1), (-1, -1, -1)])
def test_a_voxel_index_finds_its_pixel(plane: str, signs: tuple[int, int, int]) -> None:
    stored = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    geometry = volume_geometry((3, 4, 5), np.diag([*signs, 1.0]), plane=plane)
    slices = geometry.to_slices(stored)
    for index in [(0, 0, 0), (2, 1, 3), (1, 3, 4)]:
        place = tuple(int(value) for value in geometry.to_slice_index(index))
        assert slices[place] == stored[index]


def test_a_pixel_of_a_picture_is_column_first() -> None:
    assert picture_geometry((10, 20)).to_slice_index((15, 3, 0)) == (0, 3, 15)
