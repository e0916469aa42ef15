"""The trainer `retrain`: the loop on gold and weak labels, as viewers start, follow and stop it."""

from __future__ import annotations

import json
import os
import time
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.train import TrainTask

from autoweak.atomic import write_json
from autoweak.errors import AutoweakError
from autoweak.progress import each
from autoweak.server.datastore import FolderDatastore
from autoweak.server.errors import NotReadyError
from autoweak.server.infers import is_true
from autoweak.server.live import Live
from autoweak.server.memory import LiveContext
from autoweak.workspace import ModelVersion

STATS_FILE = "training.json"
# What a viewer's bar is divided into; the parts take about so long on two cores.
_PARTS = {
    "Fetching images": 0,
    "Reading gold labels": 2,
    "Training the coarse model": 36,
    "Calibrating quality on gold": 4,
    "Weak labels": 10,
    "Weak labels for each fold": 10,
    "Retraining on gold + weak": 38,
}
_WRITE_SECONDS = 0.5


class LoopTrainer(TrainTask):
    """A training of the loop as viewers start, follow and stop it. Runs in a process of its own.

    Stopped or killed at any moment it leaves the last good model, and goes on where it was when started again.

    Args:
        live: the loop.
        datastore: the studies.
    """

    summary: str
    stats_file: str
    parts: Mapping[str, int]
    """The stages of the training, and how much of a viewer's bar each is."""

    def __init__(self, live: Live, datastore: FolderDatastore) -> None:
        super().__init__(self.summary)
        self._live = live
        self._datastore = datastore

    @abstractmethod
    def check(self) -> None:
        """Refuse a training that could only fail.

        Raises:
            ServerError: why it could.
        """

    @abstractmethod
    def train(self, progress: StatsProgress, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do the work, and return what is known of the model.

        Raises:
            AutoweakError: what a user can have done wrong.
        """

    @abstractmethod
    def best(self) -> ModelVersion | None:
        """The model whose Dice on held-out gold is told."""

    def stats(self) -> dict[str, Any]:
        """Progress of the last training, as 3D Slicer and OHIF read it; cheap, since `/info` asks for it."""
        try:
            content = json.loads(self._path(self.stats_file).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            content = None
        known = content if isinstance(content, dict) else {"epoch": 0, "total_epochs": sum(self.parts.values())}
        return {**known, "best_metric": self._best_dice()}

    def __call__(self, request: Mapping[str, Any], datastore: object = None) -> dict[str, Any]:
        """Train; what a user can have done wrong ends the process with one sentence."""
        del datastore
        progress = StatsProgress(self._path(self.stats_file), parts=self.parts)
        try:
            result = self.train(progress, request)
        except AutoweakError as error:
            progress.end(error=str(error))
            # MONAI Label shows the end of this process's output, and its status by the exit code.
            raise SystemExit(str(error)) from None
        progress.end(**result)
        return result

    def _best_dice(self) -> float:
        """3D Slicer multiplies it, so it is a number always."""
        version = self.best()
        value = self._live.workspace.record(version).get("mean_cv_dice") if version else None
        return float(value) if isinstance(value, (int, float)) else 0.0

    def _path(self, name: str) -> Path:
        return self._live.workspace.root / name


class Retrain(LoopTrainer):
    """Coarse model, quality, weak labels, retrained model; published only if better."""

    summary = "Coarse model on gold, then gold + weak labels; the better one is published"
    stats_file = STATS_FILE
    parts = _PARTS

    def config(self) -> dict[str, Any]:
        """What a viewer offers to change."""
        return {"use_weak_labels": True}

    def check(self) -> None:
        """Refuse a training that could only fail.

        Raises:
            NotReadyError: there are too few gold labels.
        """
        from autoweak.loop.gold import MINIMUM_GOLD

        gold = len(self._datastore.studies().gold)
        if gold < MINIMUM_GOLD:
            raise NotReadyError(
                f"There are {gold} gold labels and training needs at least {MINIMUM_GOLD} (25 are better): "
                "save labels of more images first."
            )

    def train(self, progress: StatsProgress, request: Mapping[str, Any]) -> dict[str, Any]:
        """See `LoopTrainer`."""
        from autoweak.loop.coarse import train_coarse
        from autoweak.loop.gold import read_gold
        from autoweak.loop.kept_quality import keep_quality
        from autoweak.loop.label import Labeller, calibrated
        from autoweak.loop.rounds import improve

        self._datastore.bring_all(progress)
        context = self._live.context(self._datastore.studies(), progress=progress)
        workspace = self._live.workspace
        with workspace.lock():
            gold = read_gold(context)
            coarse = train_coarse(context, gold)
            labeller, calibration = calibrated(Labeller.load(context, coarse), gold)
            keep_quality(labeller)
            if is_true(request.get("use_weak_labels", True)):
                self._label(context, tell=False)
                improved = improve(context, gold, labeller, calibration)
                decision = improved.decision
                keep_quality(improved.labeller)
                if improved.labeller.version != labeller.version or self._live.on_weak_label is not None:
                    self._label(context)
                known = {"model": decision.final.name, "reason": decision.reason}
            else:
                if workspace.published() is None:
                    workspace.publish(coarse, reason="gold labels only")
                known = {"model": coarse.name, "reason": "gold labels only, as asked"}
        return {**known, "gold": len(gold), "problems": len(context.problems)}

    def _label(self, context: LiveContext, *, tell: bool = True) -> None:
        """Give every image without a person's label its weak label, for the people who review meanwhile."""
        context.progress.stage("Weak labels")
        for study in each(context.studies.unlabelled, context.progress):
            try:
                self._live.weak_label(study, context.studies, tell=tell)
            except AutoweakError as error:
                context.report_problem(study.image_id, error)

    def best(self) -> ModelVersion | None:
        """The published model."""
        return self._live.best_version()


class StatsProgress:
    """Writes the progress of a training into a file that the server reads for its clients.

    Args:
        path: the file.
        parts: the stages of the training and how much of a viewer's bar each is.
    """

    def __init__(self, path: Path, *, parts: Mapping[str, int]) -> None:
        self._path = path
        self._parts = parts
        self._started = time.time()
        self._stage = ""
        self._written = 0.0
        self._epoch = 0
        self._server = os.getppid()

    def stage(self, name: str) -> None:
        """A new part of the training begins.

        Raises:
            NotReadyError: see `update`.
        """
        self._stop_if_alone()
        self._stage = name
        self._write(name, {})

    def update(self, done: int, total: int, text: str) -> None:
        """`done` of `total` steps of this part are done.

        Raises:
            NotReadyError: the server has ended. Nobody could follow or stop the training any more, and it would keep
                the next server's from the workspace.
        """
        self._stop_if_alone()
        if time.monotonic() - self._written < _WRITE_SECONDS and done < total:
            return
        names = list(self._parts)
        known = names[: names.index(self._stage)] if self._stage in self._parts else []
        before = sum(self._parts[name] for name in known)
        share = self._parts.get(self._stage, 0) * done / max(total, 1)
        # Parts that were found done from an earlier training are left out; a bar never goes back.
        self._epoch = max(self._epoch, int(before + share))
        self._write(text, {})

    def end(self, **known: Any) -> None:
        """The training is over; a viewer takes `total_time` for the sign of it."""
        if "error" not in known:
            self._epoch = sum(self._parts.values())
        self._write("done", {"total_time": round(time.time() - self._started, 1), **known})

    def _stop_if_alone(self) -> None:
        if os.getppid() != self._server:
            raise NotReadyError("The server has ended, and its training with it; started again it goes on from there.")

    def _write(self, text: str, more: dict[str, Any]) -> None:
        self._written = time.monotonic()
        content = {"epoch": self._epoch, "total_epochs": sum(self._parts.values()), "stage": self._stage, "text": text}
        write_json(self._path, {**content, "start_ts": int(self._started), **more})
