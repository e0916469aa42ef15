"""Small DICOM series, drawn: valid enough for a PACS to keep them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import requests
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    MRImageStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    VLPhotographicImageStorage,
    generate_uid,
)

CLASS_OF = {
    "CT": CTImageStorage,
    "MR": MRImageStorage,
    "CR": ComputedRadiographyImageStorage,
    "DX": DigitalXRayImageStorageForPresentation,
    "US": UltrasoundImageStorage,
    "XC": VLPhotographicImageStorage,
}
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def _dataset(path: Path, modality: str, pixels: np.ndarray, elements: dict[str, Any]) -> str:
    """One instance of pixels (H, W) or (H, W, 3), or of the frames that `elements` count; returns its UID."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = elements.get("SOPClassUID", CLASS_OF[modality])
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    rows, columns = pixels.shape[-3:-1] if pixels.shape[-1] == 3 else pixels.shape[-2:]
    colour = pixels.shape[-1] == 3
    bits = pixels.dtype.itemsize * 8
    values = {
        "SOPClassUID": CLASS_OF[modality],
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "Modality": modality,
        "PatientName": "Phantom^Drawn",
        "PatientID": "PHANTOM",
        "PatientBirthDate": "",
        "PatientSex": "O",
        "StudyID": "1",
        "StudyDate": "20200101",
        "StudyTime": "120000",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "SpecificCharacterSet": "ISO_IR 100",
        "Manufacturer": "autoweak",
        "Rows": rows,
        "Columns": columns,
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "PixelData": pixels.tobytes(),
        **({"PlanarConfiguration": 0} if colour else {}),
        **elements,
    }
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path, write_like_original=False)
    return str(dataset.SOPInstanceUID)


def write_picture(folder: Path, modality: str, pixels: np.ndarray) -> str:
    """One image (H, W) or (H, W, 3) in a series of its own; returns the series' UID."""
    series = str(generate_uid())
    _dataset(folder / "image.dcm", modality, pixels, {"SeriesInstanceUID": series, "StudyInstanceUID": generate_uid()})
    return series


def write_exam(folder: Path, modality: str, *instances: np.ndarray) -> tuple[str, list[str]]:
    """One series of stills, (H, W) or (H, W, 3), and films, (F, H, W) or (F, H, W, 3); its UID and its instances'."""
    common = {"SeriesInstanceUID": str(generate_uid()), "StudyInstanceUID": str(generate_uid())}
    uids = []
    for number, pixels in enumerate(instances, start=1):
        film = pixels.ndim == 4 or (pixels.ndim == 3 and pixels.shape[-1] != 3)
        own = {"NumberOfFrames": len(pixels), "SOPClassUID": UltrasoundMultiFrameImageStorage} if film else {}
        elements = {**common, **own, "InstanceNumber": number}
        uids.append(_dataset(folder / f"instance{number}.dcm", modality, pixels, elements))
    return common["SeriesInstanceUID"], uids


def write_series(
    folder: Path, modality: str, volume: np.ndarray, *, cosines: tuple[float, ...] = AXIAL, step: float = 2.0
) -> str:
    """A volume (slices, rows, columns) as one file a slice, `step` millimetres apart along the normal."""
    common = {
        "SeriesInstanceUID": str(generate_uid()),
        "StudyInstanceUID": str(generate_uid()),
        "FrameOfReferenceUID": str(generate_uid()),
        "PositionReferenceIndicator": "",
        "ImageOrientationPatient": list(cosines),
        "PixelSpacing": [0.9, 1.1],
        "SliceThickness": abs(step),
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
    }
    normal = np.cross(cosines[:3], cosines[3:])
    for index, pixels in enumerate(volume):
        position = [round(float(value), 4) for value in np.array([-20.0, 10.0, 5.0]) + normal * step * index]
        elements = {**common, "ImagePositionPatient": position, "InstanceNumber": index + 1}
        _dataset(folder / f"slice{index:03d}.dcm", modality, pixels.astype(np.int16), elements)
    return common["SeriesInstanceUID"]


def segmentations_of(orthanc: str, uid: str) -> list[pydicom.Dataset]:
    """The segmentations that Orthanc has of the image series `uid`, the newest last."""
    query = {"Level": "Instance", "Query": {"Modality": "SEG"}}
    found = []
    for one in requests.post(f"{orthanc}/tools/find", json=query, timeout=20).json():
        content = requests.get(f"{orthanc}/instances/{one}/file", timeout=20).content
        dataset = pydicom.dcmread(io.BytesIO(content))
        if dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == uid:
            found.append(dataset)
    return sorted(found, key=lambda dataset: f"{dataset.ContentDate}{dataset.ContentTime}")


def segmentation_of(orthanc: str, uid: str) -> pydicom.Dataset:
    """The segmentation that Orthanc has of the image series `uid`."""
    (dataset,) = segmentations_of(orthanc, uid)
    return dataset
