"""Exported bundles in MONAI Label's own app `monaibundle`, over a real socket: the masks of our own program."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import itk
import nibabel
import numpy as np
import pytest
import requests
import torch
from PIL import Image
from requests_toolbelt import MultipartDecoder

from autoweak.loop.label import Labeller, label
from autoweak.loop.predict import predict
from autoweak.loop.retrain import current_coarse
from autoweak.workspace import ModelChoice
from tests.bundles.conftest import Trained, mask_in
from tests.bundles.test_export import _export
from tests.server.conftest import free_port

Serve = Callable[[Trained], str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts MONAI Label's app with two exported bundles of a workspace, on images without labels."""
    running = []

    def begin(made: Trained) -> str:
        app = tmp_path / "app"
        shutil.copytree(_sample_app(), app)
        for model in ("final", "weak"):
            _export(made, app / "model" / f"toy_{model}", model)
        (images := tmp_path / "images").mkdir()
        for path in (path for path in made.studies.iterdir() if path.is_file()):
            shutil.copy(path, images)
        port = free_port()
        conf = {"models": "toy_final,toy_weak", "zoo_source": "ngc", "sam2": "false"}
        settings = [word for key, value in conf.items() for word in ("--conf", key, value)]
        command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app), "--studies", str(images)]
        with (tmp_path / "log.txt").open("wb") as log:
            process = subprocess.Popen(
                [*command, *settings, "-i", "127.0.0.1", "-p", str(port)],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=tmp_path,
                # As many threads as here: the order of sums, and with it the last bit, depends on their number.
                env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads()), "HOME": str(tmp_path)},
            )
        running.append(process)
        _wait(f"http://127.0.0.1:{port}", process, tmp_path / "log.txt")
        return f"http://127.0.0.1:{port}"

    yield begin
    for process in running:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


def _sample_app() -> Path:
    """MONAI Label installs its sample apps beside its own package's environment."""
    app = Path(sysconfig.get_path("data")) / "monailabel" / "sample-apps" / "monaibundle"
    assert (app / "main.py").is_file()
    return app


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            if requests.get(f"{url}/info/", timeout=5).ok:
                return
        except requests.ConnectionError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
    pytest.fail(log.read_text())


def _infer(url: str, model: str, image: str, ending: str, folder: Path) -> Path:
    params = json.dumps({"result_extension": ending, "result_dtype": "uint8"})
    answer = requests.post(
        f"{url}/infer/{model}", params={"image": image}, files={"params": (None, params)}, timeout=120
    )
    assert answer.ok, answer.text
    parts = MultipartDecoder.from_response(answer).parts
    content = next(part.content for part in parts if b'name="image"' in part.headers[b"Content-Disposition"])
    path = folder / f"{model}-{image}{ending}"
    path.write_bytes(content)
    return path


def _own_masks(made: Trained, folder: Path) -> dict[str, Path]:
    """By model of the server, the folder with the masks of our program."""
    context = made.context()
    predict(made.studies, folder / "own", workspace=context.workspace, task=made.task, choice=ModelChoice.FINAL)
    label(Labeller.load(context, current_coarse(context)))
    return {"toy_final": folder / "own", "toy_weak": made.studies / "labels" / "original"}


def test_pictures_get_the_same_masks(trained: Callable[[str], Trained], serve: Serve, tmp_path: Path) -> None:
    made = trained("colour")
    own, url = _own_masks(made, tmp_path), serve(made)
    info = requests.get(f"{url}/info/", timeout=20).json()
    assert info["models"]["toy_weak"]["labels"] == {"disc": 1, "ring": 2}
    assert list(info["trainers"]) == ["toy_final", "toy_weak"]
    for model, folder in own.items():
        for image in ("case4", "case5", "case4"):  # a bundle's second request is where code of its own would be lost
            expected = mask_in(folder / f"{image}.png")
            assert np.array_equal(np.asarray(Image.open(_infer(url, model, image, ".png", tmp_path))), expected)
            volume = itk.array_from_image(itk.imread(str(_infer(url, model, image, ".nrrd", tmp_path))))
            assert np.array_equal(volume.squeeze(), expected)


@pytest.mark.slow
def test_volumes_get_the_same_masks_in_their_place(
    trained: Callable[[str], Trained], serve: Serve, tmp_path: Path
) -> None:
    made = trained("volume")
    own, url = _own_masks(made, tmp_path), serve(made)
    for model, folder in own.items():
        expected = nibabel.load(folder / "case4.nii.gz")
        for ending in (".nii.gz", ".nrrd"):
            path = _infer(url, model, "case4", ending, tmp_path)
            assert np.array_equal(itk.array_from_image(itk.imread(str(path))).T, np.asarray(expected.dataobj))
        found = nibabel.load(tmp_path / f"{model}-case4.nii.gz")
        assert np.allclose(found.affine, expected.affine, atol=1e-4)


@pytest.mark.slow
def test_trains_on_the_labels_of_the_datastore(trained: Callable[[str], Trained], serve: Serve, tmp_path: Path) -> None:
    made = trained("grey")
    url = serve(made)
    for path in sorted((made.studies / "labels" / "final").iterdir()):
        with path.open("rb") as stream:
            sent = {"label": (path.name, stream)}
            saved = requests.put(f"{url}/datastore/label", params={"image": path.stem}, files=sent, timeout=60)
        assert saved.ok, saved.text
    weights = tmp_path / "app" / "model" / "toy_final" / "models" / "model.pt"
    before = weights.read_bytes()
    request = {"model": "toy_final", "max_epochs": 5, "val_split": 0.25, "multi_gpu": False}
    assert requests.post(f"{url}/train/toy_final", json=request, timeout=60).ok
    deadline = time.monotonic() + 120
    while (task := requests.get(f"{url}/train/", timeout=20).json())["status"] in ("SUBMITTED", "RUNNING"):
        assert time.monotonic() < deadline, task
        time.sleep(0.5)
    assert task["status"] == "DONE", (tmp_path / "log.txt").read_text()[-4000:]
    assert weights.read_bytes() != before
    assert _infer(url, "toy_final", "case5", ".png", tmp_path).is_file()
