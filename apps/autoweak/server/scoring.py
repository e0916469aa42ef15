"""The scoring `weak_label_quality`: how good the weak labels are expected to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.tasks.scoring import ScoringMethod

from autoweak.loop.status import read_status
from autoweak.server.datastore import FolderDatastore, summary
from autoweak.server.live import Live


class WeakLabelQuality(ScoringMethod):
    """Reads the sidecars; nothing is computed anew, and nothing is written."""

    def __init__(self, live: Live, datastore: FolderDatastore) -> None:
        super().__init__("Expected Dice and verdict of each weak label")
        self._live = live
        self._datastore = datastore

    def __call__(self, request: Mapping[str, Any], datastore: object = None) -> dict[str, Any]:
        """Counts, mean quality, and each weak label's own."""
        del request, datastore
        studies = self._datastore.studies()
        # Of a DICOMweb server, the folder holds what was fetched so far.
        status = read_status(self._live.root, studies)
        images = {}
        for study in studies.unlabelled:
            sidecar = self._datastore.sidecar(study)
            if sidecar is not None:
                images[study.image_id] = summary(sidecar)
        return {
            "gold": status.gold,
            "unlabelled": status.unlabelled,
            "weak": status.weak,
            "mean_quality": status.mean_quality,
            "images": images,
        }
