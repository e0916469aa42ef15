"""Embeddings on disk: an image is encoded once per model, ever."""

from __future__ import annotations

import contextlib
import os
import zlib
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from autoweak.atomic import write_with
from autoweak.promptable.model import Embedding

DEFAULT_MAX_BYTES = 4 * 1024**3
_SUFFIX = ".safetensors"
_FEATURES = "features"
_SIZE = "image_size"
_CHECKSUM = "crc32"
# Written over the limit, the cache is emptied to below it, so that not every new entry lists the folder's files.
_KEPT_SHARE = 0.9


class Encoder(Protocol):
    """The part of a promptable model that the cache uses; see `autoweak.promptable.model.Promptable`."""

    def key_of(self, image: npt.NDArray[np.generic]) -> str:
        """Name the embedding of an image."""

    def encode(self, image: npt.NDArray[np.generic]) -> Embedding:
        """Encode an image."""


class EmbeddingCache:
    """Embeddings as float16 safetensors files, one an image and model, named by their key.

    Several processes may share a folder: entries are written atomically and hold the same whoever writes them. An
    entry that cannot be read is made anew. Above the size limit those that were used longest ago are removed.

    Args:
        folder: where the entries lie, made when the first is written; None keeps nothing.
        max_bytes: size limit of all entries together.

    Attributes:
        encoded: how many images were encoded.
        hits: how many embeddings came from disk.
    """

    def __init__(self, folder: Path | None, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self.encoded = 0
        self.hits = 0
        self._folder = folder
        self._max_bytes = max_bytes
        self._bytes: int | None = None

    def get(self, model: Encoder, image: npt.NDArray[np.generic]) -> Embedding:
        """Return the embedding of one slice, from disk or encoded now.

        Its features are rounded to float16 either way, so that the first run and every later one give the same masks.

        Args:
            model: the promptable model.
            image: as `Promptable.encode` takes it.

        Raises:
            ImageError: the image cannot be encoded.
        """
        key = model.key_of(image)
        if self._folder is not None:
            found = _read(self._folder / f"{key}{_SUFFIX}", key, (int(image.shape[0]), int(image.shape[1])))
            if found is not None:
                self.hits += 1
                return found
        embedding = model.encode(image)
        self.encoded += 1
        half = embedding.features.to("cpu", torch.float16).contiguous()
        if self._folder is not None:
            self._write(self._folder / f"{key}{_SUFFIX}", half, embedding.image_size)
        return Embedding(features=half.float(), image_size=embedding.image_size, key=key)

    def _write(self, path: Path, features: Tensor, image_size: tuple[int, int]) -> None:
        content = {_FEATURES: features, _SIZE: torch.tensor(image_size)}
        metadata = {_CHECKSUM: _checksum(features)}
        write_with(path, lambda partial: save_file(content, partial, metadata=metadata))
        if self._bytes is None:
            self._bytes = sum(size for _, size, _ in _entries(path.parent))
        else:
            self._bytes += path.stat().st_size
        if self._bytes > self._max_bytes:
            self._bytes = _evict(path.parent, int(self._max_bytes * _KEPT_SHARE), keep=path)


def _read(path: Path, key: str, image_size: tuple[int, int]) -> Embedding | None:
    """Read an entry and mark it as used; None if there is none or it is damaged."""
    try:
        with safe_open(path, framework="pt") as stored:
            features, size = stored.get_tensor(_FEATURES), tuple(stored.get_tensor(_SIZE).tolist())
            checksum = (stored.metadata() or {}).get(_CHECKSUM)
    except (OSError, SafetensorError, ValueError, TypeError):  # as it may be damaged anywhere
        return None
    if features.dtype != torch.float16 or size != image_size or checksum != _checksum(features):
        return None
    with contextlib.suppress(OSError):  # another process may just have evicted it
        os.utime(path)
    return Embedding(features=features.float(), image_size=image_size, key=key)


def _checksum(features: Tensor) -> str:
    return f"{zlib.crc32(features.numpy().tobytes()):08x}"


def _entries(folder: Path) -> list[tuple[int, int, Path]]:
    """Time of last use in nanoseconds, size in bytes and path of each entry."""
    found = []
    for path in folder.glob(f"[!.]*{_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            found.append((status.st_mtime_ns, status.st_size, path))
    return found


def _evict(folder: Path, limit: int, *, keep: Path) -> int:
    """Remove the entries used longest ago until `limit` bytes remain, never `keep`; return what remains."""
    entries = sorted(_entries(folder))
    total = sum(size for _, size, _ in entries)
    for _, size, path in entries:
        if total <= limit:
            break
        if path != keep:
            path.unlink(missing_ok=True)
            total -= size
    return total
