"""NRRD volumes in one file, as 3D Slicer writes them.

Read here rather than by ITK: the header is checked and the size limited before anything is unpacked, a header that
points to another file is refused, and reading does not need a library of hundreds of megabytes.
Format: https://teem.sourceforge.net/nrrd/format.html
"""

from __future__ import annotations

import bz2
import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from autoweak import atomic
from autoweak.errors import ImageError
from autoweak.studies.geometry import Array, Geometry
from autoweak.studies.stored import Segmentation, Stored, check_spatial, plain_dtype

_MAX_HEADER = 1 << 20
_TYPES = {
    "int8": ("signed char", "int8", "int8_t"),
    "uint8": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "int16": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "uint16": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "int32": ("int", "signed int", "int32", "int32_t"),
    "uint32": ("uint", "unsigned int", "uint32", "uint32_t"),
    "int64": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "uint64": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "float32": ("float",),
    "float64": ("double",),
}
_TYPE_OF = {name: dtype for dtype, names in _TYPES.items() for name in names}
# Signs of the world's axes that turn a space into RAS.
_SPACES = {
    "right-anterior-superior": (1.0, 1.0, 1.0),
    "ras": (1.0, 1.0, 1.0),
    "left-anterior-superior": (-1.0, 1.0, 1.0),
    "las": (-1.0, 1.0, 1.0),
    "left-posterior-superior": (-1.0, -1.0, 1.0),
    "lps": (-1.0, -1.0, 1.0),
}
_SEGMENT_NAME = re.compile(r"(Segment\d+)_Name")
_VECTOR = re.compile(r"\(([^()]*)\)|\bnone\b")


@dataclass(frozen=True)
class _Header:
    fields: dict[str, str]
    pairs: dict[str, str]

    def get(self, *names: str) -> str:
        return next((self.fields[name] for name in names if name in self.fields), "")


def read(path: Path) -> Stored:
    """Read an NRRD file of two or three axes; further axes must have length 1.

    Returns:
        array (I, J, K), first index fastest in the file; affine in RAS+. Without a space in the header the affine is
        that of LPS with the spacings given, as ITK and 3D Slicer read it.

    Raises:
        ImageError: the file is damaged, too large, or not a grey volume (no path in the sentence).
    """
    try:
        with path.open("rb") as stream:
            header = _header(stream)
            sizes = tuple(int(word) for word in header.get("sizes").split())
            if not sizes or len(sizes) != int(header.get("dimension")):
                raise _damaged("its sizes and its dimension differ")
            _check_grey(header)
            shape = check_spatial(sizes)
            array = _values(stream, header, count=int(np.prod(shape, dtype=np.int64)))
            affine = _affine(header, axes=len(sizes))
            segmentation = _segmentation(header)
    except FileNotFoundError:
        msg = "the file does not exist; check the path, or the link that points to it"
        raise ImageError(msg) from None
    except (OSError, ValueError, EOFError, OverflowError, zlib.error) as error:
        raise _damaged("it is damaged or not an NRRD file") from error
    return Stored(plain_dtype(array.reshape(shape, order="F")), affine, sizes, segmentation=segmentation)


def write(path: Path, stored: npt.NDArray[np.uint8], *, geometry: Geometry, compress: bool) -> None:
    """Write a mask (I, J, K) or (H, W) as NRRD in LPS, atomically, with the geometry of its image.

    A picture becomes a volume (W, H, 1) of 1 mm pixels, as ITK and 3D Slicer read the picture itself.

    Args:
        path: where to.
        stored: the mask, in the stored frame of its image.
        geometry: of the image.
        compress: gzip; viewers in a browser read plain bytes faster.
    """
    array = stored.T[..., np.newaxis] if geometry.affine is None else stored
    affine = np.eye(4) if geometry.affine is None else np.diag([-1.0, -1.0, 1.0, 1.0]) @ geometry.affine
    lines = [
        "NRRD0004",
        "type: uint8",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(str(length) for length in array.shape)}",
        f"space directions: {' '.join(_vector(affine[:3, axis]) for axis in range(3))}",
        "kinds: domain domain domain",
        f"encoding: {'gzip' if compress else 'raw'}",
        f"space origin: {_vector(affine[:3, 3])}",
    ]
    content = array.astype(np.uint8).tobytes(order="F")
    packed = gzip.compress(content, compresslevel=1, mtime=0) if compress else content
    atomic.write_bytes(path, "\n".join([*lines, "", ""]).encode("ascii") + packed)


def _vector(values: npt.NDArray[np.float64]) -> str:
    return f"({','.join(repr(float(value) + 0.0) for value in values)})"


