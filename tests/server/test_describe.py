"""Vectors of images belong to the weights they were made with."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from autoweak.phantoms.demo import PhantomKind, write_phantom_studies
from autoweak.promptable import registry
from autoweak.server.describe import Descriptions
from autoweak.server.live import Live
from autoweak.server.settings import Settings
from autoweak.studies import open_studies


def test_other_weights_make_other_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_phantom_studies(tmp_path / "studies", kind=PhantomKind.ULTRASOUND, gold=1, unlabelled=1, validation=1, seed=0)
    root = next(tmp_path.rglob("labels")).parent
    live = Live(root, Settings(task="breast_ultrasound"))
    study = open_studies(root).studies[0]
    made = Descriptions(live).get(study, compute=True)
    assert made is not None
    assert np.linalg.norm(made) == pytest.approx(1, abs=1e-4)
    kept = Descriptions(live).get(study, compute=False)
    assert np.array_equal(kept, made)
    newer = dataclasses.replace(registry.MODELS["small"], sha256="0" * 64)
    monkeypatch.setattr(registry, "MODELS", MappingProxyType({**registry.MODELS, "small": newer}))
    assert Descriptions(live).get(study, compute=False) is None


def test_what_lies_elsewhere_is_not_fetched_to_be_described(tmp_path: Path) -> None:
    write_phantom_studies(tmp_path / "studies", kind=PhantomKind.ULTRASOUND, gold=1, unlabelled=1, validation=0, seed=0)
    root = next(tmp_path.rglob("labels")).parent
    live = Live(root, Settings(task="breast_ultrasound"))
    fetched: list[str] = []
    live.memory.fetch = lambda study: fetched.append(study.image_id)
    here, away = open_studies(root).studies
    away.path.unlink()
    describe = Descriptions(live).within({study.image_id: study for study in (here, away)})
    assert describe(here.image_id) is not None
    assert describe(away.image_id) is None
    assert fetched == []
