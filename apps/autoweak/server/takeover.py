"""Segmentations that persons have stored on the DICOMweb server become gold labels here."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoweak.errors import AutoweakError
from autoweak.server.contents import Part
from autoweak.server.errors import UpstreamError
from autoweak.server.gold import by_name
from autoweak.server.pacs import Pacs, RemoteImage, Series
from autoweak.server.seg import MadeBy, read_seg
from autoweak.studies.dicom import faults

if TYPE_CHECKING:
    from autoweak.server.dicomweb import DicomWebDatastore
    from autoweak.server.live import Live

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Found:
    """A segmentation on the server: when it was made, and which series and pictures it says it is of."""

    when: str
    itself: RemoteImage
    series: str
    parts: frozenset[Part]


class Takeover:
    """Looks for segmentations, each once; one whose image is not listed yet waits until it is.

    Args:
        store: gets the labels.
        live: reads the images.
        pacs: the server.
        marks: a folder that tells the series of segmentations that are done with.
    """

    def __init__(self, store: DicomWebDatastore, live: Live, pacs: Pacs, marks: Path) -> None:
        self._store = store
        self._live = live
        self._pacs = pacs
        self._marks = marks
        self._running = threading.Lock()
        self._waiting: dict[str, list[_Found]] = {}

    def run(self) -> None:
        """Take over what is new; a server that does not answer is asked again the next time."""
        if not self._running.acquire(blocking=False):
            return
        try:
            self._look()
            self._take_waiting(self._pacs.images())
        except (AutoweakError, OSError) as error:
            logger.warning("Segmentations of the DICOMweb server were not read: %s", error)
        finally:
            self._running.release()

    def _look(self) -> None:
        for series in self._pacs.segmentations():
            mark = f"{series.uid}-{series.instances}"
            if mark in self._waiting or (self._marks / mark).exists():
                continue
            try:
                with faults():
                    self._waiting[mark] = [_found(series, header) for header in self._pacs.headers(series)]
            except UpstreamError:
                raise
            except AutoweakError as error:
                logger.warning("The segmentation %s was left aside: %s", series.uid, error)
                self._waiting[mark] = []

    def _take_waiting(self, images: Mapping[str, RemoteImage]) -> None:
        by_part = {(one.instance, one.frame): image_id for image_id, one in images.items() if one.instance}
        every = [(found, mark) for mark, of_series in self._waiting.items() for found in of_series]
        # The newest of several for one image counts.
        for found, mark in sorted(every, key=lambda one: one[0].when, reverse=True):
            whole = images.get(found.series)
            image_ids = sorted(by_part[part] for part in found.parts if part in by_part)
            if whole is not None and not whole.instance:
                image_ids = [found.series]
            if image_ids:
                self._take(found, image_ids)
                self._waiting[mark].remove(found)
        for mark in [mark for mark, left in self._waiting.items() if not left]:
            (self._marks / mark).touch()
            del self._waiting[mark]

    def _take(self, found: _Found, image_ids: list[str]) -> None:
        wanted = [image_id for image_id in image_ids if self._store.study(image_id).gold is None]
        if not wanted:
            return
        with tempfile.TemporaryDirectory(dir=self._marks) as folder:
            path = Path(folder) / "seg.dcm"
            self._pacs.fetch_instance(found.itself, path)
            for image_id in wanted:
                self._take_one(path, image_id)

    def _take_one(self, path: Path, image_id: str) -> None:
        try:
            image, _ = self._live.image(self._store.study(image_id))
            read = read_seg(path, image=image)
            if read.made_by is not MadeBy.AUTOMATIC:
                self._store.save_found(image_id, image, by_name(read.mask, read.names, self._live.task, strict=True))
        except UpstreamError:
            raise
        except AutoweakError as error:
            logger.warning("A segmentation of image %s was left aside: %s", image_id, error)


def _found(series: Series, header: Any) -> _Found:
    references = header.get("ReferencedSeriesSequence") or []
    return _Found(
        when=f"{header.get('ContentDate') or ''} {header.get('ContentTime') or ''}",
        itself=RemoteImage(series, str(header.SOPInstanceUID)),
        series=str(references[0].SeriesInstanceUID) if references else "",
        parts=frozenset(_parts(header)),
    )


def _parts(header: Any) -> Iterator[Part]:
    """The instances, and of films the frames, that the frames of a segmentation were drawn on."""
    for group in header.get("PerFrameFunctionalGroupsSequence") or []:
        for derivation in group.get("DerivationImageSequence") or []:
            for source in derivation.get("SourceImageSequence") or []:
                uid = str(source.ReferencedSOPInstanceUID)
                frames = source.get("ReferencedFrameNumber")
                if frames is None:
                    yield uid, None
                else:
                    for frame in [frames] if isinstance(frames, (int, str)) else frames:
                        yield uid, int(frame)
