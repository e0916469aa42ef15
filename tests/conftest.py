"""Fixtures for all tests: where the real images are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real images: the setting AUTOWEAK_DATA, by default ../shared/data beside the checkout."""
    folder = Path(os.environ.get("AUTOWEAK_DATA", _DEFAULT))
    if not folder.is_dir():
        reason = f"no real images at {folder}: set AUTOWEAK_DATA"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several processes: a file's tests stay together, and those of the server, which share servers, all do."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        group = "server" if item.path.parent.name == "server" else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
