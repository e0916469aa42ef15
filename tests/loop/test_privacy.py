"""What a DICOM header says of a patient goes nowhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from autoweak.loop.context import Context
from autoweak.loop.evaluate import evaluate
from autoweak.loop.reporting import picture_of, report_evaluation, report_run
from autoweak.loop.run import run, summarise
from autoweak.tasks import Task

SECRETS = ("Geheimnis^Gisela", "PID-4711-X", "19561224", "ACC-0815-Y")


def _write_dicom(path: Path, pixels: np.ndarray) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.PatientName, data.PatientID, data.PatientBirthDate, data.AccessionNumber = SECRETS
    data.PatientID += path.stem
    data.Modality, data.PhotometricInterpretation = "US", "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 1, 8, 8, 7, 0
    data.PixelData = pixels.tobytes()
    data.is_little_endian, data.is_implicit_VR = True, False
    pydicom.dcmwrite(path, data, write_like_original=False)


@pytest.mark.usefixtures("ellipses")
def test_nothing_of_the_header_is_written(studies: Path, task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    for image in studies.glob("*.png"):
        _write_dicom(image.with_suffix(".dcm"), np.asarray(Image.open(image)))
        image.unlink()
    context = Context.open(studies, task)
    result = run(context)
    report_run(result, summarise(result))
    pictures = []
    evaluation = evaluate(Context.open(studies, task), on_case=lambda case: pictures.append(picture_of(case)))
    report_evaluation(context, evaluation, pictures)
    for name in studies.glob("*.dcm"):
        assert SECRETS[1].encode() in name.read_bytes()
        name.unlink()
    shutil.rmtree(studies / "labels" / "final")
    assert len(list((studies / "labels" / "original").glob("*.json"))) == 4
    written = [path for path in studies.rglob("*") if path.is_file()]
    assert len(written) > 10
    for path in written:
        content = path.read_bytes()
        for secret in SECRETS:
            assert secret.encode() not in content, path
            assert secret not in str(path)
    captured = capsys.readouterr()
    assert not any(secret in captured.out + captured.err for secret in SECRETS)
