"""The workspace: `<studies>/.autoweak/`, where models, embeddings, runs and reports live.

Deleting it loses no label: it holds only what the program can make again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoweak.atomic import write_json
from autoweak.errors import WorkspaceError

if TYPE_CHECKING:
    from autoweak.tasks import Task

FOLDER_NAME = ".autoweak"


class ModelKind(str, Enum):
    """Which training made a model; the values are folder names."""

    COARSE = "coarse"
    RETRAINED = "retrained"
    LEARNED = "learned"


class ModelChoice(str, Enum):
    """Which model a user asks for: the gold-only one, the gold + weak one, the better of them, or learned prompts."""

    COARSE = "coarse"
    RETRAINED = "retrained"
    LEARNED = "learned"
    FINAL = "final"


@dataclass(frozen=True)
class ModelVersion:
    """One trained model in the workspace."""

    kind: ModelKind
    version: int
    folder: Path

    @property
    def name(self) -> str:
        """`coarse/v001`, as sidecars and reports say it."""
        return f"{self.kind.value}/{self.folder.name}"


def fingerprint(content: Any) -> str:
    """SHA-256 of canonical JSON: equal inputs, equal fingerprint, whatever the order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Workspace:
    """Paths, model versions and the lock of one workspace folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def of_studies(cls, studies: Path) -> Workspace:
        """The workspace that belongs to a studies folder; it is made when it is first locked."""
        return cls(studies / FOLDER_NAME)

    @classmethod
    def existing(cls, folder: Path) -> Workspace:
        """The workspace at `folder`, or of the studies folder `folder`.

        Raises:
            WorkspaceError: when there is none.
        """
        for root in (folder, folder / FOLDER_NAME):
            if (root / "task.json").is_file():
                return cls(root)
        raise WorkspaceError(f"No workspace at {folder}: run `autoweak run {folder} --task NAME` first.")

    @property
    def embeddings(self) -> Path:
        """Cached image embeddings."""
        return self.root / "embeddings"

    @property
    def reports(self) -> Path:
        """One folder a report."""
        return self.root / "reports"

    def run_folder(self, key: str) -> Path:
        """Where a piece of work with fingerprint `key` keeps what it needs to resume."""
        return self.root / "runs" / key[:16]

    def coarse_map(self, version: ModelVersion, image_id: str) -> Path:
        """Where the probability map that `version` gave for an image is kept."""
        return self.root / "coarse_maps" / version.name / f"{image_id}.npz"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for one writing process; the system lets go of it when the process dies.

        The workspace is made if missing, and removed again if nothing was put into it.

        Raises:
            WorkspaceError: when another process holds it.
        """
        from filelock import FileLock, Timeout

        self._make()
        lock = FileLock(self.root / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise WorkspaceError(
                f"Another autoweak process is working on {self.root.parent}: wait for it to end, or stop it first."
            ) from None
        try:
            yield
        finally:
            lock.release()
            if not {path.name for path in self.root.iterdir()} - {"lock"}:
                (self.root / "lock").unlink(missing_ok=True)
                self.root.rmdir()

    def check_task(self, name: str) -> None:
        """Make sure that this workspace is not for another task.

        Raises:
            WorkspaceError: when it was made for a task of another name.
        """
        if not (self.root / "task.json").is_file():
            return
        known = self.task().get("name")
        if known != name:
            raise WorkspaceError(
                f"The workspace {self.root} is for task {known!r}, not {name!r}: "
                "use another studies folder, or delete that workspace (no label is lost)."
            )

    def remember_task(self, task: dict[str, Any]) -> None:
        """Record the task this workspace is for.

        Raises:
            WorkspaceError: when the workspace was made for a task of another name.
        """
        self.check_task(task["name"])
        self._make()
        if _read_json(self.root / "task.json") != task:
            write_json(self.root / "task.json", task)

    def task(self) -> dict[str, Any]:
        """The recorded task, as plain data.

        Raises:
            WorkspaceError: when it is missing or damaged.
        """
        content = _read_json(self.root / "task.json")
        if not isinstance(content, dict):
            raise WorkspaceError(f"{self.root / 'task.json'} is damaged: delete it and run again.")
        return content

    def recorded_task(self) -> Task:
        """The recorded task, checked.

        Raises:
            WorkspaceError: when it is missing, damaged or of another version of the program.
        """
        from pydantic import ValidationError

        from autoweak.tasks import Task

        try:
            return Task.model_validate(self.task())
        except ValidationError:
            raise WorkspaceError(
                f"The task recorded in {self.root / 'task.json'} is not valid for this version of autoweak: "
                "run again with --task NAME."
            ) from None

    def versions(self, kind: ModelKind) -> tuple[ModelVersion, ...]:
        """All complete versions of a kind, oldest first."""
        found = []
        for folder in (self.root / "models" / kind.value).glob("v[0-9]*"):
            complete = (folder / "model.json").is_file() and (folder / "record.json").is_file()
            if folder.name[1:].isdigit() and complete:
                found.append(ModelVersion(kind, int(folder.name[1:]), folder))
        return tuple(sorted(found, key=lambda version: version.version))

    def new_version(self, kind: ModelKind) -> ModelVersion:
        """The next free version; its folder does not exist yet."""
        taken = self.versions(kind)
        number = taken[-1].version + 1 if taken else 1
        return ModelVersion(kind, number, self.root / "models" / kind.value / f"v{number:03d}")

    def find(self, kind: ModelKind, key: str) -> ModelVersion | None:
        """The version that was trained from inputs with fingerprint `key`, if there is one."""
        for version in reversed(self.versions(kind)):
            if self.record(version).get("fingerprint") == key:
                return version
        return None

    def use(self, version: ModelVersion) -> ModelVersion:
        """Make `version` the current one of its kind: it was just trained, or found to fit gold and settings again."""
        write_json(self._current_path(version.kind), {"version": version.version})
        return version

    def current(self, kind: ModelKind) -> ModelVersion | None:
        """The version of a kind that fitted gold and settings last; the newest where that is not known."""
        versions = self.versions(kind)
        known = _read_json(self._current_path(kind))
        number = known.get("version") if isinstance(known, dict) else None
        for version in versions:
            if version.version == number:
                return version
        return versions[-1] if versions else None

    def record(self, version: ModelVersion) -> dict[str, Any]:
        """What is known of a version beside its weights: fingerprint, scores, inputs."""
        content = _read_json(self._record_path(version))
        return content if isinstance(content, dict) else {}

    def write_record(self, version: ModelVersion, record: dict[str, Any]) -> None:
        """Keep what is known of a version, which is complete by that, and the current one."""
        write_json(self._record_path(version), record)
        self.use(version)

    def publish(self, version: ModelVersion, *, reason: str) -> None:
        """Make `version` the final model."""
        write_json(
            self.root / "models" / "final.json",
            {"kind": version.kind.value, "version": version.version, "reason": reason},
        )

    def published(self) -> dict[str, Any] | None:
        """The record of the final model (`kind`, `version`, `reason`), if one is published."""
        content = _read_json(self.root / "models" / "final.json")
        return content if isinstance(content, dict) else None

    def published_version(self) -> ModelVersion | None:
        """The final model, if one is published and there."""
        published = self.published()
        for version in self.versions(ModelKind(published["kind"])) if published else ():
            if published is not None and version.version == published["version"]:
                return version
        return None

    def choose(self, choice: ModelChoice) -> ModelVersion:
        """The current model of the kind asked for, or the published one.

        Raises:
            WorkspaceError: when there is none.
        """
        if choice is not ModelChoice.FINAL:
            current = self.current(ModelKind(choice.value))
            if current is not None:
                return current
        else:
            final = self.published_version()
            if final is not None:
                return final
        how = "train" if choice is ModelChoice.LEARNED else "run"
        which = " --model learned" if choice is ModelChoice.LEARNED else ""
        raise WorkspaceError(
            f"There is no {choice.value} model in {self.root}: train one with "
            f"`autoweak {how} {self.root.parent} --task {self.task().get('name', 'NAME')}{which}`."
        )

    def _make(self) -> None:
        # 0700: it holds derived patient data, and shared hospital machines have other users.
        self.root.mkdir(mode=0o700, exist_ok=True)

    def _current_path(self, kind: ModelKind) -> Path:
        return self.root / "models" / f"{kind.value}.json"

    def _record_path(self, version: ModelVersion) -> Path:
        return version.folder / "record.json"


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
