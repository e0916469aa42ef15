"""Versions, publication, lock and task of a workspace."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autoweak.atomic import write_json
from autoweak.errors import WorkspaceError
from autoweak.workspace import ModelChoice, ModelKind, ModelVersion, Workspace, fingerprint


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace.of_studies(tmp_path)
    with made.lock():
        made.remember_task({"name": "toy"})
    return made


def _complete(workspace: Workspace, kind: ModelKind, key: str) -> ModelVersion:
    version = workspace.new_version(kind)
    write_json(version.folder / "model.json", {})
    workspace.write_record(version, {"fingerprint": key})
    return version


def test_fingerprint_does_not_depend_on_key_order() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_versions_count_up_and_are_found_by_fingerprint(workspace: Workspace) -> None:
    first, second = (_complete(workspace, ModelKind.COARSE, key) for key in ("one", "two"))
    assert [version.name for version in workspace.versions(ModelKind.COARSE)] == ["coarse/v001", "coarse/v002"]
    assert workspace.find(ModelKind.COARSE, "one") == first
    assert workspace.find(ModelKind.COARSE, "three") is None
    assert workspace.choose(ModelChoice.COARSE) == second


def test_a_version_found_again_is_the_current_one(workspace: Workspace) -> None:
    assert workspace.current(ModelKind.COARSE) is None
    first, second = (_complete(workspace, ModelKind.COARSE, key) for key in ("one", "two"))
    assert workspace.current(ModelKind.COARSE) == second
    workspace.use(first)
    assert workspace.current(ModelKind.COARSE) == workspace.choose(ModelChoice.COARSE) == first
    shutil.rmtree(first.folder)
    assert workspace.current(ModelKind.COARSE) == second


def test_a_version_without_record_does_not_count(workspace: Workspace) -> None:
    version = workspace.new_version(ModelKind.COARSE)
    write_json(version.folder / "model.json", {})
    assert workspace.versions(ModelKind.COARSE) == ()
    assert workspace.new_version(ModelKind.COARSE) == version


def test_final_is_the_published_version(workspace: Workspace) -> None:
    coarse = _complete(workspace, ModelKind.COARSE, "one")
    _complete(workspace, ModelKind.RETRAINED, "two")
    with pytest.raises(WorkspaceError, match="no final model"):
        workspace.choose(ModelChoice.FINAL)
    workspace.publish(coarse, reason="better")
    assert workspace.choose(ModelChoice.FINAL) == coarse


def test_workspace_keeps_to_its_task(workspace: Workspace) -> None:
    workspace.remember_task({"name": "toy", "more": 1})
    assert workspace.task() == {"name": "toy", "more": 1}
    with pytest.raises(WorkspaceError, match="is for task 'toy', not 'other'"):
        workspace.remember_task({"name": "other"})


def test_a_workspace_in_which_nothing_was_done_goes_again(tmp_path: Path) -> None:
    workspace = Workspace.of_studies(tmp_path)
    with pytest.raises(WorkspaceError), workspace.lock():
        raise WorkspaceError("wrong request")
    assert list(tmp_path.iterdir()) == []


def test_workspace_is_for_its_owner_alone(workspace: Workspace) -> None:
    assert workspace.root.stat().st_mode & 0o077 == 0


def test_existing_accepts_studies_or_workspace(workspace: Workspace, tmp_path: Path) -> None:
    assert Workspace.existing(tmp_path).root == workspace.root
    assert Workspace.existing(workspace.root).root == workspace.root
    with pytest.raises(WorkspaceError, match="autoweak run"):
        Workspace.existing(tmp_path / "elsewhere")


def test_lock_is_exclusive_and_freed_by_kill(workspace: Workspace) -> None:
    code = (
        "import sys, time; from pathlib import Path; from autoweak.workspace import Workspace\n"
        "with Workspace(Path(sys.argv[1])).lock():\n    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(workspace.root)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(WorkspaceError, match="Another autoweak process"), workspace.lock():
            pass
        holder.kill()
    with workspace.lock():
        pass
