"""What must be refused is refused, with one sentence and the right status."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

from autoweak.server.batch import BATCH_MODEL
from tests.server.clients import TIMEOUT, Server, Slicer, put_image, put_label

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


@pytest.mark.parametrize("key", ["image", "label", "label_file", "study"])
def test_parameters_cannot_name_files_of_the_server(fresh: Server, key: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.fromarray(np.full((96, 128), 255, dtype=np.uint8)).save(secret)
    answer = Slicer(fresh).raw("medsam", "ultrasound_000", {key: str(secret), "foreground": [], "refine": True})
    if key in ("image", "label"):
        _refused(answer, 404, 422)
    else:  # not known outside
        shown, _ = Slicer(fresh).infer("medsam", "ultrasound_000", {key: str(secret), "foreground": [], "refine": True})
        plain, _ = Slicer(fresh).infer("medsam", "ultrasound_000", {"foreground": [], "refine": True})
        assert np.array_equal(shown, plain)


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


def _refused(answer: requests.Response, *statuses: int) -> str:
    assert answer.status_code in statuses, (answer.status_code, answer.text)
    return _sentence(answer)


NO_OBJECTS = [
    b"{not",
    b"[1]",
    b"5",
    b"NaN",
    b'{"a": NaN}',
    b'{"a": [Infinity]}',
    b'{"a": 1e999}',
    b"[" * 100_000,
    b'{"a": "\\ud800"}',
    b"\xff\xfe",
]


@pytest.mark.parametrize("text", NO_OBJECTS, ids=lambda text: text[:12].decode(errors="replace"))
def test_only_json_objects_with_finite_numbers_are_understood(fresh: Server, text: bytes) -> None:
    forms = [
        ("POST", "/infer/medsam?image=ultrasound_000", "params"),
        ("PUT", "/datastore/image/info?image=ultrasound_003", "info"),
        ("PUT", "/datastore/label/info?label=ultrasound_003&tag=final", "info"),
        ("PUT", "/datastore/updatelabelinfo?label=ultrasound_003&tag=final", "params"),
    ]
    for method, path, field in forms:
        answer = requests.request(method, f"{fresh.url}{path}", files={field: (None, text)}, timeout=TIMEOUT)
        assert "JSON" in _refused(answer, 422)
    for path in ("/train/", "/train/retrain", "/scoring/", "/activelearning/weak_label", f"/batch/infer/{BATCH_MODEL}"):
        for kind in ("application/json", "text/plain"):
            headers = {"content-type": kind}
            answer = requests.post(f"{fresh.url}{path}", data=text, headers=headers, timeout=TIMEOUT)
            _refused(answer, 422)
    assert fresh.get("/datastore/", output="all").ok


@pytest.mark.parametrize("megabytes", [0, 6])
def test_params_are_checked_beside_a_file_of_any_size(fresh: Server, megabytes: int) -> None:
    url = f"{fresh.url}/infer/medsam?image=ultrasound_000"
    for text in ("{not json", "[1]"):
        sent = {"params": (None, text), "file": ("a.nii", b"\0" * megabytes * 1024**2)}
        assert "JSON" in _refused(requests.post(url, files=sent, timeout=TIMEOUT), 422)


@pytest.mark.parametrize(
    "params",
    [
        {"foreground": 1},
        {"foreground": [[1]]},
        {"foreground": [["a", 1, 1]]},
        {"foreground": [[1e9, 1, 1]]},
        {"foreground": [[1, 1, 0]] * 1001},
        {"roi": "x"},
        {"roi": [1, 2, 3]},
        {"label": [1]},
        {"image": 5},
        {"model": 5},
        {"model": "../x"},
        {"result_extension": 5},
        {"result_extension": "/../../x.nrrd"},
        {"lesion": {"a": 1}},
    ],
    ids=str,
)
def test_parameters_of_wrong_types_or_sizes(fresh: Server, params: dict[str, object]) -> None:
    _refused(Slicer(fresh).raw("medsam", "ultrasound_000", params), 404, 422)


@pytest.mark.parametrize("name", ["a." + "x" * 300, "a\0.png", "../../a.png", "a.b/c.png", ".png", "a.exe"])
def test_names_of_sent_files_lead_nowhere(fresh: Server, name: str) -> None:
    before = _files(fresh)
    content = (name, b"no picture")
    for method, path, field in (
        ("POST", "/infer/medsam", "file"),
        ("PUT", "/datastore/image?image=sent", "file"),
        ("PUT", "/datastore/label?image=ultrasound_000", "label"),
    ):
        answer = requests.request(method, f"{fresh.url}{path}", files={field: content}, timeout=TIMEOUT)
        _refused(answer, 422)
    assert _files(fresh) == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/session/..%2f.."),
        ("GET", "/session/00000000-0000-0000-0000-000000000000"),
        ("DELETE", "/session/x"),
        ("PUT", "/session/"),
        ("PUT", "/session/?expiry=abc"),
        ("GET", "/logs/?lines=abc"),
        ("GET", "/logs/?refresh=%3Cscript%3E"),
        ("GET", "/auth/token/valid"),
        ("POST", "/auth/token"),
        ("GET", "/model/medsam"),
        ("GET", "/model/nothing"),
        ("GET", "/model/..%2f..%2fx"),
        ("GET", "/model/info/nothing"),
        ("GET", "/train/?check_if_running=true"),
        ("GET", "/train/?all=x"),
        ("GET", "/scoring/?check_if_running=true"),
        ("GET", "/batch/infer?check_if_running=true"),
        ("POST", "/batch/infer/medsam_from_coarse?images=bad"),
        ("POST", "/batch/infer/medsam_from_coarse?run_sync=true"),
        ("POST", "/infer/wsi_v2/medsam"),
        ("POST", "/infer/%00"),
        ("POST", "/infer/medsam?image=%ff"),
        ("POST", "/infer/medsam?image=ultrasound_000&output=something"),
        ("POST", "/infer/medsam?image=ultrasound_000&output=dicom_seg"),
        ("GET", "/datastore/?output=bad"),
        ("GET", "/datastore/dataset?limit_cases=abc"),
        ("GET", "/datastore/label?label=ultrasound_000"),
        ("GET", "/datastore/label?label=ultrasound_000&tag=.."),
        ("GET", "/datastore/image?image=ultrasound_000&check_sum=x:y"),
        ("GET", "/proxy/dicom/wado/x"),
        ("GET", "/static/..%2f..%2fetc/passwd"),
        ("GET", "/info/?" + "&".join(["a=1"] * 100)),
        ("PATCH", "/info/"),
        ("GET", "/nothing"),
    ],
)
def test_what_is_asked_wrongly_is_answered_by_a_sentence(fresh: Server, method: str, path: str) -> None:
    _refused(requests.request(method, f"{fresh.url}{path}", timeout=TIMEOUT), 404, 405, 422)


def test_head_with_a_hash_of_another_kind(fresh: Server) -> None:
    url = f"{fresh.url}/datastore/image?image=ultrasound_000&check_sum=x:y"
    assert requests.head(url, timeout=TIMEOUT).status_code == 422


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/activelearning/weak_label", {"strategy": 5}),
        ("/activelearning/weak_label", {"strategy": "nothing"}),
        ("/train/retrain", {"model": "../x"}),
        ("/scoring/weak_label_quality", {"method": "x"}),
        ("/train/", {"retrain": [1]}),
        ("/scoring/", {"weak_label_quality": 5}),
        ("/batch/infer/medsam_from_coarse?run_sync=true", {"label_tag": "final"}),
    ],
)
def test_json_that_asks_for_something_else(fresh: Server, path: str, content: object) -> None:
    _refused(fresh.post(path, content), 422)


def test_what_clients_say_of_an_image_breaks_nothing(fresh: Server) -> None:
    url = f"{fresh.url}/datastore/image/info?image=ultrasound_000"
    for info in ({"strategy": 5}, {"strategy": "x"}):
        _refused(requests.put(url, data={"info": json.dumps(info)}, timeout=TIMEOUT), 422)
    told = {"path": "/etc/passwd", "name": "x", "id": "y", "note": "seen"}
    assert requests.put(url, data={"info": json.dumps(told)}, timeout=TIMEOUT).ok
    known = fresh.get("/datastore/image/info", image="ultrasound_000").json()
    assert known["path"].endswith("ultrasound_000.png")
    assert known["note"] == "seen"
    for client in ([1], {"a": []}, "x" * 100_000):
        assert fresh.post("/activelearning/weak_label", {"client_id": client}).ok


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=a"])
def test_damaged_forms(fresh: Server, kind: str) -> None:
    url = f"{fresh.url}/infer/medsam?image=ultrasound_000"
    _refused(requests.post(url, data=b"x" * 100, headers={"content-type": kind}, timeout=TIMEOUT), 422)
    large = {"params": (None, "x" * 2 * 1024**2)}
    _refused(requests.post(url, files=large, timeout=TIMEOUT), 422)


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


def test_uploads_are_bounded(fresh: Server, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(b"\0" * (9 * 1024**2))
    answer = put_image(fresh, "large", large)
    assert answer.status_code == 413
    assert "8 MB" in _sentence(answer)

    def endless() -> object:
        for _ in range(9 * 16):
            yield b"\0" * (64 * 1024)

    # Without a length in its header.
    answer = requests.put(f"{fresh.url}/datastore/image?image=x", data=endless(), timeout=TIMEOUT)
    assert answer.status_code == 413
    assert fresh.get("/info/").ok
