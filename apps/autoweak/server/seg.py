"""DICOM segmentations: written by highdicom with the truth about how they were made, and read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import autoweak
from autoweak.atomic import write_with
from autoweak.server.errors import BadRequestError
from autoweak.studies import StudyImage
from autoweak.studies.dicom import faults
from autoweak.studies.dicom_frames import one_frame
from autoweak.studies.dicom_series import in_order
from autoweak.tasks import Code, Segment, Task

Mask = npt.NDArray[np.uint8]

_SERIES_NUMBER = 900
_PLACE = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")
_MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_BODY_STRUCTURE = Code(value="123037004", meaning="Anatomical structure")
_OWN_SCHEME = "99AUTOWEAK"
_COLOURS = ((220, 60, 60), (90, 160, 220), (90, 200, 140), (220, 160, 60), (157, 108, 162), (120, 190, 60))


class MadeBy(str, Enum):
    """How a mask came about; the values are DICOM's segment algorithm types."""

    AUTOMATIC = "AUTOMATIC"
    """A weak label."""
    SEMIAUTOMATIC = "SEMIAUTOMATIC"
    """A person's, who began with a weak label or clicked."""
    MANUAL = "MANUAL"
    """A person's alone."""


def write_seg(path: Path, mask: Mask, *, image: StudyImage, task: Task, made_by: MadeBy, algorithm: str) -> str:
    """Write a mask as DICOM segmentation of the series or file that its image was read from.

    Each slice refers to the very DICOM instance, and of a film to the frame, that it was drawn on. A mask without any
    voxel is a valid answer.

    Args:
        path: where to.
        mask: (S, H, W) with the task's values.
        image: the image, read from DICOM.
        task: names, codes and colours of the labels.
        made_by: how the mask came about.
        algorithm: name and version of what made it; of a MANUAL mask not written.

    Returns:
        the SOP instance UID.

    Raises:
        BadRequestError: the image is not DICOM.
    """
    from highdicom.seg import Segmentation, SegmentationTypeValues
    from highdicom.uid import UID

    sources = _sources(image)
    if not sources:
        raise BadRequestError(f"Image {image.image_id} is not DICOM, so it has no DICOM segmentation.")
    uid = UID()
    dataset = _made(
        Segmentation,
        image.image_id,
        source_images=sources,
        pixel_array=_frames(mask, image),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _description(name, value, task, made_by, algorithm) for name, value in task.labels.items()
        ],
        series_instance_uid=UID(),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=uid,
        instance_number=1,
        manufacturer="autoweak",
        manufacturer_model_name="autoweak",
        software_versions=autoweak.__version__,
        device_serial_number="0",
        content_label="SEGMENTATION",
        content_description=f"autoweak {task.name}"[:64],
        series_description=f"autoweak {task.name} {made_by.value.lower()}"[:64],
    )
    for number, (name, item) in enumerate(zip(task.labels, dataset.SegmentSequence, strict=True)):
        item.RecommendedDisplayCIELabValue = _cielab(_segment(task, name).colour or _COLOURS[number % len(_COLOURS)])
    if image.frame is not None:
        _refer_to_frame(dataset, image.frame)
    if not image.geometry.is_volume and "PatientOrientation" not in dataset and "FrameOfReferenceUID" not in dataset:
        dataset.PatientOrientation = sources[0].get("PatientOrientation")  # it may be empty, but not missing
    write_with(path, lambda partial: dataset.save_as(partial, write_like_original=False))
    return str(uid)


@dataclass(frozen=True, eq=False)
class SegRead:
    """A DICOM segmentation.

    Attributes:
        mask: (S, H, W) with segment numbers, in the frame of its image.
        names: segment number to label.
        made_by: how it came about; of segments that differ, semi-automatic.
    """

    mask: Mask
    names: Mapping[int, str]
    made_by: MadeBy


def read_seg(path: Path, *, image: StudyImage) -> SegRead:
    """Read a DICOM segmentation of `image` back.

    Raises:
        BadRequestError: the segmentation is not of this image.
    """
    import highdicom

    with faults():
        segmentation = highdicom.seg.segread(path)
        uids = [_uid(file) for file in _files(image)]
        known = {str(uid) for _, _, uid in segmentation.get_source_image_uids()}
        # Of a picture there may be others in the same segmentation.
        if not (known <= set(uids) if image.geometry.is_volume else known.intersection(uids)):
            raise BadRequestError(f"The segmentation {path.name} is not of image {image.image_id}.")
        frames = _frames_of(segmentation, uids, image.frame)
    kinds = {str(item.SegmentAlgorithmType) for item in segmentation.SegmentSequence}
    stored = frames.transpose(2, 1, 0) if image.geometry.is_volume else frames[0]
    slices: Mask = np.ascontiguousarray(image.geometry.to_slices(stored), dtype=np.uint8)
    return SegRead(
        slices,
        names={int(item.SegmentNumber): str(item.SegmentLabel) for item in segmentation.SegmentSequence},
        made_by=MadeBy(kinds.pop()) if len(kinds) == 1 else MadeBy.SEMIAUTOMATIC,
    )


def _files(image: StudyImage) -> list[Path]:
    from autoweak.studies.names import FileKind, kind_of

    if image.path.is_dir():
        return in_order(image.path)
    return [image.path] if kind_of(image.path) is FileKind.DICOM else []


