"""Requests exactly as 3D Slicer's module and the OHIF extension send them, and how both read the answers."""

from __future__ import annotations

import gzip
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import requests
from requests_toolbelt import MultipartDecoder

TIMEOUT = 120


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    log: Path
    studies: Path

    def get(self, path: str, **query: Any) -> requests.Response:
        return requests.get(f"{self.url}{path}", params=query, timeout=TIMEOUT)

    def post(self, path: str, content: Any = None, **query: Any) -> requests.Response:
        return requests.post(f"{self.url}{path}", json=content, params=query, timeout=TIMEOUT)

    def info(self) -> dict[str, Any]:
        return self.get("/info/").json()

    def train(self, **params: Any) -> dict[str, Any]:
        """Start the training and wait for its end, as 3D Slicer does."""
        assert self.post("/train/retrain", params).ok
        return self.wait_for("/train/")

    def wait_for(self, path: str, *, seconds: float = 240) -> dict[str, Any]:
        """Poll a task until it is over."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            task = self.get(path).json()
            if task["status"] not in ("SUBMITTED", "RUNNING"):
                assert task["status"] != "ERROR", task
                return task
            time.sleep(0.3)
        raise AssertionError(task)


@dataclass
class Slicer:
    """3D Slicer's module: MONAILabel.py of MONAI Label 0.8.5."""

    server: Server
    client_id: str = "user-xyz"

    def next_sample(self, strategy: str = "weak_label") -> dict[str, Any]:
        answer = self.server.post(f"/activelearning/{strategy}", {"client_id": self.client_id})
        assert answer.ok, answer.text
        return answer.json()

    def infer(self, model: str, image: str, params: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """A volume as Slicer loads it, and the result's parameters."""
        sent = {"result_extension": ".nrrd", "result_dtype": "uint8", "client_id": self.client_id, **(params or {})}
        answer = self.raw(model, image, sent)
        assert answer.ok, answer.text
        parts = MultipartDecoder.from_response(answer).parts
        known, volume = (next(part for part in parts if _named(part, name)) for name in ("params", "image"))
        return read_nrrd(volume.content), json.loads(known.content)

    def raw(self, model: str, image: str, params: dict[str, Any]) -> requests.Response:
        return requests.post(
            f"{self.server.url}/infer/{model}",
            params={"image": image},
            files={"params": (None, json.dumps(params))},
            timeout=TIMEOUT,
        )

    def submit(self, image: str, mask: np.ndarray, segments: list[str], *, affine: Any = None) -> requests.Response:
        """Save a label (I, J, K): the segments in their order of the list, numbered from 1."""
        with tempfile.NamedTemporaryFile(suffix=".nii.gz") as file:
            nibabel.save(nibabel.Nifti1Image(mask, np.diag([-1, -1, 1, 1]) if affine is None else affine), file.name)
            params = {
                "label_info": [{"name": name, "idx": place} for place, name in enumerate(segments, start=1)],
                "client_id": self.client_id,
            }
            return put_label(self.server, image, Path(file.name), params)


@dataclass
class Ohif:
    """The OHIF extension that MONAI Label 0.8.5 serves."""

    server: Server

    def next_sample(self) -> dict[str, Any]:
        answer = self.server.post("/activelearning/random", {})
        assert answer.ok, answer.text
        return answer.json()

    def infer(self, model: str, image: str, params: dict[str, Any] | None = None) -> tuple[dict[str, Any], np.ndarray]:
        """Header and voxels (I, J, K) of the answer."""
        sent = {
            **(params or {}),
            "result_extension": ".nrrd",
            "result_dtype": "uint8",
            "result_compress": False,
            "restore_label_idx": False,
        }
        answer = requests.post(
            f"{self.server.url}/infer/{model}",
            params={"image": image, "output": "image"},
            files={"params": (None, json.dumps(sent))},
            headers={"accept": "application/json, multipart/form-data"},
            timeout=TIMEOUT,
        )
        assert answer.ok, answer.text
        header = nrrd_header(answer.content)
        assert header["encoding"] == "raw"
        return header, read_nrrd(answer.content)


def _named(part: Any, name: str) -> bool:
    return f'name="{name}"'.encode() in part.headers[b"Content-Disposition"]


def put_image(server: Server, image: str, file: Path) -> requests.Response:
    with file.open("rb") as stream:
        return requests.put(
            f"{server.url}/datastore/image",
            params={"image": image},
            files={"file": (file.name, stream)},
            timeout=TIMEOUT,
        )


def put_label(
    server: Server, image: str, file: Path, params: dict[str, Any] | None = None, **query: Any
) -> requests.Response:
    with file.open("rb") as stream:
        return requests.put(
            f"{server.url}/datastore/label",
            params={"image": image, **query},
            data={"params": json.dumps(params or {})},
            files={"label": (file.name, stream)},
            timeout=TIMEOUT,
        )


def nrrd_header(content: bytes) -> dict[str, str]:
    head = content[: content.index(b"\n\n")].decode("ascii")
    return dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)


def read_nrrd(content: bytes) -> np.ndarray:
    """Voxels (I, J, K), uint8; as many as the header says, neither more nor less."""
    header = nrrd_header(content)
    sizes = tuple(int(word) for word in header["sizes"].split())
    values = content[content.index(b"\n\n") + 2 :]
    if header["encoding"] == "gzip":
        values = gzip.decompress(values)
    assert header["type"] == "uint8"
    assert len(values) == np.prod(sizes)
    return np.frombuffer(values, dtype=np.uint8).reshape(sizes, order="F")
