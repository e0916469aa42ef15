"""The list of models is data."""

from __future__ import annotations

import hashlib
import subprocess
import sys

from autoweak.promptable.registry import MODELS


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
