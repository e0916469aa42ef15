"""The demo's phantoms: what they promise of shapes, labels and repeatability, and the folders made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import label as components

from autoweak.phantoms.demo import PhantomError, PhantomKind, make_phantom, write_phantom_studies

KINDS = tuple(kind.value for kind in PhantomKind)
LABELS = {"ultrasound": {0, 1}, "dermoscopy": {0, 1}, "xray": {0, 1, 2}}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**63), height=st.integers(48, 200), width=st.integers(48, 200))
def test_any_seed_and_size_give_an_image_and_its_mask(kind: str, seed: int, height: int, width: int) -> None:
    phantom = make_phantom(kind, seed=seed, size=(height, width))
    assert phantom.image.shape == ((height, width, 3) if kind == "dermoscopy" else (height, width))
    assert phantom.mask.shape == (height, width)
    assert phantom.image.dtype == phantom.mask.dtype == np.uint8
    assert set(np.unique(phantom.mask)) <= LABELS[kind]
    assert phantom.image.std() > 10


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_every_pixel(kind: str) -> None:
    first, again, other = (make_phantom(kind, seed=seed, size=(96, 96)) for seed in (7, 7, 8))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.mask, again.mask)
    assert not np.array_equal(first.mask, other.mask)


def test_an_ultrasound_lesion_is_darker_than_what_surrounds_it_and_some_images_have_none() -> None:
    phantoms = [make_phantom("ultrasound", seed=seed, size=(128, 128)) for seed in range(60)]
    empty = [phantom for phantom in phantoms if not phantom.mask.any()]
    assert 1 <= len(empty) <= 20
    contrast = [
        float(p.image[p.mask == 0].mean()) - float(p.image[p.mask == 1].mean()) for p in phantoms if p.mask.any()
    ]
    assert np.mean(np.asarray(contrast) > 0) > 0.8


def test_a_skin_lesion_is_one_piece_of_reasonable_size() -> None:
    for seed in range(20):
        mask = make_phantom("dermoscopy", seed=seed, size=(128, 128)).mask
        pieces, _ = components(mask)
        assert 0.01 < mask.mean() < 0.7
        assert np.bincount(pieces[mask > 0]).max() > 0.95 * mask.sum()


def test_the_right_lung_is_on_the_left_of_an_x_ray_and_lungs_are_dark() -> None:
    for seed in range(20):
        phantom = make_phantom("xray", seed=seed, size=(128, 128))
        right, left = (np.nonzero(phantom.mask == value)[1] for value in (1, 2))
        assert right.mean() + 20 < left.mean()
        middle = phantom.image[64, (int(right.max()) + int(left.min())) // 2]
        assert np.median(phantom.image[phantom.mask > 0]) < middle


@pytest.mark.parametrize(
    ("kind", "size", "said"),
    [("ct", (64, 64), "choose one of ultrasound, dermoscopy, xray"), ("xray", (64, 20), "at least 48 each way")],
)
def test_what_cannot_be_drawn_gets_one_sentence(kind: str, size: tuple[int, int], said: str) -> None:
    with pytest.raises(PhantomError, match=said):
        make_phantom(kind, seed=0, size=size)


@pytest.mark.parametrize("kind", KINDS)
def test_studies_hold_gold_labels_for_gold_images_alone(kind: str, tmp_path: Path) -> None:
    write_phantom_studies(tmp_path, kind, gold=3, unlabelled=4, validation=2, seed=1, size=(64, 72))
    images = sorted(path.name for path in (tmp_path / "studies").glob("*.png"))
    gold = sorted(path.name for path in (tmp_path / "studies" / "labels" / "final").iterdir())
    assert len(images) == 7
    assert gold == images[:3]
    held_out = [sorted(p.name for p in (tmp_path / "validation" / part).iterdir()) for part in ("images", "labels")]
    assert held_out[0] == held_out[1]
    assert len(held_out[0]) == 2
    for name in gold:
        assert np.asarray(Image.open(tmp_path / "studies" / "labels" / "final" / name)).any()
    assert Image.open(tmp_path / "studies" / images[0]).size == (72, 64)


def test_no_image_is_drawn_twice_and_writing_again_changes_nothing(tmp_path: Path) -> None:
    def written() -> dict[str, bytes]:
        return {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*.png")}

    order = {"gold": 2, "unlabelled": 3, "validation": 3, "seed": 4, "size": (64, 64)}
    write_phantom_studies(tmp_path, "dermoscopy", **order)  # type: ignore[arg-type]
    before = written()
    images = [content for name, content in before.items() if "labels" not in name]
    assert len(set(images)) == len(images) == 8
    write_phantom_studies(tmp_path, "dermoscopy", **order)  # type: ignore[arg-type]
    assert written() == before


def test_a_negative_number_of_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PhantomError, match="give 0 or more"):
        write_phantom_studies(tmp_path, "xray", gold=-1, unlabelled=0, validation=0, seed=0)
    assert not list(tmp_path.iterdir())
