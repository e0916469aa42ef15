"""Fixtures for all tests: where the real images are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

SERVER = "tests/server/"
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


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist there is no such hook
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several processes: a file's tests stay together, and those of the server, which share servers, all do."""
    from xdist.scheduler import LoadScopeScheduling

    # Not xdist's own groups by mark: with pytest 9.2 it puts the group into a name that is no longer read.
    class WholeFiles(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return SERVER if path.startswith(SERVER) else path

    return WholeFiles(config, log)
