"""The strategy `weak_label`: the next image is the one whose review helps most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.tasks.strategy import Strategy

from autoweak.server.datastore import FolderDatastore
from autoweak.server.describe import Descriptions
from autoweak.server.leases import Leases
from autoweak.synthesis.marks import is_marked
from autoweak.weak_labels.review_queue import review_order


class WeakLabelStrategy(Strategy):
    """The order of `weak_labels.review_queue`; never an image that another client has."""

    def __init__(self, datastore: FolderDatastore, leases: Leases, descriptions: Descriptions) -> None:
        super().__init__("The image whose review tells most: doubtful, typical, and unlike those labelled")
        self._datastore = datastore
        self._leases = leases
        self._descriptions = descriptions

    def __call__(self, request: Mapping[str, Any], datastore: object = None) -> dict[str, Any] | None:
        """The next image with reason and score, or None when all are labelled or in other hands."""
        del datastore  # the app has one
        studies = self._datastore.studies()
        held = self._leases.held()
        # A synthetic image that someone put among the patients' is nothing to review.
        shown = [study for study in studies.unlabelled if not is_marked(study.path)]
        waiting = {study.image_id: self._datastore.sidecar(study) for study in shown}
        known = [study.image_id for study in studies.gold] + [image_id for image_id in held if image_id in waiting]
        every = {study.image_id: study for study in studies.studies}
        ranked = review_order(waiting, known=known, describe=self._descriptions.within(every))
        client = str(request.get("client_id") or "")[:200]
        chosen = self._leases.take(client, [one.image_id for one in ranked])
        best = next((one for one in ranked if one.image_id == chosen), None)
        return None if best is None else {"id": best.image_id, "score": best.score, "reason": best.reason}
