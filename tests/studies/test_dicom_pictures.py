"""Films and series of still pictures: each picture an image of its own, with an id that stays."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.pixel_data_handlers.util import apply_color_lut

from autoweak.errors import ImageError
from autoweak.studies import list_images, open_studies, patients_of, read_image, read_study
from autoweak.studies.dicom_pictures import Instance, split

FRAMES = np.arange(3 * 6 * 8, dtype=np.uint8).reshape(3, 6, 8)
COLOURS = np.arange(3 * 6 * 7 * 3, dtype=np.uint8).reshape(3, 6, 7, 3)


@pytest.mark.parametrize("pixels", [FRAMES, COLOURS], ids=["grey", "colour"])
def test_each_frame_of_a_film_is_an_image(save_dicom, pixels: np.ndarray) -> None:
    colour = {
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0,
        "Rows": 6,
        "Columns": 7,
    }
    path = save_dicom("s/clip.dcm", pixels, NumberOfFrames=3, **(colour if pixels.ndim == 4 else {}))
    studies = open_studies(path.parent).studies
    assert [(study.image_id, study.frame) for study in studies] == [("clip-1", 1), ("clip-2", 2), ("clip-3", 3)]
    images = [read_study(study) for study in studies]
    for index, image in enumerate(images):
        assert np.array_equal(np.squeeze(image.pixels[0]), pixels[index])
        assert image.image_id == studies[index].image_id
    assert len({image.sha256 for image in images}) == 3


def test_frames_are_unpacked_one_by_one(save_dicom) -> None:
    flat = [np.full((32, 32), level, dtype=np.uint8) for level in (10, 120, 230)]
    packed = []
    for frame in flat:
        stream = io.BytesIO()
        Image.fromarray(frame).save(stream, format="JPEG")
        packed.append(stream.getvalue())
    path = save_dicom(
        "s/clip.dcm",
        np.stack(flat),
        NumberOfFrames=3,
        TransferSyntaxUID="1.2.840.10008.1.2.4.50",
        PixelData=encapsulate(packed),
    )
    means = [float(read_study(study).pixels.mean()) for study in list_images(path)]
    assert means == pytest.approx([10, 120, 230], abs=2)


def test_a_film_of_the_samples(data_dir: Path) -> None:
    path = data_dir / "samples" / "dicom" / "pydicom_data" / "OBXXXX1A_2frame.dcm"
    images = [read_study(study) for study in list_images(path)]
    film = pydicom.dcmread(path)
    whole = apply_color_lut(film.pixel_array, film) >> 8
    assert [image.pixels.shape for image in images] == [(1, 600, 800, 3)] * 2
    assert np.array_equal(np.concatenate([image.pixels for image in images]), whole)


def test_stills_of_a_series_are_images_and_may_differ_in_size(save_dicom) -> None:
    sizes = {7: (6, 8), 3: (5, 9)}
    for number, size in sizes.items():
        path = save_dicom(f"s/exam/x{number}.dcm", np.full(size, number, dtype=np.uint8), InstanceNumber=number)
    save_dicom("s/exam/x9.dcm", FRAMES, InstanceNumber=9, NumberOfFrames=3)
    studies = open_studies(path.parents[1]).studies
    assert [study.image_id for study in studies] == ["exam-3", "exam-7", "exam-9-1", "exam-9-2", "exam-9-3"]
    images = {study.image_id: read_study(study) for study in studies}
    assert {name: images[name].pixels.shape[1:3] for name in ("exam-3", "exam-7")} == {
        "exam-3": (5, 9),
        "exam-7": (6, 8),
    }
    assert np.array_equal(images["exam-9-2"].pixels[0, ..., 0], FRAMES[1])


def test_a_volume_stays_one_image(save_series) -> None:
    folder = save_series("s/ct", np.zeros((4, 6, 8), dtype=np.int16))
    assert [study.image_id for study in open_studies(folder.parent).studies] == ["ct"]


def test_pictures_of_one_study_are_of_one_patient(save_dicom) -> None:
    path = save_dicom("s/clip.dcm", FRAMES, NumberOfFrames=3, PatientID="", StudyInstanceUID="1.2.9")
    assert len(set(patients_of(list_images(path.parent)).values())) == 1


def test_films_that_end_early_or_lie_are_refused_in_a_sentence(save_dicom) -> None:
    path = save_dicom("short.dcm", FRAMES[:2], NumberOfFrames=3)
    with pytest.raises(ImageError, match=r"short\.dcm cannot be read"):
        read_image(path, frame=3)
    with pytest.raises(ImageError, match="has 3 frames and no frame 4"):
        read_image(path, frame=4)
    endless = save_dicom("s/endless.dcm", FRAMES, NumberOfFrames=2_000_000_000)
    (only,) = open_studies(endless.parent).studies
    with pytest.raises(ImageError, match=r"endless\.dcm cannot be read"):
        read_study(only)


INSTANCES = st.lists(
    st.builds(
        Instance,
        uid=st.integers(0, 5).map(str),
        number=st.integers(0, 4),
        frames=st.integers(1, 4),
        placed=st.just(False),
    ),
    min_size=1,
    max_size=6,
)


@given(INSTANCES)
def test_every_picture_is_there_once_under_its_own_name(instances: list[Instance]) -> None:
    pictures = split(instances)
    assert len({one.suffix for one in pictures}) == len(pictures)
    expected = {
        (index, frame if one.frames > 1 else None)
        for index, one in enumerate(instances)
        for frame in range(1, one.frames + 1)
    }
    assert {(one.index, one.frame) for one in pictures} == expected


@given(INSTANCES)
def test_names_do_not_depend_on_the_order_of_files(instances: list[Instance]) -> None:
    unlike = list({one.uid: one for one in instances}.values())
    named = [{one.suffix: order[one.index].uid for one in split(order)} for order in (unlike, unlike[::-1])]
    assert named[0] == named[1]
