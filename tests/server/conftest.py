"""Servers over real sockets, started by MONAI Label's own command on small studies of phantoms."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
import yaml
from monailabel.client import MONAILabelClient

from autoweak.phantoms.demo import PhantomKind, write_phantom_studies
from autoweak.phantoms.volume import make_volume_phantom, write_volume_phantom
from autoweak.tasks import load_task
from tests.server.clients import Server

APP = Path(__file__).parents[2] / "apps" / "autoweak"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
GOLD, UNLABELLED = 6, 8
Start = Callable[..., Server]


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts servers, and stops them when the tests are over."""
    _be_alone(tmp_path_factory)
    running = []

    def begin(studies: Path | str, **conf: object) -> Server:
        process, server = _launch(studies, tmp_path_factory.mktemp("server"), conf)
        running.append(process)
        _wait(server, process)
        return server

    yield begin
    for process in running:
        process.send_signal(signal.SIGTERM)
    for process in running:
        process.wait(timeout=20)


def _be_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of several processes that test, one starts servers: two that start at once both make the app's folders."""
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        sign = tmp_path_factory.getbasetemp().parent / "server_tests"
        with contextlib.suppress(FileExistsError), sign.open("x") as file:
            file.write(worker)
        assert sign.read_text() == worker, "tests/server was split: see tests/conftest.py on schedulers"


def _launch(studies: Path | str, folder: Path, conf: dict[str, object]) -> tuple[subprocess.Popen[bytes], Server]:
    port = free_port()
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            server_command(studies, port, conf),
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "HOME": str(folder)},
        )
    return process, Server(f"http://127.0.0.1:{port}", folder / "log.txt", Path(str(studies)))


def free_port() -> int:
    """A TCP port of the loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server_command(studies: Path | str, port: int, conf: dict[str, object]) -> list[str]:
    """The command line that starts a server as MONAI Label documents it."""
    settings = [word for key, value in conf.items() for word in ("--conf", key, str(value))]
    main = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(APP), "--studies", str(studies)]
    return [*main, *settings, "-i", "127.0.0.1", "-p", str(port)]


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        try:
            if requests.get(f"{server.url}/info/", timeout=5).ok:
                return
        except requests.ConnectionError:
            assert process.poll() is None, server.log.read_text()
            time.sleep(0.2)
    pytest.fail(server.log.read_text())


def latencies(server: Server, until: threading.Event, *, least: int = 10) -> list[float]:
    """Seconds that `/info` takes, again and again `until` then, ascending."""
    seconds = []
    while not until.is_set() or len(seconds) < least:
        started = time.perf_counter()
        assert requests.get(f"{server.url}/info/", timeout=30).ok
        seconds.append(time.perf_counter() - started)
        time.sleep(0.05)
    return sorted(seconds)


def short_task(name: str, path: Path, **changes: object) -> Path:
    """A task of the project with a training of seconds."""
    content = load_task(name).model_dump(mode="json", exclude_none=True)
    content["coarse"].update(size=32, epochs=1, folds=2, batch_size=4)
    content["policy_options"] = {"thresholds": [0.3], "peak": 0.0, "minimum_area": 0.0}
    path.write_text(yaml.safe_dump({**content, **changes}))
    return path


def phantom_studies(folder: Path) -> tuple[Path, Path]:
    """Six gold and eight unlabelled ultrasound phantoms of 96 x 128 pixels, one of them JPEG; and their task."""
    write_phantom_studies(
        folder, PhantomKind.ULTRASOUND, gold=GOLD, unlabelled=UNLABELLED, validation=0, seed=1, size=(96, 128)
    )
    return folder / "studies", short_task("breast_ultrasound", folder / "task.yaml")


@pytest.fixture(scope="session")
def fresh(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server before any training."""
    studies, task = phantom_studies(tmp_path_factory.mktemp("fresh"))
    return start(studies, task=task, max_upload_mb=8)


@pytest.fixture(scope="session")
def training(start: Start, tmp_path_factory: pytest.TempPathFactory) -> tuple[Server, list[float]]:
    """A server with a training started by MONAI Label's own client; how long `/info` took meanwhile, ascending."""
    studies, task = phantom_studies(tmp_path_factory.mktemp("trained"))
    server = start(studies, task=task)
    MONAILabelClient(server.url, str(studies.parent)).train_start("retrain", {})
    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        watch = pool.submit(latencies, server, ended)
        try:
            server.wait_for("/train/")
        finally:
            ended.set()
        return server, watch.result()


@pytest.fixture(scope="session")
def trained(training: tuple[Server, list[float]]) -> Server:
    """A server whose coarse model was trained through REST, with weak labels for all images."""
    return training[0]


@pytest.fixture(scope="session")
def volumes(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server of four NIfTI volumes with two labels, before any training; its slices are sagittal."""
    folder = tmp_path_factory.mktemp("volumes")
    for seed in range(4):
        phantom = make_volume_phantom(seed, shape=(40, 36, 28))
        write_volume_phantom(phantom, folder / "studies" / f"volume{seed}.nii.gz")
        np.save(folder / f"volume{seed}.npy", phantom.mask)
    task = short_task("hippocampus_mr", folder / "task.yaml", policy_options={})
    return start(folder / "studies", task=task)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an Orthanc on the loopback, as Debian packages it; empty at first."""
    if shutil.which("Orthanc") is None or not PLUGIN.exists():
        reason = "Orthanc is not installed (Debian: orthanc, orthanc-dicomweb)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("orthanc")
    port, dicom_port = free_port(), free_port()
    settings = {
        "HttpPort": port,
        "DicomPort": dicom_port,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 30
    while True:
        try:
            if requests.get(f"{url}/dicom-web/studies", timeout=5).ok:
                break
        except requests.ConnectionError:
            pass
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield url
    process.terminate()
    process.wait(timeout=20)


def upload(orthanc: str, folder: Path) -> None:
    """Give Orthanc the DICOM files of a folder."""
    for file in folder.glob("*.dcm"):
        assert requests.post(f"{orthanc}/instances", data=file.read_bytes(), timeout=20).ok
