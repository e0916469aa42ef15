"""A DICOMweb server: which series it has, fetching them, and sending segmentations."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from autoweak.atomic import write_with
from autoweak.errors import ImageError, StudiesError
from autoweak.server.contents import SeriesContents
from autoweak.server.errors import UpstreamError
from autoweak.studies import check_id

logger = logging.getLogger(__name__)

# Not images, whatever the search says.
_NOT_IMAGES = {"SEG", "SR", "PR", "KO", "RTSTRUCT", "RTPLAN", "RTDOSE", "REG", "DOC", "PLAN", "FID"}
# What a viewer needs to open a study; MONAI Label writes it into its log, so nothing of the patient.
_INFO = ("StudyInstanceUID", "SeriesInstanceUID", "Modality")
_COUNT = "NumberOfSeriesRelatedInstances"
# Series of these are volumes; of others a header must be asked for what they are.
_VOLUMES = {"CT", "MR", "PT"}
# New images are seen this soon; labels are known at once, since they are kept here too.
_LISTED_SECONDS = 5.0
_PATIENCE = (10.0, 120.0)


@dataclass(frozen=True)
class Series:
    """One series: its UID, that of its study, how many instances it has (0 where the server does not say), and what a
    viewer shows of it.
    """

    uid: str
    study: str
    modality: str
    instances: int
    info: Mapping[str, str]


@dataclass(frozen=True)
class RemoteImage:
    """An image on the server: a whole series, or one instance or frame of it.

    Attributes:
        series: the series.
        instance: SOP instance UID of a picture; "" for a volume, which is the whole series.
        frame: number of the frame, from 1, of a film.
    """

    series: Series
    instance: str = ""
    frame: int | None = None


class _Session(requests.Session):
    """Does not wait for ever for a server that does not answer, while people and other work wait for it."""

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        """As always, with limits to connect and between two parts of the answer, in seconds."""
        return super().request(*arguments, **{"timeout": _PATIENCE, **options})


class Pacs:
    """A DICOMweb server; safe for several threads.

    Args:
        url: its address.
        user: for its login; "" for none.
        password: for its login.
        modality: only series of these modalities, separated by commas; "" for all.
        memory: file in which is kept what the series hold, so that each is asked once.
    """

    def __init__(self, url: str, *, memory: Path, user: str = "", password: str = "", modality: str = "") -> None:
        from monailabel.datastore.dicom import DICOMwebClientX

        session = _Session()
        session.auth = (user, password) if user and password else None
        self._client: Any = DICOMwebClientX(url=url.rstrip("/"), session=session)
        # A few hundred milliseconds, not half a minute: people wait.
        self._client.set_http_retry_params(retry=True, max_attempts=2, wait_exponential_multiplier=100)
        self._url = url
        self._wanted = {part.strip().upper() for part in modality.split(",") if part.strip()}
        self._lock = threading.Lock()
        self._listed: tuple[float, dict[str, RemoteImage]] | None = None
        self._contents = SeriesContents(memory)
        # Told after the list of images was refreshed.
        self.on_listed: Callable[[], None] | None = None

    def images(self) -> dict[str, RemoteImage]:
        """Image id to image; as it was last known where the server does not answer.

        A volume, and the only picture of a series, are called by the UID of their series; several pictures of a series,
        also frames of films, by what `dicom_pictures.split` adds to it.

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
        if self.on_listed is not None:
            self.on_listed()

    def _list(self) -> dict[str, RemoteImage]:
        images: dict[str, RemoteImage] = {}
        for series in self._search({}):
            if self._is_wanted(series):
                images |= self._images_of(series)
        self._contents.keep()
        return images

    def _images_of(self, series: Series) -> dict[str, RemoteImage]:
        whole = {series.uid: RemoteImage(series)}
        if series.modality in _VOLUMES:
            return whole
        try:
            found = self._contents.get(series.uid, series.instances, lambda: self.headers(series))
        except (UpstreamError, ImageError) as error:
            logger.warning("It is not known what series %s holds: %s", series.uid, error)
            return whole
        return {
            image_id: RemoteImage(series, instance, frame) for image_id, (instance, frame) in found.items()
        } or whole

    def segmentations(self) -> list[Series]:
        """All series of segmentations.

        Raises:
            UpstreamError: the server does not answer.
        """
        return [one for one in self._search({"Modality": "SEG"}) if one.modality == "SEG"]

    def headers(self, series: Series) -> list[Any]:
        """The headers of the instances of a series, as pydicom datasets.

        Raises:
            UpstreamError: the server does not answer.
        """
        from pydicom.dataset import Dataset

        with self._upstream():
            return [Dataset.from_json(one) for one in self._client.retrieve_series_metadata(series.study, series.uid)]

    def fetch_instance(self, image: RemoteImage, file: Path) -> None:
        """Write the instance of a picture to `file`, which appears whole or not at all.

        Raises:
            UpstreamError: the server does not answer.
        """
        with self._upstream():
            dataset = self._client.retrieve_instance(image.series.study, image.series.uid, image.instance)
        write_with(file, lambda partial: dataset.save_as(partial, write_like_original=False))

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
            found = self._client.search_for_series(search_filters=filters, fields=[*_INFO, _COUNT])
        series = []
        for entry in found:
            dataset = Dataset.from_json(entry)
            info = {key: str(dataset.get(key, "")) for key in _INFO}
            try:
                check_id(info["SeriesInstanceUID"])
            except StudiesError:  # a UID that could not name a folder comes from no sound server
                continue
            uid, study, modality = (info[key] for key in ("SeriesInstanceUID", "StudyInstanceUID", "Modality"))
            series.append(Series(uid, study, modality, int(dataset.get(_COUNT) or 0), info))
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
