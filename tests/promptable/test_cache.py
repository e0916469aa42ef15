"""The embedding cache: the same masks cold and warm, whatever happens to its files."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoweak.promptable.cache import EmbeddingCache
from autoweak.promptable.model import Promptable

BOX = [[20.0, 10.0, 90.0, 70.0]]


def entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@pytest.mark.parametrize("kept", [True, False])
def test_cold_and_warm_give_the_same(sam_model: Promptable, image: np.ndarray, tmp_path: Path, kept: bool) -> None:
    folder = tmp_path / "embeddings" if kept else None
    cache = EmbeddingCache(folder, max_bytes=10**9)
    cold, warm = cache.get(sam_model, image), cache.get(sam_model, image)
    assert torch.equal(cold.features, warm.features)
    assert (cold.key, cold.image_size) == (warm.key, warm.image_size)
    assert (cache.encoded, cache.hits) == ((1, 1) if kept else (2, 0))
    first, second = (sam_model.decode(each, boxes=BOX).logits for each in (cold, warm))
    assert np.array_equal(first, second)


def test_rounding_to_half_precision_hardly_moves_logits(sam_model: Promptable, image: np.ndarray) -> None:
    exact = sam_model.decode(sam_model.encode(image), boxes=BOX).logits
    rounded = sam_model.decode(EmbeddingCache(None, max_bytes=0).get(sam_model, image), boxes=BOX).logits
    assert np.abs(exact - rounded).max() < 0.05


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), cut=st.booleans())
def test_a_damaged_entry_is_made_anew(
    sam_model: Promptable, image: np.ndarray, tmp_path_factory: pytest.TempPathFactory, place: float, cut: bool
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    whole = EmbeddingCache(folder, max_bytes=10**9).get(sam_model, image)
    (path,) = entries(folder)
    content = bytearray(path.read_bytes())
    at = int(place * len(content))
    if cut:
        del content[at:]
    else:
        content[at] ^= 0xFF
    path.write_bytes(content)
    cache = EmbeddingCache(folder, max_bytes=10**9)
    assert torch.equal(cache.get(sam_model, image).features, whole.features)
    assert cache.encoded + cache.hits == 1
    assert EmbeddingCache(folder, max_bytes=10**9).get(sam_model, image).key == whole.key


def test_a_damaged_entry_counts_as_encoded_and_is_repaired(
    sam_model: Promptable, image: np.ndarray, tmp_path: Path
) -> None:
    cache = EmbeddingCache(tmp_path, max_bytes=10**9)
    cache.get(sam_model, image)
    (path,) = entries(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    cache.get(sam_model, image)
    assert (cache.encoded, cache.hits) == (2, 0)
    assert path.read_bytes() == content


def test_what_was_used_longest_ago_goes_first(sam_model: Promptable, tmp_path: Path) -> None:
    images = [np.full((8, 8), value, np.uint8) for value in range(4)]
    cache = EmbeddingCache(tmp_path, max_bytes=10**9)
    paths = []
    for age, each in enumerate(images[:3]):
        key = cache.get(sam_model, each).key
        paths.append(tmp_path / f"{key}.safetensors")
        os.utime(paths[-1], (1000 + age, 1000 + age))
    size = paths[0].stat().st_size
    cache.get(sam_model, images[0])  # used again: now the newest
    limited = EmbeddingCache(tmp_path, max_bytes=int(3.5 * size))
    limited.get(sam_model, images[3])
    assert paths[0].exists()
    assert not paths[1].exists()
    assert paths[2].exists()
    assert len(entries(tmp_path)) == 3


def test_the_limit_holds_after_every_entry(sam_model: Promptable, tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, max_bytes=1)
    for value in range(3):
        cache.get(sam_model, np.full((8, 8), value, np.uint8))
        assert len(entries(tmp_path)) == 1  # the newest stays, whatever the limit


def test_several_writers_share_a_folder(sam_model: Promptable, tmp_path: Path) -> None:
    images = [np.full((8, 8), value % 3, np.uint8) for value in range(12)]

    def get(image: np.ndarray) -> torch.Tensor:
        return EmbeddingCache(tmp_path, max_bytes=10**9).get(sam_model, image).features

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(get, images))
    assert len(entries(tmp_path)) == 3
    for index, features in enumerate(found):
        assert torch.equal(features, found[index % 3])
