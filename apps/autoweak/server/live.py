"""The loop while a server runs: models that load on first use and change when a better one is there."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from autoweak.loop.choosing import CHOICES
from autoweak.loop.context import chooses, policy_of
from autoweak.progress import NoProgress, Progress
from autoweak.server.errors import BadRequestError, NotReadyError
from autoweak.server.memory import ImageMemory, LiveContext, Viewed
from autoweak.server.settings import Settings, SettingsError
from autoweak.studies import StudiesFolder, Study
from autoweak.tasks import Task, load_task
from autoweak.weak_labels import Sidecar
from autoweak.workspace import ModelKind, ModelVersion, Workspace

if TYPE_CHECKING:
    from autoweak.loop.label import Labeller
    from autoweak.promptable import EmbeddingCache, Promptable
    from autoweak.training import TrainedModel


class Live:
    """Task, workspace and models of the studies that are served. Building it loads no model.

    Args:
        root: the studies folder.
        settings: of the app.

    Raises:
        AutoweakError: a setting does not fit, or the workspace is for another task.
    """

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root = root
        self.settings = settings
        self.workspace = Workspace.of_studies(root)
        self.task = _task(settings, self.workspace)
        self.policy = policy_of(self.task, settings.policy)
        self.chooses = chooses(self.task, settings.policy)
        self.workspace.check_task(self.task.name)
        self.memory = ImageMemory()
        # Told of each weak label, also of those told before, where labels are sent to a server.
        self.on_weak_label: Callable[[Study, Sidecar], None] | None = None
        self._lock = threading.RLock()
        self._promptable: tuple[Promptable, EmbeddingCache] | None = None
        self._labeller: tuple[object, Labeller] | None = None
        self._model: tuple[str, TrainedModel] | None = None
        _check_promptable(settings.promptable or self.task.promptable, settings.checkpoint)

    @property
    def promptable_name(self) -> str:
        """Name of the promptable model in use; a checkpoint alone is loaded, since it says itself what it is."""
        if self.settings.checkpoint is not None and self.settings.promptable is None:
            return self.promptable()[0].name
        return self.settings.promptable or self.task.promptable

    def context(self, studies: StudiesFolder, *, progress: Progress | None = None) -> LiveContext:
        """A fresh context of the loop over `studies`."""
        return LiveContext(
            studies=studies,
            task=self.task,
            workspace=self.workspace,
            policy=self.policy,
            chooses=self.chooses,
            seed=self.settings.seed,
            promptable=self.settings.promptable,
            checkpoint=self.settings.checkpoint,
            device=self.settings.device,
            precision=self.settings.precision,
            progress=progress or NoProgress(),
            notes=list(studies.notes),
            memory=self.memory,
        )

    def image(self, study: Study) -> Viewed:
        """An image and its view (S, H, W, C), from memory where it was used before."""
        return self.memory.get(study, self.task)

    def promptable(self) -> tuple[Promptable, EmbeddingCache]:
        """The promptable model and the cache of its embeddings, loaded once."""
        with self._lock:
            if self._promptable is None:
                self._promptable = self.context(StudiesFolder(self.root, ())).load_promptable()
            return self._promptable

    def labelling_version(self) -> ModelVersion | None:
        """The model whose maps become prompts; None where none is trained yet."""
        from autoweak.loop.retrain import labelling_version

        coarse = self.workspace.current(ModelKind.COARSE)
        return None if coarse is None else labelling_version(self.workspace, coarse)

    def best_version(self) -> ModelVersion | None:
        """The published model, else the current coarse one."""
        return self.workspace.published_version() or self.labelling_version()

    def best_model(self) -> tuple[ModelVersion, TrainedModel]:
        """The model of `best_version`, loaded when it is first used and when a better one is published.

        Raises:
            NotReadyError: none is trained yet.
        """
        from autoweak.loop.coarse import load_model

        version = self.best_version()
        if version is None:
            raise NotReadyError(self.missing())
        with self._lock:
            if self._model is None or self._model[0] != version.name:
                self._model = version.name, load_model(version)
            return version, self._model[1]

    def labeller(self, studies: StudiesFolder) -> Labeller:
        """What makes weak labels: current coarse model, promptable model, quality.

        Raises:
            NotReadyError: no coarse model is trained yet.
        """
        from autoweak.loop.kept_quality import QUALITY, kept_quality
        from autoweak.loop.label import Labeller

        version = self.labelling_version()
        if version is None:
            raise NotReadyError(self.missing())
        # The record as well: a version that was deleted and trained anew has the same name.
        written = [_changed(path) for path in (self.workspace.root / CHOICES, self.workspace.root / QUALITY)]
        key = (version.name, self.workspace.record(version).get("sha256"), *written)
        with self._lock:
            if self._labeller is None or self._labeller[0] != key:
                promptable, cache = self.promptable()
                made = Labeller.of(self.context(studies), version, _load(version), promptable, cache)
                self._labeller = key, dataclasses.replace(made, quality=kept_quality(made))
            return dataclasses.replace(self._labeller[1], context=self.context(studies))

    def weak_label(self, study: Study, studies: StudiesFolder, *, tell: bool = True) -> Sidecar | None:
        """The weak label of a study, made now unless a fresh one is there.

        Args:
            study: the image.
            studies: all of them.
            tell: tell `on_weak_label`; not where a better label may follow at once.

        Returns:
            None where a person's work is in the place of the weak label.

        Raises:
            NotReadyError: no coarse model is trained yet.
            AutoweakError: the image cannot be read.
        """
        from autoweak.loop.label import label_one

        labeller = self.labeller(studies)
        labeller.context.remember_task()
        made = label_one(labeller, study)
        if made is None and labeller.context.problems:
            raise BadRequestError(labeller.context.problems[0].reason)
        if made is None:
            return None
        sidecar, _ = made
        if tell and self.on_weak_label is not None:
            self.on_weak_label(study, sidecar)
        return sidecar

    def missing(self) -> str:
        """What has to be done before there is a coarse model, in a sentence."""
        from autoweak.loop.gold import MINIMUM_GOLD

        return (
            f"There is no coarse model yet: save labels of at least {MINIMUM_GOLD} images (25 are better), then start "
            "the training `retrain`; until then the interactive model `medsam` works."
        )


def _changed(path: Path) -> int:
    """When a folder last got a file, in nanoseconds; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _load(version: ModelVersion) -> TrainedModel:
    from autoweak.loop.coarse import load_model

    return load_model(version)


def _task(settings: Settings, workspace: Workspace) -> Task:
    if settings.task is not None:
        return load_task(settings.task)
    if not (workspace.root / "task.json").is_file():
        raise SettingsError(
            f"{workspace.root.parent} has no workspace that knows its task yet: name one with --conf task NAME, "
            "e.g. --conf task breast_ultrasound."
        )
    return workspace.recorded_task()


def _check_promptable(name: str, checkpoint: Path | None) -> None:
    """Refuse a model that cannot be loaded now, not at the first click."""
    from autoweak.promptable.checkpoints import find_checkpoint
    from autoweak.promptable.registry import get_entry

    find_checkpoint(get_entry(name), checkpoint)
