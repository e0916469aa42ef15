"""`autoweak models`: list, fetch, verify and import from the command line."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autoweak import cli
from autoweak.promptable import registry, store
from autoweak.promptable.registry import get_entry
from tests.promptable.file_server import FileServer, closed_port, serving
from tests.promptable.tiny_weights import write_weights

CONTENT = bytes(range(256)) * 1200


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv(store.SETTING, str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """Serves what the registry says is sam-vit-b."""
    with serving(CONTENT) as server:
        register(monkeypatch, server.url)
        yield server


def register(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    entry = replace(get_entry("sam-vit-b"), url=url, bytes=len(CONTENT), sha256=sha256)
    monkeypatch.setattr(registry, "MODELS", {**registry.MODELS, "sam-vit-b": entry})


def sentence(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if line.startswith("autoweak: ")]
    assert len(lines) == 1
    assert "Traceback" not in captured.err
    return lines[0]


def test_list_as_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "list"]) == 0
    out = capsys.readouterr().out
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert set(registry.MODELS) <= set(lines)
    assert lines["small"].split()[2:4] == ["MB", "yes"]
    assert lines["medsam"].split()[1:4] == ["375.0", "MB", "no"]
    assert "CC BY 4.0" in lines["medsam"]
    assert str(folder) in out
    assert not folder.exists()


@pytest.mark.parametrize("arguments", [["models", "list", "--json"], ["models", "--json", "list"]])
def test_list_as_json(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert cli.main(arguments) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["folder"] == str(folder)
    models = {model["name"]: model for model in data["models"]}
    assert list(models) == list(registry.MODELS)
    assert models["small"]["path"] == str(get_entry("small").bundled)
    assert models["medsam"] == {
        "name": "medsam",
        "architecture": "vit_b",
        "bytes": 375_049_145,
        "path": None,
        "terms": get_entry("medsam").terms,
        "summary": get_entry("medsam").summary,
        "source": get_entry("medsam").source,
        "url": "https://zenodo.org/records/10689643/files/medsam_vit_b.pth",
        "checksum": "md5:3bb6db55bd0c9ca30b61248bca72f8d6",
    }


def test_fetch_then_again(folder: Path, server: FileServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "fetch", "sam-vit-b"]) == 0
    assert f"came into {folder / 'sam_vit_b_01ec64.pth'}" in capsys.readouterr().out
    assert (folder / "sam_vit_b_01ec64.pth").read_bytes() == CONTENT
    assert cli.main(["models", "fetch", "sam-vit-b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "sam-vit-b",
        "path": str(folder / "sam_vit_b_01ec64.pth"),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "terms": "Apache-2.0",
        "fresh": False,
        "published": True,
    }


def test_fetch_draws_a_bar_on_standard_error(server: FileServer, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "fetch", "sam-vit-b", "--json"]) == 0
    captured = capfd.readouterr()
    assert "fetch sam-vit-b: 100%" in captured.err
    assert captured.out.startswith("{")


def test_fetch_without_network(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    register(monkeypatch, f"http://127.0.0.1:{closed_port()}/file.pth")
    assert cli.main(["models", "fetch", "sam-vit-b"]) == 2
    said = sentence(capsys)
    assert "could not be reached" in said
    assert "`autoweak models import sam-vit-b FILE`" in said
    assert str(folder) in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fetch", "medsam-points"], "There is no address to fetch the weights of 'medsam-points' from"),
        (["fetch", "sam3"], "There is no promptable model 'sam3'; choose one of small, medsam"),
        (["verify", "sam3"], "There is no promptable model 'sam3'"),
        (["verify", "medsam"], "`autoweak models fetch medsam`"),
        (["import", "sam3", __file__], "There is no promptable model 'sam3'"),
        (["import", "nowhere.pth"], "There is no file nowhere.pth"),
        (["import", __file__], "refused"),
        (["import", "small", str(get_entry("small").bundled)], "'small' comes with the program"),
    ],
)
def test_mistakes_get_one_sentence(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", *arguments]) == 2
    assert said in sentence(capsys)


@pytest.mark.parametrize("arguments", [[], ["fetch"], ["import"], ["delete", "small"]])
def test_wrong_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["models", *arguments])
    assert stopped.value.code == 2


def test_import_by_name_and_by_recognition(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, large = write_weights(tmp_path / "base.pth"), write_weights(tmp_path / "large.pth", "vit_l")
    assert cli.main(["models", "import", str(base)]) == 2
    assert "autoweak models import NAME FILE" in sentence(capsys)
    assert cli.main(["models", "import", "medsam", str(base)]) == 0
    out = capsys.readouterr().out
    assert "CC BY 4.0" in out
    assert "not the published file" in out
    assert cli.main(["models", "import", str(large), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["name"], data["published"]) == ("sam-vit-l", False)
    assert {path.name for path in folder.glob("[!.]*.pth")} == {"medsam_vit_b.pth", "sam_vit_l_0b3195.pth"}


def test_verify_lists_problems_and_exits_with_1(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["models", "import", "medsam", str(write_weights(tmp_path / "base.pth"))]) == 0
    capsys.readouterr()
    assert cli.main(["models", "verify"]) == 0
    assert "not in order" not in capsys.readouterr().out
    (folder / "medsam_vit_b.pth").write_bytes(b"PK\x03\x04 and no more")
    assert cli.main(["models", "verify"]) == 1
    captured = capsys.readouterr()
    assert "not in order" in captured.out
    assert captured.err.count("not done: medsam: ") == 2
    assert cli.main(["models", "verify", "medsam", "--json"]) == 1
    (model,) = json.loads(capsys.readouterr().out)["models"]
    assert "is not the file that was recorded" in model["problems"][0]
    assert "is cut off" in model["problems"][1]
    assert cli.main(["models", "verify", "small"]) == 0


def test_help_explains_every_argument() -> None:
    models = _choices(cli.build_parser())["models"]
    actions = _choices(models)
    assert set(actions) == {"list", "fetch", "verify", "import"}
    for action in actions.values():
        assert all(argument.help for argument in action._actions)


def _choices(parser: object) -> dict:
    return next(action.choices for action in parser._actions if isinstance(getattr(action, "choices", None), dict))


@pytest.mark.e2e
def test_ctrl_c_leaves_what_has_come_and_the_same_command_goes_on(folder: Path, server: FileServer) -> None:
    server.pause_after = 200_000
    code = (
        "import sys\n"
        "from dataclasses import replace\n"
        "from autoweak import cli\n"
        "from autoweak.promptable import registry\n"
        "known = registry.get_entry('sam-vit-b')\n"
        f"changed = replace(known, url={server.url!r}, bytes={len(CONTENT)},\n"
        f"    sha256={hashlib.sha256(CONTENT).hexdigest()!r})\n"
        "registry.MODELS = {'sam-vit-b': changed}\n"
        "sys.exit(cli.main(['models', 'fetch', 'sam-vit-b']))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    part, deadline = folder / "sam_vit_b_01ec64.pth.part", time.monotonic() + 60
    while not part.is_file() or part.stat().st_size < 131_072:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "autoweak: Stopped." in err
    assert "Traceback" not in err
    assert "Downloading" not in err  # pooch's own words
    kept = part.stat().st_size
    server.pause_after = None
    assert cli.main(["models", "fetch", "sam-vit-b"]) == 0
    assert server.ranges == [None, f"bytes={kept}-"]
    assert (folder / "sam_vit_b_01ec64.pth").read_bytes() == CONTENT
