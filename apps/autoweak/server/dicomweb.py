"""Studies on a DICOMweb server: images are fetched when they are needed, persons' labels are sent as DICOM SEG."""

from __future__ import annotations

import logging
import tempfile
import threading
from pathlib import Path
from typing import Any

from filelock import FileLock

from autoweak.atomic import write_text
from autoweak.errors import AutoweakError
from autoweak.hashing import file_sha256
from autoweak.progress import Progress, each
from autoweak.server.datastore import FolderDatastore
from autoweak.server.errors import BadRequestError, ServerError
from autoweak.server.gold import save_gold
from autoweak.server.live import Live
from autoweak.server.pacs import Pacs, RemoteImage
from autoweak.server.seg import MadeBy, write_seg
from autoweak.server.takeover import Takeover
from autoweak.studies import StudiesFolder, Study, StudyImage, read_label
from autoweak.studies.folder import GOLD_FOLDER, WEAK_FOLDER
from autoweak.weak_labels import Sidecar

logger = logging.getLogger(__name__)

_MASK_SUFFIXES = (".nii.gz", ".png")
_SYNCED = "synced"
_SENT = "sent"


class DicomWebDatastore(FolderDatastore):
    """A studies folder that a DICOMweb server fills: a series is an image, called by its UID, or several pictures.

    What a person saves is kept in the folder, so that it counts at once, and sent to the server as DICOM SEG. Weak
    labels stay in the folder unless the app is told to send them.

    Args:
        live: the loop over the folder.
        pacs: the server.
        uploads: the folder of what clients have just sent.
    """

    def __init__(self, live: Live, pacs: Pacs, *, uploads: Path) -> None:
        super().__init__(live, uploads=uploads)
        self._pacs = pacs
        self._fetching = threading.Lock()
        self._used: set[str] = set()
        self._takeover = Takeover(self, live, pacs, self._cache(_SYNCED))
        live.memory.fetch = self._fetch
        if live.settings.send_weak_labels:
            live.on_weak_label = self._send_weak

    def begin(self) -> None:
        """Take over persons' segmentations, now and whenever the images are listed anew; no client waits for that."""
        self._pacs.on_listed = self._takeover.run
        threading.Thread(target=self._takeover.run, name="segmentations", daemon=True).start()

    def bring_all(self, progress: Progress) -> None:
        """Fetch every image: a training must know which are of one patient. Those that fail are passed over there."""
        progress.stage("Fetching images")
        for study in each(self.studies().studies, progress):
            try:
                self._fetch(study)
            except AutoweakError as error:
                logger.warning("Image %s was not fetched: %s", study.image_id, error)

    def used(self, image_id: str) -> None:
        """A model was run on an image: what a person saves of it now is not of their hand alone."""
        self._used.add(image_id)

    def studies(self) -> StudiesFolder:
        """All images of the server, fetched or not, with their labels."""
        root = self._live.root
        return StudiesFolder(root, tuple(_study(root, *one) for one in sorted(self._pacs.images().items(), key=_id)))

    def name(self) -> str:
        return "DICOMweb"

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """Also what OHIF needs to open the study."""
        image = self._pacs.images().get(image_id)
        return {**super().get_image_info(image_id), **(image.series.info if image else {})}

    def get_image_uri(self, image_id: str) -> str:
        study = self.study(image_id)
        self._live.image(study)  # fetches it
        return str(self._file(study))

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        with self.forgetting(image_filename):
            raise BadRequestError("Images are added on the DICOMweb server, not here.")

    def save_gold(self, study: Study, image: StudyImage, mask: Any) -> None:
        """Keep a person's label here, and send it."""
        begun = study.weak is not None or study.image_id in self._used
        super().save_gold(study, image, mask)
        made_by = MadeBy.SEMIAUTOMATIC if begun else MadeBy.MANUAL
        try:
            self._send(mask, image, made_by, f"autoweak medsam ({self._live.promptable_name})")
        except ServerError as error:
            raise type(error)(f"The label is saved here as gold, but was not sent. {error}") from None

    def save_found(self, image_id: str, image: StudyImage, mask: Any) -> None:
        """Make a person's segmentation that the server has gold, unless there is gold already."""
        with self._save_lock:
            study = self.study(image_id)
            if study.gold is None:
                save_gold(mask, study=study, image=image, root=self._live.root)

    def _fetch(self, study: Study) -> None:
        image = self._pacs.images().get(study.image_id)
        if image is None or self._live.root not in study.path.parents:
            return
        with self._fetching:
            if study.path.exists():
                return
            if image.instance:
                self._pacs.fetch_instance(image, study.path)
            else:
                self._pacs.fetch(image.series, study.path)

    def _send_weak(self, study: Study, sidecar: Sidecar) -> None:
        """Send a weak label unless this very mask was sent before; one that could not be sent is, the next time."""
        if sidecar.mask is None:
            return
        sent = self._cache(_SENT) / study.image_id
        path = self._live.root / WEAK_FOLDER / sidecar.mask.name
        with FileLock(self._live.workspace.root / "sent.lock"):
            if sent.is_file() and sent.read_text(encoding="utf-8") == sidecar.mask.sha256:
                return
            # A person may have labelled the image, or changed or removed the mask, since it was listed.
            untouched = path.is_file() and file_sha256(path) == sidecar.mask.sha256
            if self.study(study.image_id).gold is not None or not untouched:
                return
            image, _ = self._live.image(study)
            mask = read_label(path, image=image, task=self._live.task).mask
            try:
                algorithm = f"autoweak medsam_from_coarse ({sidecar.inputs.promptable.name})"
                self._send(mask, image, MadeBy.AUTOMATIC, algorithm)
            except ServerError as error:
                logger.warning("The weak label of image %s was not sent: %s", study.image_id, error)
                return
            write_text(sent, sidecar.mask.sha256)

    def _send(self, mask: Any, image: StudyImage, made_by: MadeBy, algorithm: str) -> None:
        with tempfile.TemporaryDirectory(dir=self._cache("shown")) as folder:
            path = Path(folder) / "seg.dcm"
            write_seg(path, mask, image=image, task=self._live.task, made_by=made_by, algorithm=algorithm)
            self._pacs.send(path)


def _study(root: Path, image_id: str, image: RemoteImage) -> Study:
    sidecar = root / WEAK_FOLDER / f"{image_id}.json"
    folder = root / image.series.uid
    return Study(
        image_id=image_id,
        path=folder / f"{image.instance}.dcm" if image.instance else folder,
        gold=_mask(root / GOLD_FOLDER, image_id),
        weak=_mask(root / WEAK_FOLDER, image_id),
        sidecar=sidecar if sidecar.is_file() else None,
        frame=image.frame,
    )


def _id(entry: tuple[str, RemoteImage]) -> str:
    return entry[0]


def _mask(folder: Path, uid: str) -> Path | None:
    return next((path for suffix in _MASK_SUFFIXES if (path := folder / f"{uid}{suffix}").is_file()), None)
