"""The folder of weights the user brought: fetch, import, verify, list."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import save_file

from autoweak.errors import CheckpointError
from autoweak.promptable import registry, store
from autoweak.promptable.registry import ModelEntry, get_entry
from tests.promptable.file_server import FileServer, closed_port, serving
from tests.promptable.tiny_weights import state_of, write_weights

CONTENT = bytes(range(256)) * 1200  # several chunks


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv(store.SETTING, str(tmp_path / "store" / "models"))
    return tmp_path / "store" / "models"


@pytest.fixture
def server(folder: Path) -> Iterator[FileServer]:
    with serving(CONTENT) as server:
        yield server


def register(monkeypatch: pytest.MonkeyPatch, name: str = "sam-vit-b", **changes: object) -> ModelEntry:
    """Put a changed entry into the registry."""
    entry = replace(get_entry(name), **changes)
    monkeypatch.setattr(registry, "MODELS", {**registry.MODELS, name: entry})
    return entry


@pytest.fixture
def entry(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> ModelEntry:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    return register(monkeypatch, url=server.url, bytes=len(CONTENT), sha256=sha256)


def publish(monkeypatch: pytest.MonkeyPatch, path: Path, name: str, kind: str = "sha256") -> ModelEntry:
    """Let the registry say that `path` is the published file of a model."""
    digest = hashlib.new(kind, path.read_bytes()).hexdigest()
    return register(
        monkeypatch, name, **{"sha256": None, "md5": None, "bytes": path.stat().st_size, "url": None, kind: digest}
    )


# Where


def test_the_folder_is_the_users_unless_it_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(store.SETTING, raising=False)
    ours = store.folder()
    assert ours.is_relative_to(tmp_path)
    assert ours.parts[-2:] == ("autoweak", "models")
    monkeypatch.setenv(store.SETTING, "")
    assert store.folder() == ours
    monkeypatch.setenv(store.SETTING, "~/weights")
    assert store.folder() == tmp_path / "weights"
    assert not ours.exists()


def test_importing_the_store_loads_neither_torch_nor_pooch() -> None:
    code = "import sys, autoweak.promptable.store; print(sorted({'torch', 'pooch', 'requests'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Fetch


def test_fetch_puts_the_file_and_a_record_and_nothing_else(folder: Path, entry: ModelEntry, server: FileServer) -> None:
    stored = store.fetch(entry.name)
    assert stored == store.Stored(entry, folder / entry.file, str(entry.sha256), fresh=True, published=True)
    assert stored.path.read_bytes() == CONTENT
    assert stored.path.stat().st_mode & 0o777 == 0o666 & ~_umask()
    record = store.read_record(stored.path)
    assert record is not None
    assert (record.sha256, record.bytes, record.origin) == (entry.sha256, len(CONTENT), entry.file)
    assert {path.name for path in folder.iterdir()} - {f".{entry.file}.lock"} == {entry.file, f"{entry.file}.json"}


def test_fetch_does_nothing_when_the_file_is_there(entry: ModelEntry, server: FileServer) -> None:
    store.fetch(entry.name)
    again = store.fetch(entry.name)
    assert (again.fresh, again.sha256) == (False, entry.sha256)
    assert len(server.asked) == 1


def test_fetch_of_the_small_model_needs_nothing(folder: Path) -> None:
    stored = store.fetch("small")
    assert (stored.path, stored.fresh) == (get_entry("small").bundled, False)
    assert not folder.exists()


def test_fetch_goes_on_where_it_broke_off(folder: Path, entry: ModelEntry, server: FileServer) -> None:
    server.break_after = 200_000
    with pytest.raises(CheckpointError, match=r"broke off after 0\.2 of 0\.3 MB; the same command goes on from there"):
        store.fetch(entry.name)
    kept = (folder / f"{entry.file}.part").stat().st_size
    assert not (folder / entry.file).exists()
    server.break_after = None
    assert store.fetch(entry.name).path.read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={kept}-"]
    assert not list(folder.glob("*.part*"))


def test_fetched_bytes_must_have_the_checksum(folder: Path, entry: ModelEntry, server: FileServer) -> None:
    server.content = CONTENT[::-1]
    with pytest.raises(CheckpointError, match=r"is not the published file of 'sam-vit-b'.*was thrown away"):
        store.fetch(entry.name)
    assert {path.name for path in folder.iterdir()} <= {f".{entry.file}.lock"}
    server.content = CONTENT
    assert store.fetch(entry.name).path.read_bytes() == CONTENT


def test_an_md5_is_compared_and_a_sha256_recorded(
    folder: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    entry = register(monkeypatch, "medsam", url=server.url, bytes=len(CONTENT), md5=md5)
    stored = store.fetch("medsam")
    assert stored.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert store.checked_sha256(entry) == stored.sha256
    stored.path.unlink()
    register(monkeypatch, "medsam", md5="0" * 32)
    with pytest.raises(CheckpointError, match=r"md5:000.*was thrown away"):
        store.fetch("medsam")


def test_a_damaged_file_is_fetched_again(entry: ModelEntry, server: FileServer) -> None:
    path = store.fetch(entry.name).path
    path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(CheckpointError, match=r"is not the file that was recorded.*`autoweak models fetch sam-vit-b`"):
        store.checked_sha256(entry)
    assert store.fetch(entry.name).fresh
    assert path.read_bytes() == CONTENT


def test_an_interruption_while_the_checksum_is_compared_costs_no_download(
    folder: Path, entry: ModelEntry, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch.core

    def interrupt(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pooch.core, "hash_matches", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.fetch(entry.name)
    assert not (folder / entry.file).exists()
    assert store.fetch(entry.name).path.read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_weights_that_the_user_brought_are_not_overwritten(folder: Path, entry: ModelEntry) -> None:
    folder.mkdir(parents=True)
    path = folder / entry.file
    path.write_bytes(b"mine")
    with pytest.raises(CheckpointError, match="holds other weights, which you brought: move it away"):
        store.fetch(entry.name)
    assert path.read_bytes() == b"mine"


def test_the_published_file_put_there_by_hand_is_taken_over(
    folder: Path, entry: ModelEntry, server: FileServer
) -> None:
    folder.mkdir(parents=True)
    (folder / entry.file).write_bytes(CONTENT)
    assert store.checked_sha256(entry) == entry.sha256
    assert not store.fetch(entry.name).fresh
    assert store.read_record(folder / entry.file) is not None
    assert server.asked == []


@pytest.mark.parametrize("name", ["medsam-points", "sam-vit-b"])
def test_without_address_or_network_one_sentence_says_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name == "sam-vit-b":
        register(monkeypatch, name, url=f"http://127.0.0.1:{closed_port()}/file.pth")
    entry = get_entry(name)
    with pytest.raises(CheckpointError) as refused:
        store.fetch(name)
    for said in (entry.file, entry.url or entry.source, f"`autoweak models import {name} FILE`", str(folder)):
        assert said in str(refused.value)


def test_two_fetches_of_one_model_do_not_write_the_same_part(
    folder: Path, entry: ModelEntry, server: FileServer
) -> None:
    folder.mkdir(parents=True)
    with FileLock(folder / f".{entry.file}.lock"), pytest.raises(CheckpointError, match="Another autoweak process"):
        store.fetch(entry.name)
    assert server.asked == []
    store.fetch(entry.name)


# Import


class Bomb:
    """A pickle that would make a folder when loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_import_copies_and_records_without_folders(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_weights(tmp_path / "patient_smith_usb.pth")
    entry = publish(monkeypatch, path, "medsam", "md5")
    stored = store.import_file(path)
    assert (stored.entry, stored.path, stored.published) == (entry, folder / entry.file, True)
    assert stored.path.read_bytes() == path.read_bytes()
    assert stored.path.stat().st_mode & 0o777 == 0o666 & ~_umask()
    text = (folder / f"{entry.file}.json").read_text()
    record = json.loads(text)
    imported = record.pop("imported")
    assert imported.endswith("+00:00")
    assert record == {
        "name": "medsam",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "bytes": path.stat().st_size,
        "origin": "patient_smith_usb.pth",
        "published": True,
    }
    assert str(tmp_path) not in text


def test_import_without_a_name_needs_tensors_or_checksum_that_tell_it(folder: Path, tmp_path: Path) -> None:
    assert store.import_file(write_weights(tmp_path / "large.pth", "vit_l")).entry.name == "sam-vit-l"
    with pytest.raises(CheckpointError, match="could be of any of medsam, medsam-points, sam-vit-b"):
        store.import_file(write_weights(tmp_path / "base.pth"))
    stored = store.import_file(tmp_path / "base.pth", name="medsam")
    assert (stored.entry.name, stored.published) == ("medsam", False)
    assert store.import_file(tmp_path / "base.pth", name="medsam-points").published is None


def test_import_takes_training_checkpoints_and_safetensors(folder: Path, tmp_path: Path) -> None:
    torch.save({"model": state_of("vit_l", prefix="module."), "epoch": 3}, tmp_path / "training.pth")
    assert store.import_file(tmp_path / "training.pth").entry.name == "sam-vit-l"
    small = {name: value.contiguous() for name, value in state_of("small").items()}
    save_file(small, tmp_path / "small.safetensors")
    with pytest.raises(CheckpointError, match=r"'small' comes with the program; .* --checkpoint FILE"):
        store.import_file(tmp_path / "small.safetensors")


@pytest.mark.parametrize("name", [None, "sam-vit-l"])
@pytest.mark.parametrize("fault", ["bomb", "web page", "cut off", "other architecture", "empty", "folder", "missing"])
def test_import_refuses_before_it_copies(folder: Path, tmp_path: Path, fault: str, name: str | None) -> None:
    path, trap = tmp_path / "file.pth", tmp_path / "sprung"
    if fault == "bomb":
        torch.save({**state_of("vit_l"), "extra": Bomb(trap)}, path)
    elif fault == "web page":
        path.write_bytes(b"<!DOCTYPE html><html>Sign in</html>")
    elif fault == "cut off":
        write_weights(path, "vit_l")
        path.write_bytes(path.read_bytes()[:-100])
    elif fault == "other architecture":
        torch.save({"layer.weight": torch.zeros(2, 2)}, path)
    elif fault == "empty":
        path.touch()
    elif fault == "folder":
        path.mkdir()
    with pytest.raises(CheckpointError):
        store.import_file(path, name=name)
    assert not trap.exists()
    assert not folder.exists()


def test_a_model_of_another_architecture_is_not_imported_under_a_name(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is not of 'medsam' \(vit_b\)"):
        store.import_file(write_weights(tmp_path / "file.pth", "vit_l"), name="medsam")
    assert not folder.exists()


def test_the_published_file_of_another_model_is_not_imported_under_a_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_weights(tmp_path / "file.pth")
    publish(monkeypatch, path, "sam-vit-b")
    with pytest.raises(CheckpointError, match="is the published file of 'sam-vit-b', not of 'medsam'"):
        store.import_file(path, name="medsam")
    assert not folder.exists()


def test_a_bad_copy_of_the_published_file_is_told_from_other_weights(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_weights(tmp_path / "file.pth")
    entry = publish(monkeypatch, path, "sam-vit-b")
    # One number in the weights changes and nothing else: the file still loads.
    assert write_weights(path, fill=1.0).stat().st_size == entry.bytes
    with pytest.raises(CheckpointError, match="was damaged on the way"):
        store.import_file(path, name="sam-vit-b")
    assert not folder.exists()


def test_a_file_that_changes_while_it_is_copied_is_not_taken(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_weights(tmp_path / "file.pth", "vit_l")
    monkeypatch.setattr(store, "remove_partials", lambda *_, **__: write_weights(path, "vit_l", fill=2.0))
    with pytest.raises(CheckpointError, match="changed while it was copied"):
        store.import_file(path)
    assert {each.name for each in folder.iterdir()} == {".sam_vit_l_0b3195.pth.lock"}


def test_import_replaces_and_cleans_up_after_a_killed_one(folder: Path, tmp_path: Path) -> None:
    store.import_file(write_weights(tmp_path / "one.pth", "vit_l"))
    (folder / ".partial-abc-sam_vit_l_0b3195.pth").write_bytes(b"half")
    (folder / ".partial-abc-medsam_vit_b.pth").write_bytes(b"half, perhaps of another process")
    (folder / "sam_vit_l_0b3195.pth.part").write_bytes(b"half")
    stored = store.import_file(write_weights(tmp_path / "two.pth", "vit_l", fill=1.0))
    assert store.checked_sha256(stored.entry) == stored.sha256 == hashlib.sha256(stored.path.read_bytes()).hexdigest()
    assert {path.name for path in folder.iterdir()} == {
        ".partial-abc-medsam_vit_b.pth",
        ".sam_vit_l_0b3195.pth.lock",
        "sam_vit_l_0b3195.pth",
        "sam_vit_l_0b3195.pth.json",
    }


def test_a_file_in_the_store_can_be_imported_where_it_lies(folder: Path) -> None:
    folder.mkdir(parents=True)
    path = write_weights(folder / "medsam_point_prompt_flare22.pth")
    with pytest.raises(CheckpointError, match="No checksum of"):
        store.checked_sha256(get_entry("medsam-points"))
    before = path.stat().st_ino
    assert store.import_file(path, name="medsam-points").path == path
    assert path.stat().st_ino == before  # not copied onto itself
    assert store.checked_sha256(get_entry("medsam-points")) == hashlib.sha256(path.read_bytes()).hexdigest()


# Verify and list


def test_verify_finds_nothing_wrong_with_what_is_right(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_weights(tmp_path / "file.pth")
    publish(monkeypatch, path, "medsam", "md5")
    store.import_file(path)
    verified = store.verify()
    assert [(each.entry.name, each.problems) for each in verified] == [("small", ()), ("medsam", ())]
    assert store.verify("medsam") == verified[1:]


def test_verify_compares_with_record_and_published_checksum(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_weights(tmp_path / "file.pth")
    entry = publish(monkeypatch, path, "medsam", "md5")
    stored = store.import_file(path)
    write_weights(stored.path, fill=1.0)
    (problem,) = store.verify("medsam")[0].problems
    assert "is not the file that was recorded" in problem
    # A record made to fit does not help: the published checksum is compared as well.
    record_path = stored.path.with_name(f"{stored.path.name}.json")
    record = json.loads(record_path.read_text())
    record["sha256"] = hashlib.sha256(stored.path.read_bytes()).hexdigest()
    record_path.write_text(json.dumps(record))
    (problem,) = store.verify("medsam")[0].problems
    assert f"is not the published file ({entry.checksum})" in problem


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"sha256": 3}', '{"sha256": "0", "more": 1}'])
def test_a_record_that_cannot_be_used_is_none(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: str
) -> None:
    path = write_weights(tmp_path / "file.pth")
    publish(monkeypatch, path, "medsam", "md5")
    stored = store.import_file(path)
    stored.path.with_name(f"{stored.path.name}.json").write_text(record)
    assert store.read_record(stored.path) is None
    assert store.checked_sha256(stored.entry) == stored.sha256
    write_weights(stored.path, fill=1.0)
    with pytest.raises(CheckpointError, match="is not the published file"):
        store.checked_sha256(stored.entry)


def test_verify_checks_the_architecture_as_well(folder: Path, server: FileServer, entry: ModelEntry) -> None:
    store.fetch(entry.name)  # bytes with the right checksum, but no weights
    (problem,) = store.verify(entry.name)[0].problems
    assert "no PyTorch file" in problem


def test_verify_of_absent_weights_says_how_to_get_them(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="`autoweak models fetch medsam`"):
        store.verify("medsam")
    assert [each.entry.name for each in store.verify()] == ["small"]


def test_list_tells_what_is_here(folder: Path, tmp_path: Path) -> None:
    path = write_weights(tmp_path / "file.pth")
    store.import_file(path, name="medsam-points")
    listed = {each.entry.name: each for each in store.list_models()}
    assert list(listed) == list(registry.MODELS)
    assert (listed["medsam-points"].path, listed["medsam-points"].bytes) == (
        folder / "medsam_point_prompt_flare22.pth",
        path.stat().st_size,
    )
    assert (listed["medsam"].path, listed["medsam"].bytes) == (None, 375_049_145)
    assert listed["small"].path == get_entry("small").bundled


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
