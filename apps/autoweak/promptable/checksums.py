"""Checksums of weights, without torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

from autoweak.errors import CheckpointError
from autoweak.promptable.registry import ModelEntry

_CHUNK = 1 << 20


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits.

    Raises:
        CheckpointError: the file cannot be read.
    """
    return _digest(path, hashlib.sha256())


def is_published(entry: ModelEntry, path: Path, *, sha256: str) -> bool | None:
    """Whether a file with this SHA-256 is the one that was published as `entry`; None where that is not known.

    Raises:
        CheckpointError: the file cannot be read.
    """
    if entry.sha256 is not None:
        return sha256 == entry.sha256
    if entry.md5 is not None:
        # Against damage, not against an attacker: it is all that the publisher gives.
        return _digest(path, hashlib.md5(usedforsecurity=False)) == entry.md5
    return None


def _digest(path: Path, digest: hashlib._Hash) -> str:
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        msg = f"The checkpoint {path} cannot be read ({error.strerror}); check the path."
        raise CheckpointError(msg) from error
    return digest.hexdigest()
