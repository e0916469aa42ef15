"""A studies folder as MONAI Label's datastore.

MONAI Label's own keeps an index file that loses updates between processes, lists only some endings, joins ids and tags
to paths unchecked, and cannot tell a weak label's provenance. Here the folder itself is the truth.
"""

from __future__ import annotations

import contextlib
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore

from autoweak.atomic import write_with
from autoweak.errors import AutoweakError, StudiesError
from autoweak.progress import Progress
from autoweak.server.errors import BadRequestError, NotFoundError
from autoweak.server.files import image_file
from autoweak.server.gold import read_sent_label, save_gold
from autoweak.server.listing import Listing
from autoweak.server.live import Live
from autoweak.server.results import result_file
from autoweak.studies import StudiesFolder, Study, StudyImage, check_id, list_images, read_label
from autoweak.studies.names import ending, kind_of
from autoweak.weak_labels import Sidecar, read_sidecar

# Said of an image by the program alone: viewers open the path.
_OWN_INFO = {"id", "name", "path", "score", "reason"}
FINAL, ORIGINAL = "final", "original"
TAGS = (FINAL, ORIGINAL)


class FolderDatastore(Datastore):
    """Images and labels of a studies folder; safe for several threads and processes.

    Args:
        live: the loop over the folder.
        uploads: the folder of what clients have just sent.
    """

    def __init__(self, live: Live, *, uploads: Path) -> None:
        self._live = live
        self._uploads = uploads
        self._listing = Listing(live.root)
        self._info: dict[str, dict[str, Any]] = {}
        self._sidecars: dict[Path, tuple[int, Sidecar]] = {}
        self._save_lock = threading.Lock()

    def begin(self) -> None:
        """The server begins to answer."""

    def bring_all(self, progress: Progress) -> None:
        """Make all images be here, before work that needs them all; in a folder they are."""

    def used(self, image_id: str) -> None:
        """A model was run on an image."""

    def studies(self) -> StudiesFolder:
        """All studies as they are now."""
        return self._listing.get()

    def study(self, image_id: str) -> Study:
        """The study called `image_id`.

        Raises:
            NotFoundError: there is none, or the id cannot be one.
        """
        try:
            return self.studies().get(check_id(image_id))
        except StudiesError as error:
            raise NotFoundError(str(error)) from None

    def sidecar(self, study: Study) -> Sidecar | None:
        """The sidecar of a study's weak label, if it has one that can be read."""
        if study.sidecar is None:
            return None
        try:
            changed = study.sidecar.stat().st_mtime_ns
            known = self._sidecars.get(study.sidecar)
            if known is None or known[0] != changed:
                known = changed, read_sidecar(study.sidecar)
                self._sidecars[study.sidecar] = known
        except (AutoweakError, OSError):
            return None
        return known[1]

    @contextlib.contextmanager
    def forgetting(self, *sent: object) -> Iterator[None]:
        """Delete the files among `sent` if a request fails: MONAI Label deletes them only if it succeeds."""
        done = False
        try:
            yield
            done = True
        finally:
            for path in () if done else sent:
                if isinstance(path, str) and Path(path).parent == self._uploads:
                    Path(path).unlink(missing_ok=True)

    # What MONAI Label asks for.

    def name(self) -> str:
        return self._live.root.name

    def set_name(self, name: str) -> None:
        raise BadRequestError("The name of the studies is that of their folder; rename the folder.")

    def description(self) -> str:
        return self._live.task.description

    def set_description(self, description: str) -> None:
        raise BadRequestError("The description of the studies is that of their task; change the task file.")

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        root = self._live.root
        pairs = [
            (study.path if study.frame is None else self._file(study), study.gold)
            for study in self.studies().gold
            if study.gold is not None
        ]
        return [
            {"image": str(image), "label": str(gold)}
            if full_path
            else {"image": str(image.relative_to(root)), "label": str(gold.relative_to(root))}
            for image, gold in pairs
        ]

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        return {tag: image_id for tag in TAGS if _label(self.study(image_id), tag) is not None}

    def get_label_by_image_id(self, image_id: str, tag: str) -> str:
        return self.get_labels_by_image_id(image_id).get(tag, "")

    def get_image(self, image_id: str, params: Any = None) -> io.BytesIO:
        return io.BytesIO(Path(self.get_image_uri(image_id)).read_bytes())

    def get_image_uri(self, image_id: str) -> str:
        """Path of a file with the image alone: a folder with a DICOM series as NIfTI, a frame of a film as PNG."""
        return str(self._file(self.study(image_id)))

    def get_label(self, label_id: str, label_tag: str, params: Any = None) -> io.BytesIO:
        return io.BytesIO(Path(self.get_label_uri(label_id, label_tag)).read_bytes())

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """Path of the label as viewers can show it on its image: of a picture too, a NIfTI volume of one slice."""
        study = self.study(label_id)
        path = _label(study, _checked(label_tag))
        if path is None:
            raise NotFoundError(f"Image {label_id} has no label with the tag {label_tag}.")
        image, _ = self._live.image(study)
        mask = read_label(path, image=image, task=self._live.task).mask
        folder = self._cache("shown") / label_tag
        return str(result_file(mask, image=image, suffix=".nii.gz", folder=folder, name=study.image_id))

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        study = self.study(image_id)
        # MONAI Label tells this path to clients in the place of `get_image_uri`'s; a folder they could not load.
        alone = study.frame is None and study.path.is_file()
        path = {"path": str(study.path)} if alone else {}
        # Under this name a viewer on another machine keeps what it fetches, and takes its format from it.
        name = study.path.name if alone else f"{image_id}{'.nii.gz' if study.frame is None else '.png'}"
        return {**self._info.get(image_id, {}), "name": name, **path}

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        return self._label_info(self.study(label_id), _checked(label_tag))

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        return [study.image_id for study in self.studies().gold]

    def get_unlabeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        return [study.image_id for study in self.studies().unlabelled]

    def list_images(self) -> list[str]:
        return [study.image_id for study in self.studies().studies]

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        studies = self.studies().gold[: max(limit_cases or 0, 0) or None]
        if not studies:
            raise NotFoundError("There is no gold label yet, so there is nothing to download.")
        path = self._cache("shown") / "dataset.zip"

        def write(partial: Path) -> None:
            with zipfile.ZipFile(partial, "w") as archive:
                for study in studies:
                    for role, file in (("image", self._file(study)), ("label", study.gold)):
                        if file is not None:
                            archive.write(file, arcname=f"{role}/{study.image_id}{ending(file.name)}")

        write_with(path, write)
        return str(path)

    def refresh(self) -> None:
        self._listing.forget()

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Add an uploaded image; one of that name is never replaced."""
        with self.forgetting(image_filename):
            return self._add_image(image_id, Path(image_filename))

    def _add_image(self, image_id: str, source: Path) -> str:
        image_id = image_id or source.name[: len(source.name) - len(ending(source.name))]
        try:
            check_id(image_id)
        except StudiesError as error:
            raise BadRequestError(str(error)) from None
        if kind_of(source) is None:
            raise BadRequestError("An image is uploaded as PNG, JPEG, BMP, TIFF, NIfTI, NRRD or DICOM, named so.")
        self._live.image(list_images(source)[0])
        path = self._live.root / f"{image_id}{ending(source.name) or '.dcm'}"
        with self._save_lock:
            # The images of a film have other names than its file.
            if image_id in self.list_images() or path.exists() or path.is_symlink():
                raise BadRequestError(
                    f"There is an image {image_id} already, and it is not replaced: choose another name."
                )
            write_with(path, lambda partial: partial.write_bytes(source.read_bytes()))
            self._listing.forget()
        return image_id

    def remove_image(self, image_id: str) -> None:
        raise BadRequestError("Images are not deleted over the network: remove the file from the studies folder.")

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Save a person's label as gold.

        Raises:
            BadRequestError: the tag is not "final", or a segment is not in the task.
            LabelError: the label does not fit the image.
        """
        with self.forgetting(label_filename):
            if label_tag != FINAL:
                raise BadRequestError(f"A person's label is saved with the tag {FINAL!r}, got {label_tag[:80]!r}.")
            names = label_info.get("label_info") if isinstance(label_info, dict) else None
            study = self.study(image_id)
            image, _ = self._live.image(study)
            mask = read_sent_label(Path(label_filename), image=image, task=self._live.task, label_info=names)
            self.save_gold(study, image, mask)
        return image_id

    def save_gold(self, study: Study, image: StudyImage, mask: Any) -> None:
        """Make (S, H, W) `mask` the gold label of a study, because a person said so."""
        with self._save_lock:
            save_gold(mask, study=self.study(study.image_id), image=image, root=self._live.root)
            self._listing.forget()

    def remove_label(self, label_id: str, label_tag: str) -> None:
        raise BadRequestError("Labels are not deleted over the network: remove the file from the studies folder.")

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        self.study(image_id)
        if not isinstance(info.get("strategy", {}), dict):
            raise BadRequestError("The strategy in what is known of an image must be a JSON object.")
        told = {key: value for key, value in info.items() if key not in _OWN_INFO}
        self._info.setdefault(image_id, {}).update(told)

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        raise BadRequestError("What is known of a label is in its sidecar, which only the program writes.")

    def status(self) -> dict[str, Any]:
        studies = self.studies()
        weak = sum(study.weak is not None for study in studies.studies)
        return {
            "total": len(studies.studies),
            "completed": len(studies.gold),
            "label_tags": {FINAL: len(studies.gold), ORIGINAL: weak},
        }

    def json(self) -> dict[str, Any]:
        """Everything, in the form of MONAI Label's own index, which 3D Slicer reads."""
        objects = {}
        for study in self.studies().studies:
            labels = {
                tag: {"ext": ".nii.gz", "info": self._label_info(study, tag)}
                for tag in TAGS
                if _label(study, tag) is not None
            }
            image = {
                "ext": ending(study.path.name) if study.frame is None else ".png",
                "info": self.get_image_info(study.image_id),
            }
            objects[study.image_id] = {"image": image, "labels": labels}
        return {
            "name": self.name(),
            "description": self.description(),
            "images_dir": "",
            "labels_dir": "labels",
            "objects": objects,
        }

    def _label_info(self, study: Study, tag: str) -> dict[str, Any]:
        sidecar = self.sidecar(study) if tag == ORIGINAL else None
        if sidecar is None:
            return {"params": {"label_names": dict(self._live.task.labels)}}
        # Slicer names segments by place, so labels that the mask lacks must not be in this list.
        there = {one.label for one in sidecar.scores if one.area}
        return {
            "params": {
                "label_names": {name: value for name, value in self._live.task.labels.items() if value in there}
            },
            **summary(sidecar),
        }

    def _file(self, study: Study) -> Path:
        return image_file(study, live=self._live, folder=self._cache("volumes"))

    def _cache(self, name: str) -> Path:
        folder = self._live.workspace.root / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def summary(sidecar: Sidecar) -> dict[str, Any]:
    """What a client is told of a weak label."""
    return {
        "quality": sidecar.quality,
        "calibrated": sidecar.calibrated,
        "verdict": None if sidecar.verdict is None else sidecar.verdict.value,
        "status": sidecar.status.value,
        "note": sidecar.note,
        "coarse": sidecar.inputs.coarse.version,
        "promptable": sidecar.inputs.promptable.name,
    }


def _checked(tag: str) -> str:
    if tag not in TAGS:
        raise NotFoundError(f"There is no label tag {tag[:80]!r}; the tags are {' and '.join(TAGS)}.")
    return tag


def _label(study: Study, tag: str) -> Path | None:
    return study.gold if tag == FINAL else study.weak
