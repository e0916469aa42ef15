"""The list of models is data."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from autoweak.promptable.registry import MODELS, entries_of


def test_listing_models_loads_no_torch() -> None:
    code = "import sys, autoweak.promptable.registry as r; assert 'torch' not in sys.modules; print(*r.MODELS)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["small", "medsam", "medsam-points", "sam-vit-b", "sam-vit-l", "sam-vit-h"]


def test_bundled_weights_are_there_under_ten_megabytes_and_as_recorded() -> None:
    path = MODELS["small"].bundled
    assert path is not None
    content = path.read_bytes()
    assert len(content) <= 10_000_000
    assert hashlib.sha256(content).hexdigest() == MODELS["small"].sha256
    assert path.with_suffix(".md").is_file()


def test_each_family_has_its_contract() -> None:
    contracts = {name: entry.contract.name for name, entry in MODELS.items()}
    assert contracts == {
        "small": "small",
        "medsam": "medsam",
        "medsam-points": "medsam",
        "sam-vit-b": "sam",
        "sam-vit-l": "sam",
        "sam-vit-h": "sam",
    }


@pytest.mark.parametrize("name", MODELS)
def test_entries_are_complete(name: str) -> None:
    entry = MODELS[name]
    assert entry.name == name
    assert Path(entry.file).name == entry.file
    assert all([entry.summary, entry.terms, entry.bundled is not None or entry.source])
    assert entry.sha256 is None or re.fullmatch("[0-9a-f]{64}", entry.sha256)
    assert entry.md5 is None or re.fullmatch("[0-9a-f]{32}", entry.md5)


def test_what_can_be_fetched_has_a_checksum_and_a_size() -> None:
    fetched = [entry for entry in MODELS.values() if entry.url is not None]
    assert [entry.name for entry in fetched] == ["medsam", "sam-vit-b", "sam-vit-l", "sam-vit-h"]
    for entry in fetched:
        assert urlsplit(entry.url).scheme == "https"
        assert entry.url.endswith(f"/{entry.file}")
        assert entry.checksum is not None
        assert entry.bytes is not None


def test_checksums_name_their_algorithm() -> None:
    assert MODELS["medsam"].checksum == "md5:3bb6db55bd0c9ca30b61248bca72f8d6"
    assert MODELS["sam-vit-b"].checksum == f"sha256:{MODELS['sam-vit-b'].sha256}"
    assert MODELS["medsam-points"].checksum is None


def test_files_do_not_collide_in_the_store() -> None:
    assert len({entry.file for entry in MODELS.values()}) == len(MODELS)


def test_tensors_alone_tell_only_some_models() -> None:
    assert [entry.name for entry in entries_of("vit_b")] == ["medsam", "medsam-points", "sam-vit-b"]
    assert [entry.name for entry in entries_of("vit_h")] == ["sam-vit-h"]
    assert entries_of("vit_t") == ()
