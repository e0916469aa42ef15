"""Finding the project's own files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from autoweak import resources
from autoweak.errors import AutoweakError


def test_a_checkout_is_found_before_an_installation() -> None:
    assert (resources.resource_path("configs") / "breast_ultrasound.yaml").is_file()


def test_an_installation_is_found_under_its_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "venv" / "lib" / "python3.11" / "site-packages" / "autoweak"
    configs = tmp_path / "venv" / "share" / "autoweak" / "configs"
    configs.mkdir(parents=True)
    monkeypatch.setattr(resources, "_PACKAGE", package)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "elsewhere"))
    assert resources.resource_path("configs") == configs


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "autoweak")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(AutoweakError, match="install the project again"):
        resources.resource_path("configs")
