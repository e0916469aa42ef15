"""The app that MONAI Label loads: the loop's tasks under the names that viewers see."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp

import autoweak
from autoweak.errors import AutoweakError
from autoweak.server import patience, start
from autoweak.server.batch import BATCH_MODEL, BatchLabel
from autoweak.server.datastore import FolderDatastore
from autoweak.server.describe import Descriptions
from autoweak.server.errors import BadRequestError, NotFoundError
from autoweak.server.infers import CoarseInfer, LiveInfer, Medsam, MedsamFromCoarse
from autoweak.server.learned import MODEL, TRAINER, LearnedInfer, PromptLearner
from autoweak.server.leases import Leases
from autoweak.server.live import Live
from autoweak.server.scoring import WeakLabelQuality
from autoweak.server.settings import parse_settings
from autoweak.server.strategy import WeakLabelStrategy
from autoweak.server.trainer import LoopTrainer, Retrain
from autoweak.studies import Study, list_images

UPLOADS = "uploads"


class AutoweakApp(MONAILabelApp):
    """The loop for 3D Slicer and OHIF.

    MONAI Label builds it again in each process that trains, scores or labels a batch: nothing heavy loads here.
    """

    def __init__(self, app_dir: str, studies: str, conf: Mapping[str, str]) -> None:
        try:
            self.settings = parse_settings(conf)
            cache = settings.MONAI_LABEL_DATASTORE_CACHE_PATH or settings.MONAI_LABEL_DICOMWEB_CACHE_PATH
            self.live = Live(start.studies_root(studies, cache=cache), self.settings)
            self.live.workspace.remember_task(self.live.task.model_dump(mode="json"))
            self.store = self._open_store(studies)
            self.store.studies()
        except AutoweakError as error:
            start.show_without_trace(error)
            raise
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=dict(conf),
            name=f"autoweak: {self.live.task.name}",
            description="",
            version=autoweak.__version__,
            labels=list(self.live.task.label_names),
        )
        # It would start a process of its own after each image that a client gets.
        self._auto_update_scoring = False

    @property
    def infers(self) -> Mapping[str, LiveInfer]:
        """The infer tasks by name."""
        tasks: Mapping[str, LiveInfer] = self._infers
        return tasks

    @property
    def trainers(self) -> Mapping[str, LoopTrainer]:
        """The trainers by name."""
        tasks: Mapping[str, LoopTrainer] = self._trainers
        return tasks

    @property
    def strategies(self) -> Mapping[str, WeakLabelStrategy]:
        """The strategies by name."""
        tasks: Mapping[str, WeakLabelStrategy] = self._strategies
        return tasks

    @property
    def scorings(self) -> Mapping[str, WeakLabelQuality]:
        """The scoring methods by name."""
        tasks: Mapping[str, WeakLabelQuality] = self._scoring_methods
        return tasks

    def _open_store(self, studies: str) -> FolderDatastore:
        uploads = self.live.workspace.root / UPLOADS
        if not start.is_dicomweb(studies):
            return FolderDatastore(self.live, uploads=uploads)
        from autoweak.server.dicomweb import DicomWebDatastore
        from autoweak.server.pacs import Pacs

        user, password = settings.MONAI_LABEL_DICOMWEB_USERNAME, settings.MONAI_LABEL_DICOMWEB_PASSWORD
        memory = self.live.workspace.root / "series.json"
        pacs = Pacs(studies, memory=memory, user=user, password=password, modality=self.settings.modality)
        return DicomWebDatastore(self.live, pacs, uploads=uploads)

    def init_datastore(self) -> FolderDatastore:
        return self.store

    def init_infers(self) -> dict[str, LiveInfer]:
        # Slicer's "auto-run pre-trained model" takes the first.
        tasks: dict[str, type[LiveInfer]] = {
            BATCH_MODEL: MedsamFromCoarse,
            "coarse": CoarseInfer,
            "medsam": Medsam,
            MODEL: LearnedInfer,
        }
        return {name: kind(self.live, self.store, self.uploads) for name, kind in tasks.items()}

    def init_trainers(self) -> dict[str, LoopTrainer]:
        # Slicer reads the progress of the first.
        return {"retrain": Retrain(self.live, self.store), TRAINER: PromptLearner(self.live, self.store)}

    def init_strategies(self) -> dict[str, WeakLabelStrategy]:
        path = self.live.workspace.root / "leases.json"
        leases = Leases(path, seconds=60 * self.settings.lease_minutes)
        strategy = WeakLabelStrategy(self.store, leases, Descriptions(self.live))
        # OHIF asks for "random" whatever is chosen in it, and gets the same order.
        return {"weak_label": strategy, "random": strategy}

    def init_scoring_methods(self) -> dict[str, WeakLabelQuality]:
        return {"weak_label_quality": WeakLabelQuality(self.live, self.store)}

    def init_batch_infer(self) -> Callable[..., Any]:
        return BatchLabel(self.live, self.store)

    def on_init_complete(self) -> None:
        """The server begins: uploads get a private folder, and slow requests no longer hold up the others."""
        folder = self.uploads()
        shutil.rmtree(folder)
        # MONAI Label writes uploads where `tempfile` says, and would take any path on this machine as an image.
        tempfile.tempdir = str(self.uploads())
        patience.install(self)
        self.store.begin()
        super().on_init_complete()

    def uploads(self) -> Path:
        """Folder for files that live as long as a request."""
        folder = self.live.workspace.root / UPLOADS
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def info(self) -> dict[str, Any]:
        """As MONAI Label has it, with what is missing until there is a coarse model."""
        task = self.live.task
        ready = self.live.labelling_version() is not None
        self.description = task.description if ready else f"{task.description} {self.live.missing()}"
        info: dict[str, Any] = super().info()
        return info

    def infer(self, request: Mapping[str, Any], datastore: object = None) -> dict[str, Any]:
        """Run an infer task on one of the studies, or on an image that was sent along."""
        del datastore  # the app has one
        task = self._infers.get(str(request.get("model")))
        if task is None:
            raise NotFoundError(f"There is no model {str(request.get('model'))[:80]!r}; use {', '.join(self._infers)}.")
        sent = request.get("label")
        with self.store.forgetting(request.get("image"), sent):
            # Both set always: a request's own parameters must not name a file to be read.
            found: dict[str, Any] = {"study": self._study(request.get("image")), "label_file": None}
            if isinstance(sent, str) and self._is_upload(sent):
                found |= {"label_file": sent, "label": None}
            path, params = task({**request, **found})
        return {"label": path, "tag": "original", "file": path, "params": params}

    def _study(self, image: object) -> Study:
        if isinstance(image, str) and self._is_upload(image):
            return _only(list_images(Path(image)))
        if not isinstance(image, str) or not image:
            raise BadRequestError("Which image? Give the id of one with ?image=, or send the image along.")
        return self.store.study(image)

    def _is_upload(self, path: str) -> bool:
        """Whether a path is one of a file that a client has just sent, or of its session; any other is refused."""
        folders = [self.uploads()]
        if self._sessions is not None:
            folders.append(Path(self._sessions.store_path))
        given = Path(path)
        return given.is_absolute() and any(given.resolve().is_relative_to(folder.resolve()) for folder in folders)


def _only(studies: Sequence[Study]) -> Study:
    if len(studies) > 1:
        raise BadRequestError(
            f"The file is a film of {len(studies)} frames, each an image of its own: add it to the studies, or send "
            "one frame as a picture."
        )
    return studies[0]
