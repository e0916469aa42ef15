"""Images of the studies as files that viewers load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoweak.server.datastore import FolderDatastore
from autoweak.server.errors import BadRequestError
from autoweak.server.files import image_file
from autoweak.server.live import Live
from autoweak.server.settings import parse_settings
from autoweak.studies import open_studies
from tests.server.dicom import write_exam


@pytest.mark.parametrize(
    ("film", "exact"),
    [
        (np.arange(3 * 8 * 9, dtype=np.uint8).reshape(3, 8, 9), True),
        (np.arange(3 * 8 * 9, dtype=np.uint16).reshape(3, 8, 9) * 100, True),
        (np.arange(3 * 8 * 9 * 3, dtype=np.uint16).astype(np.uint8).reshape(3, 8, 9, 3), True),
        (np.arange(3 * 8 * 9, dtype=np.int16).reshape(3, 8, 9) - 50, False),
    ],
    ids=["uint8", "uint16", "colour", "negative"],
)
def test_frame_of_a_film_is_a_file_of_its_own(tmp_path: Path, film: np.ndarray, exact: bool) -> None:
    write_exam(tmp_path / "studies" / "clip", "US", film)
    live = Live(tmp_path / "studies", parse_settings({"task": "breast_ultrasound"}))
    study = open_studies(tmp_path / "studies").get("clip-2")
    with Image.open(image_file(study, live=live, folder=tmp_path)) as picture:
        shown = np.asarray(picture)
    assert np.array_equal(shown, film[1] if exact else live.image(study)[1][0, ..., 0])
    assert image_file(study, live=live, folder=tmp_path).stat().st_mtime_ns > 0
    assert len(list(tmp_path.glob("clip-2-*.png"))) == 1


def test_an_upload_never_replaces_the_file_of_a_film(tmp_path: Path) -> None:
    film = np.arange(3 * 8 * 9, dtype=np.uint8).reshape(3, 8, 9)
    write_exam(tmp_path / "sent", "US", film, film)
    (tmp_path / "studies").mkdir()
    kept = (tmp_path / "sent" / "instance1.dcm").rename(tmp_path / "studies" / "clip.dcm")
    before = kept.read_bytes()
    store = FolderDatastore(Live(tmp_path / "studies", parse_settings({"task": "breast_ultrasound"})), uploads=tmp_path)
    assert "clip" not in store.list_images()  # its frames have names of their own
    with pytest.raises(BadRequestError, match="not replaced"):
        store.add_image("clip", str(tmp_path / "sent" / "instance2.dcm"), {})
    assert kept.read_bytes() == before
    assert store.add_image("other", str(tmp_path / "sent" / "instance2.dcm"), {}) == "other"