def _header(stream: BinaryIO) -> _Header:
    if not stream.readline(_MAX_HEADER).startswith(b"NRRD000"):
        raise _damaged("it is not an NRRD file")
    fields: dict[str, str] = {}
    pairs: dict[str, str] = {}
    while stream.tell() < _MAX_HEADER:
        line = stream.readline(_MAX_HEADER)
        if not line.endswith(b"\n"):
            break
        text = line.decode("utf-8", errors="replace").strip()
        if not text:
            return _Header(fields, pairs)
        if ":=" in text.split(": ")[0]:
            key, value = text.split(":=", maxsplit=1)
            pairs[key.strip()] = value.strip()
        elif not text.startswith("#") and ": " in text:
            key, value = text.split(": ", maxsplit=1)
            fields[key.strip().lower()] = value.strip()
    raise _damaged("its header has no end")


def _segmentation(header: _Header) -> Segmentation | None:
    """The pairs that 3D Slicer adds to a header; those of a segment are called Segment0_Name and so on."""
    offset = header.pairs.get("Segmentation_ReferenceImageExtentOffset", "").split()
    if len(offset) != 3:
        return None
    first, second, third = (int(word) for word in offset)
    names = {}
    for key, name in header.pairs.items():
        found = _SEGMENT_NAME.fullmatch(key)
        value = header.pairs.get(f"{found.group(1)}_LabelValue", "") if found else ""
        if value.isdigit():
            names[int(value)] = name
    return Segmentation((first, second, third), names)


def _check_grey(header: _Header) -> None:
    if header.get("data file", "datafile"):
        msg = "its values lie in another file; save it as one .nrrd file"
        raise ImageError(msg)
    skipped = header.get("line skip", "lineskip", "byte skip", "byteskip")
    if skipped not in ("", "0"):
        msg = "its values do not follow its header; save it again as a plain .nrrd file"
        raise ImageError(msg)
    kinds = header.get("kinds").lower().split()
    if any(kind not in {"domain", "space", "time", "none", "???"} for kind in kinds):
        msg = "it holds colours, vectors or overlapping layers; save it as one grey volume, or one layer of labels"
        raise ImageError(msg)


def _values(stream: BinaryIO, header: _Header, *, count: int) -> Array:
    name = _TYPE_OF.get(header.get("type").lower())
    if name is None:
        raise _damaged("its value type is not known")
    dtype = np.dtype(name)
    encoding = header.get("encoding").lower()
    if encoding in {"txt", "text", "ascii"}:
        values = np.array(stream.read(count * 32).split()[:count], dtype=np.float64).astype(dtype)
    else:
        if dtype.itemsize > 1:
            dtype = dtype.newbyteorder(">" if header.get("endian").lower() == "big" else "<")
        content = _unpacked(stream, encoding, size=count * dtype.itemsize)
        values = np.frombuffer(content, dtype=dtype, count=count)
    if values.size != count:
        raise _damaged("it ends before its last value")
    return values


def _unpacked(stream: BinaryIO, encoding: str, *, size: int) -> bytes:
    """Unpack no more than `size` bytes, whatever the compressed part would grow to."""
    if encoding == "raw":
        return stream.read(size)
    if encoding in {"gz", "gzip"}:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(stream.read(), size)
    if encoding in {"bz2", "bzip2"}:
        return bz2.BZ2Decompressor().decompress(stream.read(), size)
    raise _damaged("its encoding is not known")


def _affine(header: _Header, *, axes: int) -> npt.NDArray[np.float64]:
    affine = np.eye(4)
    space = header.get("space").lower()
    directions = _vectors(header.get("space directions"))[:3]
    if directions:
        for axis, vector in enumerate(directions):
            affine[: len(vector), axis] = vector
    else:
        spacings = [float(word) for word in header.get("spacings").split()][:3]
        lengths = [value if np.isfinite(value) and value != 0 else 1.0 for value in spacings] or [1.0] * min(axes, 3)
        affine[range(len(lengths)), range(len(lengths))] = lengths
    for origin in _vectors(header.get("space origin"))[:1]:
        affine[: len(origin), 3] = origin
    signs = _SPACES.get(space, _SPACES["lps"])
    # Masks of this volume are NIfTI, which keeps single precision: what is written is then what was read.
    with np.errstate(all="ignore"):  # NaN and infinity are refused with the geometry
        return (np.diag([*signs, 1.0]) @ affine).astype(np.float32).astype(np.float64)


def _vectors(text: str) -> list[list[float]]:
    vectors = [
        [float(word) for word in found.group(1).split(",")] for found in _VECTOR.finditer(text) if found.group(1)
    ]
    if any(len(vector) > 3 for vector in vectors):
        raise _damaged("its space has more than three axes")
    return vectors


def _damaged(what: str) -> ImageError:
    return ImageError(f"{what}; save it again")
