"""The list of studies while files come and go."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from autoweak.server.listing import Listing
from tests.server.dicom import write_exam


def _later(folder: Path) -> None:
    """As if some time had gone by: the folder's clock may be coarse."""
    status = folder.stat()
    os.utime(folder, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))


def _ids(listing: Listing) -> list[str]:
    return [study.image_id for study in listing.get().studies]


def test_pictures_that_join_a_series_are_seen(tmp_path: Path) -> None:
    exam = tmp_path / "exam"
    write_exam(exam, "US", np.zeros((8, 9), dtype=np.uint8), np.zeros((3, 8, 9), dtype=np.uint8))
    later = (exam / "instance2.dcm").read_bytes()
    (exam / "instance2.dcm").unlink()
    listing = Listing(tmp_path)
    assert _ids(listing) == ["exam"]
    assert listing.get() is listing.get()  # nothing has changed
    (exam / "instance2.dcm").write_bytes(later)
    _later(exam)
    assert _ids(listing) == ["exam-1", "exam-2-1", "exam-2-2", "exam-2-3"]


def test_a_folder_that_is_emptied_is_empty_and_not_wrong(tmp_path: Path) -> None:
    write_exam(tmp_path / "exam", "US", np.zeros((8, 9), dtype=np.uint8))
    listing = Listing(tmp_path)
    assert _ids(listing) == ["exam"]
    (tmp_path / "exam" / "instance1.dcm").unlink()
    (tmp_path / "exam").rmdir()
    _later(tmp_path)
    assert _ids(listing) == []
