"""`autoweak serve`: safe defaults, said plainly."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

from autoweak import cli
from autoweak.errors import AutoweakError
from autoweak.server.serve import plan
from tests.server.conftest import phantom_studies


def test_loopback_is_the_default_and_its_limits_are_said(tmp_path: Path) -> None:
    planned = plan(tmp_path, {"task": "breast_ultrasound"}, host="127.0.0.1", port=8000)
    assert planned.command[-4:] == ("-i", "127.0.0.1", "-p", "8000")
    assert "no login and no encryption" in planned.notice
    assert "proxy_pass http://127.0.0.1:8000" in planned.notice


def test_open_address_is_warned_of(tmp_path: Path) -> None:
    planned = plan(tmp_path, {"task": "breast_ultrasound"}, host="0.0.0.0", port=8000)  # noqa: S104
    assert planned.notice.startswith("WARNING")


def test_settings_of_the_server_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, ...]] = []

    def run(command: tuple[str, ...], **_: object) -> SimpleNamespace:
        started.append(command)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    words = ["--task", "breast_ultrasound", "--conf", "lease_minutes", "5", "--conf", "seed", "3"]
    assert cli.main(["serve", str(tmp_path), *words]) == 0
    given = [started[0][place + 1 : place + 3] for place, word in enumerate(started[0]) if word == "--conf"]
    assert ("lease_minutes", "5") in given
    assert ("seed", "3") in given
    assert cli.main(["serve", str(tmp_path), "--conf", "lease", "5"]) == 2
    assert len(started) == 1


@pytest.mark.parametrize(("task", "port"), [("nothing", 8000), ("breast_ultrasound", 99999)])
def test_what_cannot_work_is_refused(tmp_path: Path, task: str, port: int) -> None:
    with pytest.raises(AutoweakError):
        plan(tmp_path, {"task": task}, host="127.0.0.1", port=port)


def test_missing_folder_is_a_wrong_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", str(tmp_path / "nowhere"), "--task", "breast_ultrasound"]) == 2
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.e2e
def test_it_serves_until_it_is_stopped(tmp_path: Path) -> None:
    studies, task = phantom_studies(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "autoweak.cli", "serve", str(studies), "--task", str(task), "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HOME": str(tmp_path)},
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 60
        answer = None
        while answer is None and time.monotonic() < deadline:
            try:
                answer = requests.get(
                    f"http://127.0.0.1:{port}/info/", headers={"Origin": "http://evil.test"}, timeout=5
                )
            except requests.ConnectionError:
                assert process.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.2)
        assert answer is not None
        assert answer.ok
        # A page from elsewhere may not read what a browser on this machine gets.
        assert "access-control-allow-origin" not in answer.headers
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(timeout=30)
    assert "no login and no encryption" in (tmp_path / "log").read_text()
    assert (studies / ".autoweak" / "app" / "logs" / "app.log").is_file()