def _frames_of(segmentation: Any, uids: list[str], frame: int | None) -> Mask:
    """Segment numbers (K, rows, columns) of the instances, or of one frame of a film."""
    options = {
        "combine_segments": True,
        "ignore_spatial_locations": True,
        "assert_missing_frames_are_empty": True,
    }
    if frame is None:
        return np.asarray(segmentation.get_pixels_by_source_instance(uids, **options), dtype=np.uint8)
    return np.asarray(segmentation.get_pixels_by_source_frame(uids[0], [frame], **options), dtype=np.uint8)


def _sources(image: StudyImage) -> list[Any]:
    """The DICOM instances of an image; of a film its one frame, since highdicom would store a mask for each."""
    import pydicom

    with faults():
        if image.frame is not None:
            sources = [one_frame(pydicom.dcmread(image.path), image.frame)]
        else:
            sources = [pydicom.dcmread(file) for file in _files(image)]
    for source in sources:
        _fill(source)
        if not image.geometry.is_volume:
            _mend(source)
        elif not source.get("SliceThickness") and image.geometry.affine is not None:
            source.SliceThickness = float(np.linalg.norm(image.geometry.affine[:3, 2]))
    return sources


def _fill(source: Any) -> None:
    """Add, empty and in memory, what every header must have and what de-identified ones often lack."""
    for keyword in _MAY_BE_EMPTY:
        if keyword not in source:
            setattr(source, keyword, None)


def _made(kind: Callable[..., Any], image_id: str, **elements: Any) -> Any:
    """What highdicom makes of `elements`.

    Raises:
        BadRequestError: the header of the image lacks what it takes.
    """
    try:
        return kind(**elements)
    except (AttributeError, KeyError, TypeError, ValueError):
        # What highdicom says may quote the header.
        raise BadRequestError(
            f"No DICOM segmentation of image {image_id} can be written: its headers lack what one refers to, as the "
            "frame of reference or the place of a slice. Export the images with complete headers."
        ) from None


def _mend(picture: Any) -> None:
    """Take from the header of a picture, in memory, what highdicom stumbles over; real ones have much of it."""
    lacking = []
    if "SharedFunctionalGroupsSequence" not in picture:
        lacking.append("NumberOfFrames")  # even of 1 it would be taken for an enhanced image
    if picture.get("LossyImageCompression") == "01" and not picture.get("LossyImageCompressionMethod"):
        lacking.append("LossyImageCompression")
    if not all(picture.get(keyword) for keyword in _PLACE):
        # Without a place in space the mask is tied to its instance alone.
        lacking += ["FrameOfReferenceUID", *_PLACE]
    for keyword in lacking:
        if keyword in picture:
            delattr(picture, keyword)


def _refer_to_frame(dataset: Any, frame: int) -> None:
    """Say in each reference to the film which of its frames is meant (PS3.3 table 10-3)."""
    for group in dataset.PerFrameFunctionalGroupsSequence:
        for derivation in group.DerivationImageSequence:
            for source in derivation.SourceImageSequence:
                source.ReferencedFrameNumber = frame


def _uid(file: Path) -> str:
    import pydicom

    return str(pydicom.dcmread(file, specific_tags=["SOPInstanceUID"], stop_before_pixels=True).SOPInstanceUID)


def _frames(mask: Mask, image: StudyImage) -> Mask:
    """Frames (K, rows, columns) in the order of the DICOM instances."""
    stored = image.geometry.from_slices(mask)
    frames = stored.transpose(2, 1, 0) if image.geometry.is_volume else stored[np.newaxis]
    return np.ascontiguousarray(frames, dtype=np.uint8)


def _description(name: str, value: int, task: Task, made_by: MadeBy, algorithm: str) -> Any:
    from highdicom.content import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes

    segment = _segment(task, name)
    own = Code(value=name[:16], scheme=_OWN_SCHEME, meaning=name[:64])
    identification = AlgorithmIdentificationSequence(
        name=algorithm[:64], family=codes.DCM.ArtificialIntelligence, version=autoweak.__version__
    )
    return SegmentDescription(
        segment_number=value,
        segment_label=name[:64],
        segmented_property_category=_concept(segment.category or _BODY_STRUCTURE),
        segmented_property_type=_concept(segment.type or own),
        algorithm_type=made_by.value,
        algorithm_identification=None if made_by is MadeBy.MANUAL else identification,
        tracking_id=f"{task.name} {name}"[:64],
        tracking_uid=_new_uid(),
    )


def _new_uid() -> Any:
    from highdicom.uid import UID

    return UID()


def _segment(task: Task, name: str) -> Segment:
    return task.segments.get(name, Segment())


def _concept(code: Code) -> Any:
    from highdicom.sr.coding import CodedConcept

    return CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)


def _cielab(colour: tuple[int, int, int]) -> list[int]:
    """A colour as DICOM keeps it (PS3.3 C.10.7.1.1): L* 0..100 and a*, b* -128..127, each as 0..65535."""
    from skimage.color import rgb2lab

    lightness, green_red, blue_yellow = rgb2lab(np.array([[colour]], dtype=np.float64) / 255)[0, 0]
    scaled = (lightness / 100, (green_red + 128) / 255, (blue_yellow + 128) / 255)
    return [round(65535 * min(max(float(part), 0.0), 1.0)) for part in scaled]
