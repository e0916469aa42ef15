"""Studies on a DICOMweb server: images are fetched when they are needed, persons' labels are sent as DICOM SEG."""

from __future__ import annotations

import logging
import tempfile
import threading
from pathlib import Path
from typing import Any

from autoweak.errors import AutoweakError
from autoweak.progress import Progress, each
from autoweak.server.datastore import FolderDatastore
from autoweak.server.errors import BadRequestError
from autoweak.server.gold import by_name, save_gold
from autoweak.server.live import Live
from autoweak.server.pacs import Pacs, Series
from autoweak.server.seg import MadeBy, read_seg, write_seg
from autoweak.studies import StudiesFolder, Study, StudyImage, read_label
from autoweak.studies.folder import GOLD_FOLDER, WEAK_FOLDER
from autoweak.weak_labels import Sidecar

logger = logging.getLogger(__name__)

_MASK_SUFFIXES = (".nii.gz", ".png")
_SYNCED = "synced"


class DicomWebDatastore(FolderDatastore):
    """A studies folder that a DICOMweb server fills: one series is one image, called by its UID.

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
        live.memory.fetch = self._fetch
        if live.settings.send_weak_labels:
            live.on_weak_label = self._send_weak

    def begin(self) -> None:
        """Take over persons' segmentations that the server has from before, without holding up the clients."""
        threading.Thread(target=self._sync, name="segmentations", daemon=True).start()

    def bring_all(self, progress: Progress) -> None:
        """Fetch every image: a training must know which are of one patient. Those that fail are passed over there."""
        progress.stage("Fetching images")
        for study in each(self.studies().studies, progress):
            try:
                self._fetch(study.path)
            except AutoweakError as error:
                logger.warning("Image %s was not fetched: %s", study.image_id, error)

    def used(self, image_id: str) -> None:
        """A model was run on an image: what a person saves of it now is not of their hand alone."""
        self._used.add(image_id)

    def studies(self) -> StudiesFolder:
        """All series of the server, fetched or not, with their labels."""
        root = self._live.root
        return StudiesFolder(root, tuple(_study(root, uid) for uid in sorted(self._pacs.images())))

    def name(self) -> str:
        return "DICOMweb"

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """Also what OHIF needs to open the study."""
        series = self._pacs.images().get(image_id)
        return {**super().get_image_info(image_id), **(series.info if series else {})}

    def get_image_uri(self, image_id: str) -> str:
        study = self.study(image_id)
        self._live.image(study.path)  # fetches it
        return str(self._as_nifti(study))

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        with self.forgetting(image_filename):
            raise BadRequestError("Images are added on the DICOMweb server, not here.")

    def save_gold(self, study: Study, image: StudyImage, mask: Any) -> None:
        """Keep a person's label here, and send it."""
        begun = study.weak is not None or study.image_id in self._used
        super().save_gold(study, image, mask)
        made_by = MadeBy.SEMIAUTOMATIC if begun else MadeBy.MANUAL
        self._send(mask, image, made_by, f"autoweak medsam ({self._live.promptable_name})")

    def _fetch(self, path: Path) -> None:
        series = self._pacs.images().get(path.name)
        if series is None or path.parent != self._live.root:
            return
        with self._fetching:
            if not path.exists():
                self._pacs.fetch(series, path)

    def _send_weak(self, study: Study, sidecar: Sidecar) -> None:
        if sidecar.mask is None:
            return
        image, _ = self._live.image(study.path)
        path = self._live.root / WEAK_FOLDER / sidecar.mask.name
        mask = read_label(path, image=image, task=self._live.task).mask
        self._send(mask, image, MadeBy.AUTOMATIC, f"autoweak medsam_from_coarse ({sidecar.inputs.promptable.name})")

    def _send(self, mask: Any, image: StudyImage, made_by: MadeBy, algorithm: str) -> None:
        with tempfile.TemporaryDirectory(dir=self._cache("shown")) as folder:
            path = Path(folder) / "seg.dcm"
            write_seg(path, mask, image=image, task=self._live.task, made_by=made_by, algorithm=algorithm)
            self._pacs.send(path)

    def _sync(self) -> None:
        try:
            images = self._pacs.images()
            for series in self._pacs.segmentations():
                marker = self._cache(_SYNCED) / series.uid
                if not marker.exists():
                    self._take_over(series, images)
                    marker.touch()
        except AutoweakError as error:
            logger.warning("Segmentations of the DICOMweb server were not read: %s", error)

    def _take_over(self, series: Series, images: dict[str, Series]) -> None:
        """Make a person's segmentation gold here, unless there is one already or it is not for this task."""
        uid = self._pacs.referenced(series)
        if uid not in images or self.study(uid).gold is not None:
            return
        study = self.study(uid)
        with tempfile.TemporaryDirectory(dir=self._cache("shown")) as holder:
            folder = Path(holder) / "seg"
            self._pacs.fetch(series, folder)
            try:
                image, _ = self._live.image(study.path)
                read = read_seg(next(iter(folder.iterdir())), image=image)
                if read.made_by is MadeBy.AUTOMATIC:
                    return
                mask = by_name(read.mask, read.names, self._live.task)
            except AutoweakError as error:
                logger.warning("The segmentation %s was left aside: %s", series.uid, error)
                return
        save_gold(mask, study=study, image=image, root=self._live.root)


def _study(root: Path, uid: str) -> Study:
    sidecar = root / WEAK_FOLDER / f"{uid}.json"
    return Study(
        image_id=uid,
        path=root / uid,
        gold=_mask(root / GOLD_FOLDER, uid),
        weak=_mask(root / WEAK_FOLDER, uid),
        sidecar=sidecar if sidecar.is_file() else None,
    )


def _mask(folder: Path, uid: str) -> Path | None:
    return next((path for suffix in _MASK_SUFFIXES if (path := folder / f"{uid}{suffix}").is_file()), None)
