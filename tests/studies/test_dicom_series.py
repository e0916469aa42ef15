"""DICOM series: order, geometry, and the series that make up no volume."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel
import numpy as np
import pytest

from autoweak.errors import ImageError
from autoweak.studies import mask_suffix, read_image, read_label, write_mask

VOLUME = np.random.default_rng(0).integers(0, 2000, (5, 6, 8)).astype(np.int16)
OBLIQUE = (0.9848, 0.1736, 0.0, -0.1632, 0.9254, 0.3420)


def test_slices_come_in_order_of_their_position(save_series) -> None:
    """The file names run against the positions."""
    image = read_image(save_series("ct", VOLUME))
    assert image.image_id == "ct"
    assert np.array_equal(image.pixels[..., 0], VOLUME)
    assert image.geometry.spacing == pytest.approx((2.5, 0.7, 0.9))
    expected = np.array([[-0.9, 0, 0, 10], [0, -0.7, 0, -20], [0, 0, 2.5, 30], [0, 0, 0, 1]])
    assert np.allclose(image.geometry.affine, expected, atol=1e-5)


def test_descending_positions_make_the_same_volume(save_series) -> None:
    image = read_image(save_series("ct", VOLUME, step=(0, 0, -2.5)))
    assert np.array_equal(image.pixels[::-1, ..., 0], VOLUME)
    assert image.geometry.affine[2, 3] == pytest.approx(20)


def test_an_oblique_series_keeps_its_place(save_series) -> None:
    normal = np.cross(OBLIQUE[:3], OBLIQUE[3:])
    affine = read_image(save_series("mr", VOLUME, cosines=OBLIQUE, step=tuple(3 * normal))).geometry.affine
    lps = np.diag([-1, -1, 1]) @ affine[:3]
    assert np.allclose(lps[:, 0], 0.9 * np.array(OBLIQUE[:3]), atol=1e-4)
    assert np.allclose(lps[:, 1], 0.7 * np.array(OBLIQUE[3:]), atol=1e-4)
    assert np.allclose(lps[:, 2], 3 * normal, atol=1e-4)


def test_a_tilted_gantry_makes_a_sheared_affine(save_series, tmp_path: Path) -> None:
    image = read_image(save_series("ct", VOLUME, step=(0, 0.8, 2.5)))
    assert np.allclose(image.geometry.affine[:3, 2], (0, -0.8, 2.5), atol=1e-5)
    write_mask(tmp_path / "m.nii.gz", np.ones(VOLUME.shape, dtype=np.uint8), image=image)
    assert np.array_equal(nibabel.load(tmp_path / "m.nii.gz").affine, image.geometry.affine)


def test_masks_are_nifti_in_the_same_place(save_series, tmp_path: Path, make_task) -> None:
    image = read_image(save_series("ct", VOLUME))
    assert mask_suffix(image) == ".nii.gz"
    mask = (VOLUME > 1000).astype(np.uint8)
    write_mask(tmp_path / "m.nii.gz", mask, image=image)
    assert np.array_equal(nibabel.load(tmp_path / "m.nii.gz").affine, image.geometry.affine)
    assert np.array_equal(read_label(tmp_path / "m.nii.gz", image=image, task=make_task(dimension=3)).mask, mask)


def test_each_slice_has_its_own_rescale(save_series, save_dicom) -> None:
    folder = save_series("pet", VOLUME[:2], RescaleSlope=0.5, RescaleIntercept=0)
    image = read_image(folder)
    assert np.allclose(image.pixels[..., 0], VOLUME[:2] * 0.5)


def test_the_hash_is_of_all_slices(save_series, tmp_path: Path) -> None:
    first, second = (read_image(save_series(name, VOLUME)) for name in ("a", "b"))
    changed = read_image(save_series("c", VOLUME // 2))
    assert first.sha256 == second.sha256 != changed.sha256


def test_other_files_in_the_folder_are_passed_over(save_series) -> None:
    folder = save_series("ct", VOLUME)
    for name in ("DICOMDIR", ".DS_Store", "notes.txt"):
        (folder / name).write_bytes(b"\0" * 128 + b"DICM")
    assert read_image(folder).pixels.shape == (5, 6, 8, 1)


def test_a_folder_of_one_file_is_that_picture(save_series) -> None:
    image = read_image(save_series("one", VOLUME[:1]))
    assert not image.geometry.is_volume


def _mixed_series(save_series, save_dicom) -> Path:
    folder = save_series("x", VOLUME)
    save_series("x2", VOLUME[:1], SeriesInstanceUID="9.9")
    (folder.parent / "x2" / "001.dcm").rename(folder / "z.dcm")
    return folder


def _localiser(save_series, save_dicom) -> Path:
    folder = save_series("x", VOLUME)
    (save_series("x2", VOLUME[:1, :4, :4]) / "001.dcm").rename(folder / "z.dcm")
    return folder


def _other_direction(save_series, save_dicom) -> Path:
    folder = save_series("x", VOLUME)
    (save_series("x2", VOLUME[:1], cosines=(1, 0, 0, 0, 0, -1)) / "001.dcm").rename(folder / "z.dcm")
    return folder


def _positions(*z: float):
    def build(save_series, save_dicom) -> Path:
        return save_series("x", VOLUME[: len(z)], positions=[(0, 0, value) for value in z])

    return build


def _without(**elements: object):
    def build(save_series, save_dicom) -> Path:
        folder = save_series("x", VOLUME)
        save_dicom("x/000.dcm", VOLUME[0], **elements)
        return folder

    return build


REFUSED = {
    "mixed": (_mixed_series, "2 series; give each series a folder"),
    "localiser": (_localiser, r"2 sizes \(4 x 4 and 8 x 6\)"),
    "direction": (_other_direction, "different directions or pixel sizes"),
    "gap": (_positions(0, 2.5, 5, 10), r"2\.50 to 5\.00 mm apart"),
    "twice": (_positions(0, 2.5, 2.5, 5), "two of its slices lie in one place"),
    "all in one place": (_positions(0, 0), "two of its slices lie in one place"),
    "no position": (_without(), "no position, direction or pixel size"),
    "colour": (_without(SamplesPerPixel=3), "in colour"),
    "frames": (_without(NumberOfFrames=3), "several multi-frame files"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_up_no_volume_is_refused(save_series, save_dicom, case: str) -> None:
    build, reason = REFUSED[case]
    with pytest.raises(ImageError, match=reason) as caught:
        read_image(build(save_series, save_dicom))
    assert str(caught.value).startswith("The image x cannot be read: ")
    assert "secret" not in str(caught.value).lower()


def test_rounded_positions_are_no_gap(save_series) -> None:
    image = read_image(save_series("x", VOLUME[:4], positions=[(0, 0, z) for z in (0, 0.33, 0.67, 1.0)]))
    assert image.geometry.spacing == pytest.approx((1 / 3, 0.7, 0.9), abs=1e-3)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(ImageError, match="no DICOM files"):
        read_image(tmp_path / "x")


def test_a_damaged_slice_is_refused(save_series) -> None:
    folder = save_series("x", VOLUME)
    whole = (folder / "002.dcm").read_bytes()
    (folder / "002.dcm").write_bytes(whole[: len(whole) - 40])
    with pytest.raises(ImageError, match="damaged DICOM"):
        read_image(folder)


def test_a_real_ct_series_lies_where_its_label_says(data_dir: Path, make_task) -> None:
    """The label is stored in another orientation: the ribs on bone prove the turn."""
    image = read_image(data_dir / "samples" / "dicom" / "totalseg_ct_series")
    assert image.pixels.shape == (20, 512, 512, 1)
    organs = data_dir / "samples" / "nifti" / "totalseg_example_seg_dicom.nii.gz"
    label = read_label(organs, image=image, task=make_task(117, dimension=3))
    assert label.notes == ("It is stored in another orientation than the image, and was turned.",)
    hounsfield = image.pixels[..., 0]
    liver, ribs = hounsfield[label.mask == 5], hounsfield[(label.mask >= 92) & (label.mask <= 115)]
    assert 20 < np.median(liver) < 200
    assert np.median(ribs) > 150


def test_frames_with_positions_are_the_volume_of_the_single_files(data_dir: Path) -> None:
    for name in ("23x38x3", "24x38x3"):
        folder = data_dir / "samples" / "dicom" / "dcmqi_segmentations" / name
        frames, series = read_image(folder / "multiframe" / "mf.dcm"), read_image(folder / "image")
        assert np.array_equal(frames.pixels, series.pixels)
        assert np.allclose(frames.geometry.affine, series.geometry.affine, atol=1e-4)


def test_frames_are_sorted_and_rescaled(save_dicom) -> None:
    from pydicom.dataset import Dataset

    def group(position: float | None, slope: float | None) -> Dataset:
        item = Dataset()
        if position is not None:
            place = Dataset()
            place.ImagePositionPatient = [0, 0, position]
            item.PlanePositionSequence = [place]
        if slope is not None:
            measures, orientation, values = Dataset(), Dataset(), Dataset()
            measures.PixelSpacing = [1, 1]
            orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            values.RescaleSlope, values.RescaleIntercept = slope, -1024
            item.PixelMeasuresSequence, item.PlaneOrientationSequence = [measures], [orientation]
            item.PixelValueTransformationSequence = [values]
        return item

    path = save_dicom(
        "mf.dcm",
        VOLUME[:3],
        NumberOfFrames=3,
        PerFrameFunctionalGroupsSequence=[group(z, None) for z in (4, 0, 2)],
        SharedFunctionalGroupsSequence=[group(None, 2)],
    )
    image = read_image(path)
    assert np.array_equal(image.pixels[..., 0], VOLUME[[1, 2, 0]] * 2 - 1024)
    assert image.geometry.is_volume


@pytest.mark.parametrize("order", list(itertools.permutations(range(3)))[:4])
def test_any_order_of_files_makes_one_volume(save_dicom, order: tuple[int, ...]) -> None:
    for index, name in enumerate(order):
        path = save_dicom(
            f"x/{name}",
            VOLUME[index],
            ImagePositionPatient=[0, 0, float(index)],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PixelSpacing=[1, 1],
        )
    assert np.array_equal(read_image(path.parent).pixels[..., 0], VOLUME[:3])
