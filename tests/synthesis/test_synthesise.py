"""Synthetic images for a studies folder: what is learned from, written, registered, dropped and left alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autoweak.cli import main
from autoweak.errors import CheckpointError, ImageError, StudiesError
from autoweak.loop.context import Context
from autoweak.studies import open_studies
from autoweak.synthesis.generator import Generator
from autoweak.synthesis.marks import read_mark, read_register, write_marked
from autoweak.synthesis.synthesise import Request, Synthesised, synthesise
from autoweak.tasks import Coarse, Mirror, Task
from tests.synthesis.conftest import draw_disc

REQUEST = Request(count=3, size=16, epochs=1, steps=2)


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """Four gold discs and twelve others, two of them of a patient with a gold label."""
    folder = tmp_path / "studies"
    (folder / "labels" / "final").mkdir(parents=True)
    for index in range(16):
        Image.fromarray(draw_disc(index, side=20)).save(folder / f"disc{index:02d}.png")
        if index < 4:
            Image.new("L", (20, 20)).save(folder / "labels" / "final" / f"disc{index:02d}.png")
    (folder / "patients.csv").write_text("image_id,patient\ndisc00,ann\ndisc04,ann\ndisc05,ann\ndisc06,bob\n")
    return folder


@pytest.fixture
def task() -> Task:
    return Task(
        name="toy",
        description="bright discs",
        modality="none",
        dimension=2,
        channels=1,
        labels={"disc": 1},
        mirror=(Mirror.HORIZONTAL,),
        coarse=Coarse(size=32, epochs=1),
    )


@pytest.fixture
def draw(studies: Path, task: Task) -> Callable[..., Synthesised]:
    def drawn(request: Request = REQUEST, **options: Any) -> Synthesised:
        context = Context.open(studies, task, **options)
        with context.workspace.lock():
            result = synthesise(context, request)
        drawn.notes = context.notes  # type: ignore[attr-defined]
        return result

    return drawn


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_images_come_marked_and_registered_into_a_folder_of_their_own(studies: Path, draw: Any) -> None:
    before = _files(studies)
    result = draw()
    assert {name: content for name, content in _files(studies).items() if name in before} == before
    assert len(open_studies(studies).studies) == 16
    register = read_register(studies / ".autoweak")
    drawn = sorted((studies / "synthetic").iterdir())
    assert len(drawn) == result.written == 3
    for number, path in enumerate(drawn, start=1):
        mark = read_mark(path)
        assert mark is not None
        assert (mark.generator, mark.seed, mark.number) == (result.generator, 0, number)
        assert path.name == f"{mark.image_id}.png"
        assert register.images[_sha(path)] == mark


def test_nothing_is_learned_from_gold_nor_from_patients_who_have_gold(studies: Path, draw: Any) -> None:
    result = draw()
    learned = read_register(studies / ".autoweak").generators[result.generator]
    assert set(learned.values()) == {f"disc{index:02d}" for index in range(6, 16)}
    assert learned[_sha(studies / "disc06.png")] == "disc06"
    assert any("does not learn from 2 unlabelled images" in note for note in draw.notes)


def test_a_copy_of_a_gold_image_and_synthetic_images_are_not_learned_from(studies: Path, draw: Any) -> None:
    (studies / "again.png").write_bytes((studies / "disc00.png").read_bytes())
    draw()
    drawn = next((studies / "synthetic").iterdir())
    (studies / "brought.png").write_bytes(drawn.read_bytes())
    result = draw()
    assert result.training_images == 10


def test_the_same_request_trains_and_writes_nothing_again(
    studies: Path, draw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = draw()
    before = {path: path.stat().st_mtime_ns for path in (studies / "synthetic").iterdir()}
    monkeypatch.setattr("autoweak.synthesis.synthesise.train_generator", _never)
    second = draw()
    assert (second.written, second.kept, second.generator) == (0, 3, first.generator)
    assert {path: path.stat().st_mtime_ns for path in (studies / "synthetic").iterdir()} == before
    more = draw(Request(count=4, size=16, epochs=1, steps=2))
    assert (more.written, more.kept) == (1, 3)


def test_the_same_images_and_seed_give_the_same_pictures_elsewhere(studies: Path, draw: Any) -> None:
    import shutil

    draw()
    first = _files(studies / "synthetic")
    shutil.rmtree(studies / ".autoweak")
    shutil.rmtree(studies / "synthetic")
    draw()
    assert _files(studies / "synthetic") == first


def test_a_new_unlabelled_image_makes_the_generator_outdated(studies: Path, draw: Any) -> None:
    first = draw()
    Image.fromarray(draw_disc(99, side=20)).save(studies / "disc99.png")
    second = draw()
    assert second.generator != first.generator
    assert second.training_images == first.training_images + 1
    assert any("3 other synthetic images" in note for note in draw.notes)


def test_near_copies_of_training_images_are_dropped_and_counted(
    studies: Path, draw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def repeating(self: Generator, numbers: Any, **_: Any) -> Iterator[tuple[int, np.ndarray]]:
        known = np.array(Image.open(studies / "disc08.png").resize((16, 16), Image.Resampling.BILINEAR))
        unlike = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
        yield from ((number, (known if number == 2 else unlike)[..., None]) for number in numbers)

    monkeypatch.setattr(Generator, "draw", repeating)
    result = draw()
    assert (result.written, result.copies) == (2, 1)
    numbers = {mark.number for path in (studies / "synthetic").iterdir() if (mark := read_mark(path))}
    assert numbers == {1, 3}


def test_a_killed_drawing_leaves_it_known_what_the_generator_learned_from(
    studies: Path, draw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path, *rest: Any) -> None:
        write_marked(path, *rest)
        raise KeyboardInterrupt

    monkeypatch.setattr("autoweak.synthesis.synthesise.write_marked", killed)
    with pytest.raises(KeyboardInterrupt):
        draw()
    (drawn,) = (studies / "synthetic").iterdir()
    assert read_register(studies / ".autoweak").learned_from(read_mark(drawn))


@pytest.mark.parametrize(
    ("request_", "error", "said"),
    [
        (Request(count=0), ImageError, "--count"),
        (Request(count=1, epochs=0), ImageError, "--epochs"),
        (Request(count=1, size=33), ImageError, "multiples of 8"),
        (Request(count=1, steps=2000), CheckpointError, "1 to 1000 steps"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_before_anything_is_made(
    studies: Path, draw: Any, request_: Request, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        draw(request_)
    assert not (studies / "synthetic").exists()
    assert not (studies / ".autoweak").exists()


def test_too_few_images_are_refused(studies: Path, draw: Any) -> None:
    for index in range(8, 16):
        (studies / f"disc{index:02d}.png").unlink()
    with pytest.raises(StudiesError, match="at least 8 images"):
        draw()


def test_a_task_for_volumes_is_refused(studies: Path, task: Task) -> None:
    context = Context.open(studies, task.model_copy(update={"dimension": 3}))
    with pytest.raises(ImageError, match="2D task"):
        synthesise(context, REQUEST)


def test_the_command_says_what_it_did(studies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["synthesise", str(studies), "--count", "2", "--size", "16", "--epochs", "1", "--steps", "2", "--json"]
    assert main([*arguments, "--task", "breast_ultrasound"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["written"], said["copies"], said["training_images"]) == (2, 0, 10)
    assert main(["status", str(studies), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["images"], status["synthetic"]) == (16, 2)
    assert main(["synthesise", str(studies), "--count", "-1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def _never(*_: object, **__: object) -> None:
    raise AssertionError("nothing was to be trained")
