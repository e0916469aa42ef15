"""Finding the project's own files."""

from __future__ import annotations

import configparser
import subprocess
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


def test_an_installation_ships_every_file_of_the_bundles() -> None:
    root = Path(__file__).parents[1]
    settings = configparser.ConfigParser()
    settings.read(root / "setup.cfg")
    shipped = {
        str(file.relative_to(root))
        for patterns in settings["options.data_files"].values()
        for pattern in patterns.split()
        for file in root.glob(pattern)
    }
    listed = subprocess.run(["git", "ls-files", "bundles"], cwd=root, capture_output=True, text=True, check=True)
    assert "bundles/coarse_segmentation/models/model.pt" in listed.stdout
    assert sorted(set(listed.stdout.split()) - shipped) == []
