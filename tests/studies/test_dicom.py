"""Single DICOM images of all photometric interpretations."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoweak.errors import ImageError
from autoweak.studies import dicom, mask_suffix, read_image

GREY = (np.arange(6 * 8, dtype=np.uint16).reshape(6, 8) * 60).astype(np.uint16)


def test_grey_is_a_picture(save_dicom) -> None:
    image = read_image(save_dicom("a.dcm", GREY, ImagePositionPatient=[1, 2, 3]))
    assert image.pixels.dtype == np.uint16
    assert np.array_equal(image.pixels[0, ..., 0], GREY)
    assert not image.geometry.is_volume
    assert mask_suffix(image) == ".png"


def test_rescale_gives_whole_hounsfield_units(save_dicom) -> None:
    image = read_image(save_dicom("a.dcm", GREY, RescaleSlope=1, RescaleIntercept=-1024))
    assert image.pixels.dtype == np.int16
    assert np.array_equal(image.pixels[0, ..., 0], GREY.astype(int) - 1024)
    halves = read_image(save_dicom("b.dcm", GREY, RescaleSlope=0.5, RescaleIntercept=3))
    assert np.allclose(halves.pixels[0, ..., 0], GREY * 0.5 + 3)
    wide = read_image(save_dicom("c.dcm", GREY, RescaleSlope=100, RescaleIntercept=0))
    assert np.array_equal(wide.pixels[0, ..., 0], GREY.astype(int) * 100)


def test_a_rescale_slope_of_zero_is_refused(save_dicom) -> None:
    with pytest.raises(ImageError, match="rescale slope is 0"):
        read_image(save_dicom("a.dcm", GREY, RescaleSlope=0, RescaleIntercept=0))


@pytest.mark.parametrize("bits", [12, 16])
def test_monochrome1_is_inverted(save_dicom, bits: int) -> None:
    path = save_dicom("a.dcm", GREY, PhotometricInterpretation="MONOCHROME1", BitsStored=bits, HighBit=bits - 1)
    assert np.array_equal(read_image(path).pixels[0, ..., 0], 2**bits - 1 - GREY)


def test_signed_monochrome1_is_inverted_within_its_range(save_dicom) -> None:
    signed = GREY.astype(np.int16) - 1000
    found = read_image(save_dicom("a.dcm", signed, PhotometricInterpretation="MONOCHROME1")).pixels[0, ..., 0]
    assert np.array_equal(found, -1 - signed)


def test_rgb_in_either_planar_configuration(save_dicom) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    assert np.array_equal(read_image(save_dicom("a.dcm", rgb)).pixels[0], rgb)
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1)).tobytes()
    path = save_dicom("b.dcm", rgb, PlanarConfiguration=1, PixelData=planes)
    assert np.array_equal(read_image(path).pixels[0], rgb)


def test_ybr_is_converted(save_dicom) -> None:
    rgb = np.full((6, 8, 3), (200, 30, 60), dtype=np.uint8)
    ybr = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
    found = read_image(save_dicom("a.dcm", ybr, PhotometricInterpretation="YBR_FULL")).pixels[0]
    assert np.abs(found.astype(int) - rgb).max() <= 2


def _encapsulated(content: bytes) -> bytes:
    from pydicom.encaps import encapsulate

    return encapsulate([content])


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "RGB"])
def test_jpeg_colours_come_out_right(save_dicom, photometric: str) -> None:
    """The same colours whether the JPEG inside holds YCbCr, as nearly all do, or RGB."""
    rgb = np.zeros((32, 32, 3), dtype=np.uint8)
    rgb[:16], rgb[16:] = (200, 30, 60), (20, 180, 90)
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, format="JPEG", quality=95, keep_rgb=photometric == "RGB")
    path = save_dicom(
        "a.dcm",
        rgb,
        PhotometricInterpretation=photometric,
        TransferSyntaxUID="1.2.840.10008.1.2.4.50",
        PixelData=_encapsulated(stream.getvalue()),
    )
    found = read_image(path).pixels[0].astype(int)
    assert np.abs(found[4:12] - rgb[4:12]).max() < 8
    assert np.abs(found[20:28] - rgb[20:28]).max() < 8


def test_a_palette_becomes_rgb(save_dicom) -> None:
    indices = np.tile(np.arange(4, dtype=np.uint8), (6, 2))
    channels = {
        name: np.array(values, dtype="<u2").tobytes()
        for name, values in (("Red", [0, 65535, 0, 32768]), ("Green", [0, 0, 65535, 32768]), ("Blue", [0, 0, 0, 32768]))
    }
    elements = {f"{name}PaletteColorLookupTableData": data for name, data in channels.items()}
    elements |= {f"{name}PaletteColorLookupTableDescriptor": [4, 0, 16] for name in channels}
    found = read_image(save_dicom("a.dcm", indices, PhotometricInterpretation="PALETTE COLOR", **elements)).pixels[0]
    assert found.dtype == np.uint8
    assert found[0, :4].tolist() == [[0, 0, 0], [255, 0, 0], [0, 255, 0], [128, 128, 128]]


def test_eight_bit_and_float_pixels(save_dicom) -> None:
    small = GREY.astype(np.uint8)
    assert read_image(save_dicom("a.dcm", small)).pixels.dtype == np.uint8
    values = GREY.astype(np.float32) / 7
    path = save_dicom("b.dcm", values, PixelData=None, PixelRepresentation=None, FloatPixelData=values.tobytes())
    assert np.array_equal(read_image(path).pixels[0, ..., 0], values)


def test_a_film_is_refused(save_dicom) -> None:
    path = save_dicom("a.dcm", np.zeros((3, 6, 8), dtype=np.uint8), NumberOfFrames=3)
    with pytest.raises(ImageError, match="film of 3 frames without positions"):
        read_image(path)


def test_one_frame_of_many_is_a_picture(save_dicom) -> None:
    assert read_image(save_dicom("a.dcm", GREY, NumberOfFrames=1)).pixels.shape == (1, 6, 8, 1)


@pytest.mark.parametrize("elements", [{"Modality": "SEG"}, {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4"}])
def test_a_segmentation_is_no_image(save_dicom, elements: dict[str, str]) -> None:
    with pytest.raises(ImageError, match="not an image"):
        read_image(save_dicom("a.dcm", GREY, **elements))


def test_no_pixels_and_too_many_are_refused(save_dicom, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImageError, match="without pixel data"):
        read_image(save_dicom("a.dcm", GREY, PixelData=None))
    with pytest.raises(ImageError, match="no pixels"):
        read_image(save_dicom("b.dcm", GREY, Rows=0))
    with pytest.raises(ImageError, match="4,294,836,225 pixels and the limit"):
        read_image(save_dicom("c.dcm", GREY, Rows=65535, Columns=65535))


def test_an_unknown_compression_is_refused(save_dicom) -> None:
    path = save_dicom("a.dcm", GREY, TransferSyntaxUID="1.2.840.10008.1.2.4.100", PixelData=_encapsulated(b"\0" * 64))
    with pytest.raises(ImageError, match="compressed in a way that cannot be read"):
        read_image(path)


@pytest.mark.parametrize(
    "elements", [{"Rows": 7}, {"Rows": 0}, {"RescaleSlope": 0}, {"Modality": "SR"}, {"PixelData": None}]
)
def test_no_sentence_names_a_patient(save_dicom, elements: dict[str, object]) -> None:
    with pytest.raises(ImageError) as caught:
        read_image(save_dicom("a.dcm", GREY, **elements))
    assert str(caught.value).startswith("The image a.dcm cannot be read: ")
    assert "secret" not in str(caught.value).lower()


def test_a_text_file_is_not_dicom(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_text("hello")
    with pytest.raises(ImageError, match="not a DICOM file"):
        read_image(tmp_path / "a.dcm")


def test_nothing_is_printed_on_the_way(save_dicom, capfd: pytest.CaptureFixture[str], recwarn) -> None:
    read_image(save_dicom("a.dcm", GREY, PatientBirthDate="not a date", PixelData=GREY.tobytes() + b"\0" * 100))
    assert capfd.readouterr() == ("", "")
    assert [warning for warning in recwarn if "autoweak" in str(warning.filename)] == []


SAMPLES = {
    "highdicom/ct_image.dcm": ((1, 128, 128, 1), "int16"),
    "highdicom/dx_image.dcm": ((1, 169, 211, 1), "uint8"),
    "pydicom_data/693_UNCI.dcm": ((1, 512, 512, 1), "int16"),
    "pydicom_data/RG1_J2KI.dcm": ((1, 1955, 1841, 1), "uint16"),
    "pydicom_data/US1_J2KR.dcm": ((1, 480, 640, 3), "uint8"),
    "pydicom_data/US1_UNCI.dcm": ((1, 480, 640, 3), "uint8"),
    "pydicom_data/OBXXXX1A_2frame.dcm": "film of 2 frames",
    "pydicom_data/emri_small.dcm": "film of 10 frames",
    "highdicom/seg_image_ct_binary.dcm": "not an image",
    "dcmqi_segmentations/liver.dcm": "not an image",
}


@pytest.mark.parametrize("name", SAMPLES)
def test_each_sample_is_read_or_refused_with_its_reason(data_dir: Path, name: str) -> None:
    path, expected = data_dir / "samples" / "dicom" / name, SAMPLES[name]
    if isinstance(expected, str):
        with pytest.raises(ImageError, match=expected):
            read_image(path)
    else:
        pixels = read_image(path).pixels
        assert (pixels.shape, str(pixels.dtype)) == expected
        assert pixels.min() < pixels.max()


def test_jpeg_2000_holds_the_colours_of_the_uncompressed_file(data_dir: Path) -> None:
    folder = data_dir / "samples" / "dicom" / "pydicom_data"
    first, second = (read_image(folder / name).pixels.astype(int) for name in ("US1_J2KR.dcm", "US1_UNCI.dcm"))
    # The uncompressed file has been a JPEG before.
    assert np.abs(first - second).mean() < 2
    assert np.abs(first.mean(axis=(0, 1, 2)) - second.mean(axis=(0, 1, 2))).max() < 0.5


def test_inversion_keeps_what_exceeds_the_bits_stored() -> None:
    class Header(dict):
        pass

    values = np.array([0, 5000], dtype=np.uint16)
    assert dicom.inverted(values, Header(BitsStored=12)).tolist() == [5000, 0]
