"""Labels in the frame of their image: round trips, sizes, orientations, and labels of another image."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from autoweak.errors import LabelError
from autoweak.studies import mask_suffix, read_image, read_label, write_mask

GREY = np.arange(6 * 10, dtype=np.uint8).reshape(6, 10)
VOLUME = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
LABEL = (VOLUME % 3).astype(np.uint8)
TURNS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def tilted(degrees: float) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("zyx", [degrees, -degrees / 2, degrees]).as_matrix() * (0.7, 0.9, 2.5)
    affine[:3, 3] = (-80, 60, 12)
    return affine


def turned(
    array: np.ndarray, affine: np.ndarray, order: tuple[int, ...], signs: tuple[int, ...]
) -> nibabel.Nifti1Image:
    """The same voxels in the same places, stored in another order of axes and other directions."""
    pairs = np.array([[order.index(axis), sign] for axis, sign in zip(range(3), signs, strict=True)], dtype=float)
    return nibabel.Nifti1Image(array, affine).as_reoriented(pairs)


@QUICK
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    suffix=st.sampled_from([".png", ".tif", ".bmp"]),
    seed=st.integers(0, 99),
)
def test_masks_of_pictures_come_back(tmp_path: Path, make_task, shape: tuple[int, int], suffix: str, seed: int) -> None:
    Image.fromarray(np.zeros(shape, dtype=np.uint8)).save(tmp_path / f"i{suffix}")
    image = read_image(tmp_path / f"i{suffix}")
    mask = np.random.default_rng(seed).integers(0, 4, (1, *shape), dtype=np.uint8)
    for name in ("m.png", "m.nii.gz"):
        write_mask(tmp_path / name, mask, image=image)
        found = read_label(tmp_path / name, image=image, task=make_task(3))
        assert np.array_equal(found.mask, mask)
        assert found.notes == ()


@QUICK
@given(
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    turn=st.sampled_from(TURNS),
    degrees=st.sampled_from([0.0, 12.0, 40.0]),
    plane=st.sampled_from(["axial", "coronal", "sagittal"]),
    suffix=st.sampled_from([".nii", ".nii.gz"]),
)
def test_masks_of_volumes_come_back_in_the_images_own_place(
    tmp_path: Path, make_task, shape: tuple[int, int, int], turn, degrees: float, plane: str, suffix: str
) -> None:
    nibabel.save(turned(np.zeros(shape, dtype=np.int16), tilted(degrees), *turn), tmp_path / "i.nii.gz")
    image = read_image(tmp_path / "i.nii.gz", plane=plane)
    mask = np.random.default_rng(shape[0]).integers(0, 4, image.pixels.shape[:3], dtype=np.uint8)
    write_mask(tmp_path / f"m{suffix}", mask, image=image)
    found = read_label(tmp_path / f"m{suffix}", image=image, task=make_task(3, dimension=3))
    assert np.array_equal(found.mask, mask)
    assert found.notes == ()
    own, written = nibabel.load(tmp_path / "i.nii.gz"), nibabel.load(tmp_path / f"m{suffix}")
    assert np.array_equal(own.affine, written.affine)
    assert own.shape == written.shape


@pytest.mark.parametrize("turn", TURNS[::5])
@pytest.mark.parametrize("degrees", [0.0, 40.0])
def test_a_label_stored_in_another_orientation_is_turned(
    save_volume, tmp_path: Path, make_task, turn, degrees: float
) -> None:
    image = read_image(save_volume("i.nii.gz", VOLUME, tilted(degrees)))
    straight = read_label(save_volume("l.nii.gz", LABEL, tilted(degrees)), image=image, task=make_task(2, dimension=3))
    nibabel.save(turned(LABEL, tilted(degrees), *turn), tmp_path / "t.nii.gz")
    found = read_label(tmp_path / "t.nii.gz", image=image, task=make_task(2, dimension=3))
    assert np.array_equal(found.mask, straight.mask)
    assert np.array_equal(image.geometry.from_slices(found.mask), LABEL)


def test_slicers_label_of_a_picture_is_a_volume_of_one_slice(save_picture, save_volume, make_task) -> None:
    """Columns come first, and the affine, which a picture has not, is passed over."""
    image = read_image(save_picture("i.png", GREY))
    label = (GREY % 3 == 0).astype(np.int16)
    for name, affine in (("a.nii.gz", np.diag([-1.0, -1, 1, 1])), ("b.nii.gz", np.eye(4))):
        path = save_volume(name, label.T[..., np.newaxis], affine)
        assert np.array_equal(read_label(path, image=image, task=make_task()).mask[0], label)


def test_slicers_nrrd_label_of_a_picture(save_picture, tmp_path: Path, make_task) -> None:
    image = read_image(save_picture("i.png", GREY))
    label = (GREY % 3 == 0).astype(np.uint8)
    header = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 10 6 1\nencoding: raw\n\n"
    (tmp_path / "l.nrrd").write_bytes(header + label.tobytes())
    assert np.array_equal(read_label(tmp_path / "l.nrrd", image=image, task=make_task()).mask[0], label)


@pytest.mark.parametrize("factors", [(2, 2), (3, 1), (1, 4), (2, 5)])
def test_a_mask_of_an_exact_multiple_is_resampled_and_said(save_picture, make_task, factors: tuple[int, int]) -> None:
    image = read_image(save_picture("i.png", GREY))
    label = (GREY % 3).astype(np.uint8)
    large = np.kron(label, np.ones(factors, dtype=np.uint8))
    found = read_label(save_picture("l.png", large), image=image, task=make_task(2))
    assert np.array_equal(found.mask[0], label)
    width, height = large.shape[::-1]
    assert f"{width} x {height} pixels and the image 10 x 6" in str(found.resampled)
    assert found.notes == (found.resampled,)


def test_a_smaller_mask_is_enlarged(save_picture, make_task) -> None:
    image = read_image(save_picture("i.png", GREY))
    small = np.array([[0, 1, 0, 2, 0], [1, 0, 2, 0, 1]], dtype=np.uint8)
    found = read_label(save_picture("l.png", small), image=image, task=make_task(2))
    assert np.array_equal(found.mask[0], np.kron(small, np.ones((3, 2), dtype=np.uint8)))
    assert found.resampled


@pytest.mark.parametrize("shape", [(6, 11), (7, 10), (10, 6), (9, 15), (6 * 17, 170)])
def test_a_mask_of_another_size_is_refused_with_both_sizes(save_picture, make_task, shape: tuple[int, int]) -> None:
    image = read_image(save_picture("i.png", GREY))
    with pytest.raises(LabelError) as caught:
        read_label(save_picture("l.png", np.zeros(shape, dtype=np.uint8)), image=image, task=make_task())
    assert f"it has {shape[1]} x {shape[0]} pixels and the image 10 x 6" in str(caught.value)
    assert str(caught.value).startswith("The label l.png of image i cannot be used: ")


@pytest.mark.parametrize(
    ("label", "affine", "reason"),
    [
        (np.zeros((3, 4, 6)), np.eye(4), "it has 3 x 4 x 6 voxels and the image 3 x 4 x 5"),
        (np.zeros((4, 3, 5)), np.eye(4), "it has 4 x 3 x 5 voxels and the image 3 x 4 x 5"),
        (np.zeros((6, 8, 10)), np.diag([0.5, 0.5, 0.5, 1]), "it has 6 x 8 x 10 voxels and the image 3 x 4 x 5"),
        (np.zeros((3, 4, 5)), np.diag([1, 1, 2, 1]), "another size or direction"),
        (np.zeros((3, 4, 5)), nibabel.affines.from_matvec(np.eye(3), [7, 0, 0]), "it lies 7.0 voxels away"),
        (np.zeros((3, 4, 5)), np.diag([-1, 1, 1, 1]), "it lies 2.0 voxels away"),
    ],
)
def test_a_label_of_another_volume_is_refused(
    save_volume, make_task, label: np.ndarray, affine: np.ndarray, reason: str
) -> None:
    image = read_image(save_volume("i.nii.gz", VOLUME))
    with pytest.raises(LabelError, match=reason):
        read_label(save_volume("l.nii.gz", label.astype(np.uint8), affine), image=image, task=make_task(dimension=3))


def test_rounded_affines_still_fit(save_volume, make_task) -> None:
    image = read_image(save_volume("i.nii.gz", VOLUME, tilted(12)))
    path = save_volume("l.nii.gz", LABEL, np.round(tilted(12), 2))
    assert np.array_equal(
        image.geometry.from_slices(read_label(path, image=image, task=make_task(2, dimension=3)).mask), LABEL
    )


def test_a_picture_may_label_a_volume_of_one_slice_and_no_other(save_volume, save_picture, make_task) -> None:
    flat = read_image(save_volume("f.nii.gz", VOLUME[:, :, :1]))
    label = save_picture("l.png", LABEL[:, :, 0].T.copy())
    assert np.array_equal(
        flat.geometry.from_slices(read_label(label, image=flat, task=make_task(2)).mask), LABEL[:, :, :1]
    )
    deep = read_image(save_volume("d.nii.gz", VOLUME))
    with pytest.raises(LabelError, match="it is a picture and the image a volume of 3 x 4 x 5"):
        read_label(label, image=deep, task=make_task(2, dimension=3))


def test_a_volume_cannot_label_a_picture(save_volume, save_picture, make_task) -> None:
    image = read_image(save_picture("i.png", GREY))
    with pytest.raises(LabelError, match="it is a volume of 3 x 4 x 5 voxels and the image a picture of 10 x 6"):
        read_label(save_volume("l.nii.gz", LABEL), image=image, task=make_task(2))


def test_nan_in_a_label_is_background_and_said(save_volume, make_task) -> None:
    image = read_image(save_volume("i.nii.gz", VOLUME))
    values = LABEL.astype(np.float32)
    values[0] = np.nan
    found = read_label(save_volume("l.nii.gz", values), image=image, task=make_task(2, dimension=3))
    assert not image.geometry.from_slices(found.mask)[0].any()
    assert found.notes == ("Its NaN or infinite values were read as background.",)


def test_dicom_and_other_files_are_no_labels(save_picture, save_dicom, tmp_path: Path, make_task) -> None:
    image = read_image(save_picture("i.png", GREY))
    (tmp_path / "l.txt").write_text("x")
    for path, reason in (
        (save_dicom("l.dcm", GREY), "DICOM labels are not read"),
        (tmp_path / "l.txt", "it is not PNG"),
        (tmp_path / "gone.png", "does not exist"),
    ):
        with pytest.raises(LabelError, match=reason):
            read_label(path, image=image, task=make_task())


def test_masks_that_do_not_fit_are_not_written(save_picture, save_volume, tmp_path: Path) -> None:
    picture, volume = read_image(save_picture("i.png", GREY)), read_image(save_volume("v.nii.gz", VOLUME))
    good = np.zeros((1, 6, 10), dtype=np.uint8)
    for name, mask, image, reason in (
        ("m.png", good[:, :5], picture, r"shape \(1, 6, 10\), got \(1, 5, 10\)"),
        ("m.png", good.astype(int) - 1, picture, "values 0 to 255, got -1 to -1"),
        ("m.png", good.astype(int) + 256, picture, "got 256 to 256"),
        ("m.jpg", good, picture, r"is written as \.png, got the name m\.jpg"),
        ("m.png", np.zeros((5, 4, 3), dtype=np.uint8), volume, r"is written as \.nii\.gz, got the name m\.png"),
    ):
        with pytest.raises(LabelError, match=reason):
            write_mask(tmp_path / name, mask, image=image)
        assert not (tmp_path / name).exists()
    assert (mask_suffix(picture), mask_suffix(volume)) == (".png", ".nii.gz")


def test_writing_leaves_only_the_mask(save_picture, tmp_path: Path) -> None:
    image = read_image(save_picture("i.png", GREY))
    for name in ("m.png", "m.nii.gz"):
        write_mask(tmp_path / "out" / name, np.zeros((1, 6, 10), dtype=bool), image=image)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["m.nii.gz", "m.png"]


GOLD = {
    "breast_ultrasound": ("breast_ultrasound", "masks"),
    "skin_lesion": ("skin_lesion", "masks"),
    "chest_xray": ("chest_xray", "masks"),
    "two_lungs": ("chest_xray_two_lungs", "masks"),
    "hippocampus_mr": ("hippocampus_mr", "labels"),
}


@pytest.mark.parametrize("task_name", GOLD)
def test_all_gold_labels_are_read_in_full(data_dir: Path, task_name: str) -> None:
    from autoweak.studies import list_images, to_channels, to_uint8
    from autoweak.tasks import load_task

    task, (folder, masks) = load_task(task_name), GOLD[task_name]
    studies = list_images(data_dir / folder / "gold" / "images")
    assert len(studies) >= 15
    for study in studies:
        image = read_image(study.path, plane=task.plane)
        (path,) = (data_dir / folder / "gold" / masks).glob(f"{study.image_id}.*")
        found = read_label(path, image=image, task=task)
        assert set(np.unique(found.mask)) == set(range(task.num_labels + 1))
        assert found.notes == ()
        view = to_channels(to_uint8(image, task.intensity), task.channels)
        assert view.shape == (*found.mask.shape, task.channels)
        assert view.std() > 10


def test_the_quirks_are_read(data_dir: Path, make_task) -> None:
    quirks = data_dir / "samples" / "raw_quirks"
    lungs = read_label(
        quirks / "lung_gold_masks_126.png", image=read_image(quirks / "lung_gold_images_126.jpg"), task=make_task()
    )
    assert len(lungs.notes) == 2
    assert 0.2 < lungs.mask.mean() < 0.3
    weak = read_image(quirks / "busi_unlabelled_medsam_box_benign__100_.png")
    rgba = read_label(weak.path, image=weak, task=make_task())
    assert np.array_equal(rgba.mask[0], weak.pixels[0, ..., 0] // 255)
    with pytest.raises(LabelError, match="323 x 473 pixels and the image 882 x 581"):
        read_label(weak.path, image=read_image(quirks / "busi_gold_images_benign__105_.png"), task=make_task())


def _segmentation(
    path: Path, part: np.ndarray, *, offset: tuple[int, int, int], affine: np.ndarray, names: dict[int, str]
) -> Path:
    """A `.seg.nrrd` as 3D Slicer writes it: the voxels (i, j, k) around the segments, `offset` telling where."""
    lps = np.diag([-1.0, -1, 1, 1]) @ affine
    origin = lps @ [*offset, 1]

    def vector(values: np.ndarray) -> str:
        return f"({','.join(str(float(value)) for value in values)})"

    lines = [
        "NRRD0004",
        "type: unsigned char",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, part.shape))}",
        f"space directions: {' '.join(vector(lps[:3, axis]) for axis in range(3))}",
        "kinds: domain domain domain",
        "encoding: raw",
        f"space origin: {vector(origin[:3])}",
        *(f"Segment{place}_ID:=Segment_{value}" for place, value in enumerate(names)),
        *(f"Segment{place}_LabelValue:={value}" for place, value in enumerate(names)),
        *(f"Segment{place}_Name:={name}" for place, name in enumerate(names.values())),
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|Closed surface|",
        f"Segmentation_ReferenceImageExtentOffset:={' '.join(map(str, offset))}",
    ]
    path.write_bytes("\n".join([*lines, "", ""]).encode() + part.astype(np.uint8).tobytes(order="F"))
    return path


@QUICK
@given(
    offset=st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 3)),
    degrees=st.integers(-80, 80),
    seed=st.integers(0, 99),
)
def test_slicers_segmentation_is_cropped_to_its_segments(
    tmp_path: Path, make_task, offset: tuple[int, int, int], degrees: int, seed: int
) -> None:
    affine = tilted(degrees)
    nibabel.save(nibabel.Nifti1Image(VOLUME, affine), tmp_path / "i.nii.gz")
    image = read_image(tmp_path / "i.nii.gz")
    part = np.random.default_rng(seed).integers(0, 3, (1, 2, 2), dtype=np.uint8)
    path = _segmentation(tmp_path / "l.seg.nrrd", part, offset=offset, affine=affine, names={})
    found = read_label(path, image=image, task=make_task(2, dimension=3))
    whole = np.zeros(VOLUME.shape, dtype=np.uint8)
    whole[tuple(slice(first, first + length) for first, length in zip(offset, part.shape, strict=True))] = part
    assert np.array_equal(image.geometry.from_slices(found.mask), whole)
    assert found.notes


def test_slicers_cropped_segmentation_of_a_picture(save_picture, tmp_path: Path, make_task) -> None:
    image = read_image(save_picture("i.png", GREY))
    affine = np.diag([-1.0, -1, 1, 1])
    # Half as large in both directions: not an image of half the size.
    part = np.ones((5, 3, 1), dtype=np.uint8)
    path = _segmentation(tmp_path / "l.seg.nrrd", part, offset=(4, 2, 0), affine=affine, names={1: "label_1"})
    whole = np.zeros(GREY.shape, dtype=np.uint8)
    whole[2:5, 4:9] = 1
    assert np.array_equal(read_label(path, image=image, task=make_task()).mask[0], whole)


def test_slicers_segments_are_known_by_their_names(save_volume, tmp_path: Path, make_task) -> None:
    """Slicer numbers segments in the order of its list: the second label alone gets 1."""
    image = read_image(save_volume("i.nii.gz", VOLUME))
    for names, expected in (({1: "Label_2"}, 2), ({1: "Segment_1"}, 1), ({}, 1), ({1: "other", 2: "label_1"}, 1)):
        path = _segmentation(tmp_path / "l.seg.nrrd", VOLUME > 5, offset=(0, 0, 0), affine=np.eye(4), names=names)
        found = read_label(path, image=image, task=make_task(2, dimension=3)).mask
        assert np.array_equal(image.geometry.from_slices(found), (VOLUME > 5) * expected)


def test_a_cropped_segmentation_of_another_image_is_refused(save_volume, tmp_path: Path, make_task) -> None:
    image = read_image(save_volume("i.nii.gz", VOLUME))
    shifted = np.eye(4)
    shifted[0, 3] = 0.4
    for offset, affine, reason in (((2, 2, 4), np.eye(4), "reach outside"), ((0, 0, 0), shifted, "between")):
        part = np.ones((2, 2, 2), dtype=np.uint8)
        path = _segmentation(tmp_path / "l.seg.nrrd", part, offset=offset, affine=affine, names={})
        with pytest.raises(LabelError, match=reason):
            read_label(path, image=image, task=make_task(dimension=3))
    # A plain volume of another size is of another image, wherever it lies.
    with pytest.raises(LabelError, match="2 x 2 x 2 voxels"):
        read_label(save_volume("l.nii.gz", part), image=image, task=make_task(dimension=3))


def test_a_larger_segmentation_is_cut_where_it_is_empty(save_volume, tmp_path: Path, make_task) -> None:
    image = read_image(save_volume("i.nii.gz", VOLUME))
    part = np.zeros((6, 7, 8), dtype=np.uint8)
    part[2:4, 3, 3] = 1
    path = _segmentation(tmp_path / "l.seg.nrrd", part, offset=(-1, -2, -1), affine=np.eye(4), names={})
    whole = np.zeros(VOLUME.shape, dtype=np.uint8)
    whole[1:3, 1, 2] = 1
    found = read_label(path, image=image, task=make_task(dimension=3)).mask
    assert np.array_equal(image.geometry.from_slices(found), whole)
