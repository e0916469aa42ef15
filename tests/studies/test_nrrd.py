"""NRRD: the same values and places as ITK reads, and nothing that a header may ask for on the side."""

from __future__ import annotations

import bz2
import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest

from autoweak.errors import ImageError
from autoweak.studies import nrrd, read_image
from autoweak.studies.geometry import picture_geometry, volume_geometry

ITK_WARNINGS = pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning")
VALUES = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4) - 5
LINES = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "2 3 4",
    "space directions": "(0.5,0,0) (0,0.6,0.1) (0,-0.1,2)",
    "kinds": "domain domain domain",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(10,-20,30)",
}


def save(path: Path, content: bytes, **changes: str | None) -> Path:
    lines = {**LINES, **{key.replace("_", " "): value for key, value in changes.items()}}
    header = "".join(f"{key}: {value}\n" for key, value in lines.items() if value is not None)
    path.write_bytes(b"NRRD0004\n# a comment\n" + header.encode() + b"name:=value\n\n" + content)
    return path


RAW = VALUES.tobytes(order="F")


@pytest.mark.parametrize(
    ("content", "changes"),
    [
        (RAW, {}),
        (gzip.compress(RAW), {"encoding": "gzip"}),
        (zlib.compress(RAW), {"encoding": "gz"}),
        (bz2.compress(RAW), {"encoding": "bzip2"}),
        (VALUES.astype(">i2").tobytes(order="F"), {"endian": "big"}),
        (VALUES.astype("<f8").tobytes(order="F"), {"type": "double"}),
        (" ".join(map(str, VALUES.ravel(order="F"))).encode(), {"encoding": "ascii"}),
    ],
    ids=["raw", "gzip", "zlib", "bzip2", "big endian", "double", "ascii"],
)
def test_all_encodings_hold_the_same_values(tmp_path: Path, content: bytes, changes: dict[str, str]) -> None:
    assert np.array_equal(nrrd.read(save(tmp_path / "v.nrrd", content, **changes)).array, VALUES)


def test_the_affine_is_in_ras(tmp_path: Path) -> None:
    expected = np.array([[-0.5, 0, 0, -10], [0, -0.6, 0.1, 20], [0, 0.1, 2, 30], [0, 0, 0, 1]])
    assert np.allclose(nrrd.read(save(tmp_path / "v.nrrd", RAW)).affine, expected, atol=1e-6)
    in_ras = nrrd.read(save(tmp_path / "r.nrrd", RAW, space="right-anterior-superior")).affine
    assert np.allclose(in_ras, np.diag([-1, -1, 1, 1]) @ expected, atol=1e-6)


@ITK_WARNINGS
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"space": "right-anterior-superior"},
        {"space": "left-anterior-superior"},
        {"space": None, "space_directions": None, "space_origin": None, "spacings": "0.5 0.6 2"},
        {"space": None, "space_directions": None, "space_origin": None},
    ],
    ids=["lps", "ras", "las", "spacings", "bare"],
)
def test_itk_reads_the_same(tmp_path: Path, changes: dict[str, str | None]) -> None:
    itk = pytest.importorskip("itk")
    stored = nrrd.read(save(tmp_path / "v.nrrd", RAW, **changes))
    theirs = itk.imread(tmp_path / "v.nrrd")
    assert np.array_equal(itk.array_from_image(theirs).transpose(2, 1, 0), stored.array)
    affine = np.eye(4)
    affine[:3, :3] = itk.array_from_matrix(theirs.GetDirection()) * np.array(theirs.GetSpacing())
    affine[:3, 3] = np.array(theirs.GetOrigin())
    assert np.allclose(np.diag([-1, -1, 1, 1]) @ affine, stored.affine, atol=1e-5)


def test_a_volume_is_sliced_like_any_other(tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "v.nrrd", RAW))
    assert image.pixels.shape == (4, 3, 2, 1)
    assert np.array_equal(image.pixels[1, ..., 0], VALUES[:, :, 1].T)
    assert image.geometry.spacing == pytest.approx((2.0025, 0.6083, 0.5), abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data_file": "/etc/passwd"}, "lie in another file"),
        ({"datafile": "LIST"}, "lie in another file"),
        ({"byte_skip": "-1"}, "do not follow its header"),
        ({"kinds": "RGB-color domain domain"}, "colours, vectors or overlapping layers"),
        ({"kinds": "list domain domain"}, "overlapping layers"),
        ({"sizes": "2 3"}, "sizes and its dimension differ"),
        ({"sizes": "20000 20000 20000"}, "the limit is"),
        ({"sizes": "-2 -3 4"}, "holds no voxels"),
        ({"sizes": "2 3 5"}, "damaged"),
        ({"type": "block"}, "value type is not known"),
        ({"encoding": "hex"}, "encoding is not known"),
        ({"space_origin": "(a,b,c)"}, "damaged"),
        ({"space_directions": "(0,0,0) (0,1,0) (0,0,1)"}, "geometry is flat"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, changes: dict[str, str], reason: str) -> None:
    with pytest.raises(ImageError, match=reason) as caught:
        read_image(save(tmp_path / "v.nrrd", RAW, **changes))
    assert str(caught.value).startswith("The image v.nrrd cannot be read: ")


def test_a_bomb_is_unpacked_no_further_than_its_size(tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(200_000_000), level=9)
    import tracemalloc

    path = save(tmp_path / "v.nrrd", bomb, encoding="gzip")
    tracemalloc.start()
    assert (nrrd.read(path).array == 0).all()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


@ITK_WARNINGS
def test_the_samples_are_read_as_itk_reads_them(data_dir: Path) -> None:
    itk = pytest.importorskip("itk")
    files = sorted((data_dir / "samples" / "dicom").rglob("*.nrrd"))
    assert len(files) > 10
    for file in files:
        assert np.array_equal(itk.array_from_image(itk.imread(file)).transpose(2, 1, 0), nrrd.read(file).array)


@pytest.mark.parametrize("compress", [True, False])
def test_a_mask_is_written_where_its_image_lies(tmp_path: Path, compress: bool) -> None:
    affine = np.array([[0.0, -2.0, 0.0, 5.0], [1.5, 0.0, 0.0, -7.0], [0.0, 0.0, 3.0, 11.0], [0.0, 0.0, 0.0, 1.0]])
    mask = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    geometry = volume_geometry((3, 4, 5), affine, plane="axial")
    nrrd.write(tmp_path / "mask.nrrd", mask, geometry=geometry, compress=compress)
    back = nrrd.read(tmp_path / "mask.nrrd")
    assert np.array_equal(back.array, mask)
    assert np.allclose(back.affine, affine)
    itk = pytest.importorskip("itk")
    seen = itk.imread(str(tmp_path / "mask.nrrd"))
    assert np.array_equal(itk.array_from_image(seen).transpose(2, 1, 0), mask)
    assert np.allclose(np.asarray(seen.GetOrigin()), affine[:3, 3] * [-1, -1, 1])


def test_a_mask_of_a_picture_is_one_slice(tmp_path: Path) -> None:
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4)
    nrrd.write(tmp_path / "mask.nrrd", mask, geometry=picture_geometry((3, 4)), compress=False)
    back = nrrd.read(tmp_path / "mask.nrrd")
    assert np.array_equal(back.array, mask.T[..., np.newaxis])
    assert np.array_equal(back.affine, np.diag([-1, -1, 1, 1]))
