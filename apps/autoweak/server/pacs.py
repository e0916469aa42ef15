"""A DICOMweb server: which series it has, fetching them, and sending segmentations."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from autoweak.errors import StudiesError
from autoweak.server.errors import UpstreamError
from autoweak.studies import check_id

logger = logging.getLogger(__name__)

# Not images, whatever the search says.
_NOT_IMAGES = {"SEG", "SR", "PR", "KO", "RTSTRUCT", "RTPLAN", "RTDOSE", "REG", "DOC", "PLAN", "FID"}
_INFO = ("StudyInstanceUID", "SeriesInstanceUID", "Modality", "StudyDate", "StudyTime", "PatientID")
# New images are seen this soon; labels are known at once, since they are kept here too.
_LISTED_SECONDS = 5.0


@dataclass(frozen=True)
class Series:
    """One series: its UID, that of its study, and what a viewer shows of it."""

    uid: str
    study: str
    modality: str
    info: Mapping[str, str]


class Pacs:
    """A DICOMweb server; safe for several threads.

    Args:
        url: its address.
        user: for its login; "" for none.
        password: for its login.
        modality: only series of these modalities, separated by commas; "" for all.
    """

    def __init__(self, url: str, *, user: str = "", password: str = "", modality: str = "") -> None:
        from dicomweb_client.session_utils import create_session_from_user_pass
        from monailabel.datastore.dicom import DICOMwebClientX

        session = create_session_from_user_pass(user, password) if user and password else None
        self._client: Any = DICOMwebClientX(url=url.rstrip("/"), session=session)
        # A few hundred milliseconds, not half a minute: people wait.
        self._client.set_http_retry_params(retry=True, max_attempts=2, wait_exponential_multiplier=100)
        self._url = url
        self._wanted = {part.strip().upper() for part in modality.split(",") if part.strip()}
        self._lock = threading.Lock()
        self._listed: tuple[float, dict[str, Series]] | None = None

    def images(self) -> dict[str, Series]:
        """UID to series of images; as it was last known where the server does not answer.

        Raises:
            UpstreamError: the server has never answered.
        """
        with self._lock:
            if self._listed is None:
                self._listed = time.monotonic(), self._list()
            elif time.monotonic() - self._listed[0] > _LISTED_SECONDS:
                # A client does not wait for the server's list: it gets the one before, and the next client the new one.
                self._listed = time.monotonic(), self._listed[1]
                threading.Thread(target=self._list_again, name="listing", daemon=True).start()
            return self._listed[1]

    def _list_again(self) -> None:
        try:
            found = self._list()
        except UpstreamError as error:
            logger.warning("%s", error)
            return
        with self._lock:
            self._listed = time.monotonic(), found

    def _list(self) -> dict[str, Series]:
        return {one.uid: one for one in self._search({}) if self._is_wanted(one)}

    def segmentations(self) -> list[Series]:
        """All series of segmentations.

        Raises:
            UpstreamError: the server does not answer.
        """
        return [one for one in self._search({"Modality": "SEG"}) if one.modality == "SEG"]

    def referenced(self, series: Series) -> str:
        """UID of the image series that a segmentation is of; "" if it does not say."""
        with self._upstream():
            metadata = self._client.retrieve_series_metadata(series.study, series.uid)
        from pydicom.dataset import Dataset

        dataset = Dataset.from_json(metadata[0])
        references = dataset.get("ReferencedSeriesSequence")
        return str(references[0].SeriesInstanceUID) if references else ""

    def fetch(self, series: Series, folder: Path) -> None:
        """Write the instances of a series into `folder`, which appears whole or not at all.

        Raises:
            UpstreamError: the server does not answer.
        """
        with self._upstream():
            datasets = self._client.retrieve_series(series.study, series.uid)
        if not datasets:
            raise UpstreamError(f"The DICOMweb server at {self._url} has no instances of series {series.uid}.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent) as holder:
            fresh = Path(holder) / "new"
            fresh.mkdir()
            for number, dataset in enumerate(datasets):
                dataset.save_as(fresh / f"{number:05d}.dcm", write_like_original=False)
            if folder.exists():
                shutil.rmtree(folder)
            fresh.rename(folder)

    def send(self, file: Path) -> None:
        """Send a DICOM file.

        Raises:
            UpstreamError: the server does not take it.
        """
        import pydicom

        with self._upstream():
            self._client.store_instances([pydicom.dcmread(file)])

    def _is_wanted(self, series: Series) -> bool:
        return series.modality not in _NOT_IMAGES and (not self._wanted or series.modality in self._wanted)

    def _search(self, filters: dict[str, str]) -> list[Series]:
        from pydicom.dataset import Dataset

        with self._upstream():
            found = self._client.search_for_series(search_filters=filters, fields=list(_INFO))
        series = []
        for entry in found:
            dataset = Dataset.from_json(entry)
            info = {key: str(dataset.get(key, "")) for key in _INFO}
            try:
                check_id(info["SeriesInstanceUID"])
            except StudiesError:  # a UID that could not name a folder comes from no sound server
                continue
            series.append(Series(info["SeriesInstanceUID"], info["StudyInstanceUID"], info["Modality"], info))
        return series

    @contextmanager
    def _upstream(self) -> Iterator[None]:
        try:
            yield
        except requests.RequestException as error:
            response = error.response
            why = f"status {response.status_code}" if response is not None else type(error).__name__
            raise UpstreamError(
                f"The DICOMweb server at {self._url} does not do what was asked ({why}); check that it runs."
            ) from None
