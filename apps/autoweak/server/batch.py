"""Weak labels for all images, through MONAI Label's batch endpoint."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from monailabel.interfaces.tasks.batch_infer import BatchInferTask

from autoweak.errors import AutoweakError
from autoweak.server.datastore import FolderDatastore, summary
from autoweak.server.errors import BadRequestError
from autoweak.server.live import Live
from autoweak.studies import StudiesFolder, Study

logger = logging.getLogger(__name__)

BATCH_MODEL = "medsam_from_coarse"


class BatchLabel(BatchInferTask):
    """Makes the weak label of each image without a person's label; fresh ones are kept, so that it can be resumed.

    MONAI Label's own needs a GPU unless told otherwise, makes all anew, and stops at the first unreadable image.
    """

    def __init__(self, live: Live, datastore: FolderDatastore) -> None:
        super().__init__()
        self._live = live
        self._datastore = datastore

    def __call__(
        self, request: Mapping[str, Any], datastore: object, infer: Callable[..., Any] | None = None
    ) -> dict[str, Any]:
        """Label the images of the request; of each, quality and verdict, or why it was passed over.

        Raises:
            BadRequestError: the model makes no weak labels, or they should be saved as a person's.
            NotReadyError: no coarse model is trained yet.
        """
        del datastore, infer
        check_batch(request)
        studies = self._datastore.studies()
        self._live.labeller(studies)
        chosen = _chosen(request, studies)
        results: dict[str, Any] = {}
        for done, study in enumerate(chosen, start=1):
            results[study.image_id] = self._label(study, studies)
            logger.info("%d / %d %s %s", done, len(chosen), study.image_id, _said(results[study.image_id]))
        self._datastore.refresh()
        return results

    def _label(self, study: Study, studies: StudiesFolder) -> dict[str, Any]:
        try:
            sidecar = self._live.weak_label(study, studies)
        except AutoweakError as error:
            return {"error": str(error)}
        return {"note": "a person's work is in its place, and was kept"} if sidecar is None else summary(sidecar)


def check_batch(request: Mapping[str, Any]) -> None:
    """Refuse what a batch must not do.

    Raises:
        BadRequestError: see `BatchLabel`.
    """
    if request.get("model") != BATCH_MODEL:
        raise BadRequestError(f"Only {BATCH_MODEL} makes weak labels for all images; run the batch with it.")
    if request.get("label_tag") not in (None, "", "original"):
        raise BadRequestError("A batch makes weak labels (tag original); only a person's label is saved as final.")


def _chosen(request: Mapping[str, Any], studies: StudiesFolder) -> list[Study]:
    images = request.get("images")
    chosen = list(studies.unlabelled)
    if images == "labeled":
        chosen = []
    elif isinstance(images, list):
        chosen = [study for study in chosen if study.image_id in images]
    most = request.get("max_batch_size") or 0
    return chosen[:most] if isinstance(most, int) and most > 0 else chosen


def _said(result: Mapping[str, Any]) -> str:
    if "error" in result:
        return str(result["error"])
    quality = result.get("quality")
    return str(result.get("verdict") or result.get("status") or result.get("note")) + (
        "" if quality is None else f" {quality:.2f}"
    )
