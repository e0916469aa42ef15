"""What the tests of this folder share: tasks, pictures, volumes and DICOM files made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autoweak.tasks import Task

MakeTask = Callable[..., Task]


@pytest.fixture(scope="session")
def make_task() -> MakeTask:
    """A task with labels label_1, label_2 ... of values 1, 2 ..."""

    def make(count: int = 1, *, dimension: int = 2) -> Task:
        return Task.model_validate(
            {
                "name": "test",
                "description": "A test.",
                "modality": "US",
                "dimension": dimension,
                "channels": 1,
                "labels": {f"label_{value}": value for value in range(1, count + 1)},
                "coarse": {"size": 64, "epochs": 1},
            }
        )

    return make


@pytest.fixture
def save_picture(tmp_path: Path) -> Callable[..., Path]:
    """Save an array as a picture below the test's folder."""

    def save(name: str, array: np.ndarray, *, mode: str | None = None, **options: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(array)
        (picture.convert(mode) if mode else picture).save(path, **options)
        return path

    return save


@pytest.fixture
def save_volume(tmp_path: Path) -> Callable[..., Path]:
    """Save an array (I, J, K) as NIfTI below the test's folder."""

    def save(name: str, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
        import nibabel

        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
        return path

    return save


@pytest.fixture
def save_dicom(tmp_path: Path) -> Callable[..., Path]:
    """Save pixels as a DICOM file, with whatever other elements are given by keyword."""

    def save(name: str, pixels: np.ndarray, **elements: Any) -> Path:
        from pydicom.dataset import FileDataset, FileMetaDataset
        from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = "1.2.3"
        meta.TransferSyntaxUID = elements.pop("TransferSyntaxUID", ExplicitVRLittleEndian)
        dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        dataset.is_little_endian, dataset.is_implicit_VR = True, False
        colour = pixels.ndim == 3 and pixels.shape[-1] == 3
        bits = pixels.dtype.itemsize * 8
        values = {
            "SOPClassUID": CTImageStorage,
            "SOPInstanceUID": "1.2.3",
            "SeriesInstanceUID": "1.2.3.4",
            "Modality": "CT",
            "PatientName": "Secret^Patient",
            "PatientID": "SECRET-7",
            "Rows": pixels.shape[-3 if colour else -2],
            "Columns": pixels.shape[-2 if colour else -1],
            "SamplesPerPixel": 3 if colour else 1,
            "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
            "BitsAllocated": bits,
            "BitsStored": bits,
            "HighBit": bits - 1,
            "PixelRepresentation": int(pixels.dtype.kind == "i"),
            "PixelData": pixels.tobytes(),
        }
        if colour:
            values["PlanarConfiguration"] = 0
        for keyword, value in {**values, **elements}.items():
            if value is not None:
                setattr(dataset, keyword, value)
        dataset.save_as(path, write_like_original=False)
        return path

    return save


@pytest.fixture
def save_series(save_dicom: Callable[..., Path]) -> Callable[..., Path]:
    """Save a volume (slices, rows, columns) as one DICOM file a slice, named against their order in space."""

    def save(
        name: str,
        pixels: np.ndarray,
        *,
        cosines: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
        step: tuple[float, ...] = (0, 0, 2.5),
        positions: Any = None,
        **elements: Any,
    ) -> Path:
        where = [np.array((-10.0, 20.0, 30.0)) + index * np.array(step) for index in range(len(pixels))]
        for index, slice_ in enumerate(pixels):
            position = where[index] if positions is None else positions[index]
            path = save_dicom(
                f"{name}/{len(pixels) - index:03}.dcm",
                slice_,
                ImagePositionPatient=[float(value) for value in position],
                ImageOrientationPatient=list(cosines),
                PixelSpacing=[0.7, 0.9],
                **elements,
            )
        return path.parent

    return save
