from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from autoweak.hashing import file_sha256


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1])
def test_a_file_has_the_hash_of_its_bytes_whatever_its_size(tmp_path: Path, size: int) -> None:
    content = bytes(index % 251 for index in range(251)) * (size // 251 + 1)
    path = tmp_path / "file"
    path.write_bytes(content[:size])
    assert file_sha256(path) == hashlib.sha256(content[:size]).hexdigest()
