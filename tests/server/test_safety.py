"""What must be refused is refused, with one sentence and the right status."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

from tests.server.clients import TIMEOUT, Server, Slicer, put_image, put_label
from tests.server.conftest import Start, phantom_studies

OUTSIDE = [
    "../outside",
    "..",
    "/etc/passwd",
    "..%2f..%2fx",
    "a/b",
    "a\\b",
    "x" * 300,
    "a\x00b",
    ".hidden",
    "a:b",
    "\u202eab",
]


def _sentence(answer: requests.Response) -> str:
    detail = answer.json()["detail"]
    assert isinstance(detail, str)
    assert "Traceback" not in answer.text
    assert 'File "' not in answer.text
    return detail


def _files(server: Server) -> set[str]:
    return {str(path) for path in server.studies.parent.rglob("*") if ".autoweak" not in str(path)}


@pytest.mark.parametrize("image", OUTSIDE)
def test_ids_lead_nowhere_else(fresh: Server, image: str, tmp_path: Path) -> None:
    label = tmp_path / "label.png"
    Image.fromarray(np.ones((96, 128), dtype=np.uint8)).save(label)
    before = _files(fresh)
    answers = [
        fresh.get("/datastore/image", image=image),
        fresh.get("/datastore/image/info", image=image),
        fresh.get("/datastore/label", label=image, tag="final"),
        Slicer(fresh).raw("medsam", image, {"foreground": [[1, 1, 0]]}),
        put_label(fresh, image, label),
    ]
    for answer in answers:
        assert answer.status_code == 404, answer.text
        _sentence(answer)
    upload = put_image(fresh, image, label)
    assert upload.status_code == 422
    _sentence(upload)
    assert _files(fresh) == before


@pytest.mark.parametrize("tag", ["../../evil", "original", "weak", "/outside/x", ""])
def test_tags_lead_nowhere_else(fresh: Server, tag: str, tmp_path: Path) -> None:
    label = tmp_path / "label.png"
    Image.fromarray(np.ones((96, 128), dtype=np.uint8)).save(label)
    before = _files(fresh)
    answer = put_label(fresh, "ultrasound_000", label, tag=tag)
    if tag:
        assert answer.status_code == 422
        _sentence(answer)
    assert {path for path in _files(fresh) - before if "labels/earlier" not in path} == set()


@pytest.mark.parametrize("key", ["image", "label"])
def test_parameters_cannot_name_files_of_the_server(fresh: Server, key: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.fromarray(np.full((96, 128), 255, dtype=np.uint8)).save(secret)
    answer = Slicer(fresh).raw("medsam", "ultrasound_000", {key: str(secret), "foreground": [], "refine": True})
    if key == "image":
        assert answer.status_code == 404
    else:
        assert answer.status_code == 422
    _sentence(answer)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/infer/nothing?image=ultrasound_000", 404),
        ("/infer/medsam?image=nothing", 404),
        ("/infer/medsam", 422),
        ("/infer/wsi/medsam?image=ultrasound_000", 405),
        ("/batch/infer/nothing", 404),
        ("/train/nothing", 404),
        ("/train/retrain?run_sync=true", 422),
        ("/activelearning/nothing", 404),
        ("/scoring/nothing", 404),
        ("/reload", 405),
        ("/proxy/dicom/stow/studies", 405),
        ("/infer/medsam?image=ultrasound_000&session_id=../../x", 404),
    ],
)
def test_unknown_names(fresh: Server, path: str, status: int) -> None:
    answer = requests.post(f"{fresh.url}{path}", files={"params": (None, "{}")}, timeout=TIMEOUT)
    assert answer.status_code == status, answer.text
    _sentence(answer)


def test_malformed_requests(fresh: Server) -> None:
    url = f"{fresh.url}/infer/medsam?image=ultrasound_000"
    answer = requests.post(url, files={"params": (None, "{not json")}, timeout=TIMEOUT)
    assert answer.status_code == 422
    assert "JSON" in _sentence(answer)
    answer = requests.post(url, files={"params": (None, "[1]")}, timeout=TIMEOUT)
    assert answer.status_code == 422
    _sentence(answer)
    for output in ("dicom_seg", "something"):
        assert requests.post(f"{url}&output={output}", timeout=TIMEOUT).status_code == 422


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/datastore/label?id=ultrasound_000&tag=final"),
        ("DELETE", "/datastore/image?id=ultrasound_000"),
        ("PUT", "/datastore/label/info?label=ultrasound_000&tag=final"),
        ("DELETE", "/model/coarse"),
    ],
)
def test_nothing_is_deleted_over_the_network(fresh: Server, method: str, path: str) -> None:
    before = _files(fresh)
    answer = requests.request(method, f"{fresh.url}{path}", data={"info": "{}"}, timeout=TIMEOUT)
    assert answer.status_code in (405, 422)
    _sentence(answer)
    assert _files(fresh) == before


def test_uploaded_images(fresh: Server, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    assert put_image(fresh, "broken", broken).status_code == 422
    assert put_image(fresh, "script", tmp_path / "broken.png").status_code == 422
    good = fresh.studies / "ultrasound_001.png"
    content = good.read_bytes()
    replaced = put_image(fresh, "ultrasound_001", fresh.studies / "ultrasound_002.png")
    assert replaced.status_code == 422
    assert good.read_bytes() == content
    archive = requests.put(f"{fresh.url}/session/?uncompress=true", files={"files": ("a.zip", b"PK")}, timeout=TIMEOUT)
    assert archive.status_code == 422


def test_image_sent_along_is_segmented_and_not_kept(fresh: Server) -> None:
    file = fresh.studies / "ultrasound_001.png"
    before = _files(fresh)
    with file.open("rb") as stream:
        answer = requests.post(
            f"{fresh.url}/infer/medsam?output=json",
            files={"file": ("other.png", stream), "params": (None, json.dumps({"foreground": [[64, 48, 0]]}))},
            timeout=TIMEOUT,
        )
    assert answer.ok, answer.text
    assert _files(fresh) == before
    deadline = time.monotonic() + 10  # they are deleted after the answer
    while list((fresh.studies / ".autoweak" / "uploads").iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_uploads_are_bounded(start: Start, tmp_path: Path) -> None:
    studies, task = phantom_studies(tmp_path)
    server = start(studies, task=task, max_upload_mb=1)
    large = tmp_path / "large.png"
    large.write_bytes(b"\0" * (2 * 1024**2))
    answer = put_image(server, "large", large)
    assert answer.status_code == 413
    assert "1 MB" in _sentence(answer)

    def endless() -> object:
        for _ in range(64):
            yield b"\0" * (64 * 1024)

    # Without a length in its header.
    answer = requests.put(f"{server.url}/datastore/image?image=x", data=endless(), timeout=TIMEOUT)
    assert answer.status_code == 413
    assert server.get("/info/").ok
