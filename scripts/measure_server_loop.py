"""Measure the loop over REST on real images: few gold labels, a training, a person who labels, another training.

    python scripts/measure_server_loop.py DATA/skin_lesion --task skin_lesion

DATA/skin_lesion holds gold/images with gold/masks, validation/images with validation/masks, and unlabelled/images. A
studies folder is made of the gold and unlabelled images, with labels of the first few alone, and served by `autoweak
serve`. All that follows goes through HTTP: a training; masks of held-out images, which are sent along and never become
part of the studies; labels that a simulated person saves, in the order of the review queue, from the truth of the
other gold images; a second training; the held-out images again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import requests
from PIL import Image

from autoweak.dice import dice

TIMEOUT = 600
MODELS = ("coarse", "medsam_from_coarse")
Mask = npt.NDArray[np.bool_]


def by_stem(folder: Path) -> dict[str, Path]:
    """The files of a folder by their names without ending."""
    return {path.stem: path for path in sorted(folder.iterdir())}


def read_mask(path: Path) -> Mask:
    """(H, W)."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L")) > 0


def make_studies(data: Path, studies: Path, *, gold: int, unlabelled: int) -> dict[str, Path]:
    """All gold images, labels of the first `gold`, and some unlabelled images; the truth of the others by image id."""
    images, masks = by_stem(data / "gold" / "images"), by_stem(data / "gold" / "masks")
    (studies / "labels" / "final").mkdir(parents=True)
    for path in [*images.values(), *list(by_stem(data / "unlabelled" / "images").values())[:unlabelled]]:
        shutil.copy(path, studies)
    for stem in list(images)[:gold]:
        shutil.copy(masks[stem], studies / "labels" / "final")
    return {stem: masks[stem] for stem in list(images)[gold:]}


@contextmanager
def served(studies: Path, task: str, log: Path) -> Iterator[str]:
    """`autoweak serve` while it is needed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "autoweak.cli", "serve", str(studies), "--task", task, "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=dict(os.environ))
    try:
        wait_for(url, process, log)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=60)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server answers."""
    for _ in range(600):
        try:
            if requests.get(f"{url}/info/", timeout=10).ok:
                return
        except requests.ConnectionError:
            if process.poll() is not None:
                break
            time.sleep(0.2)
    raise SystemExit(log.read_text())


def train(url: str) -> float:
    """Run a training, and give the seconds it took."""
    started = time.perf_counter()
    requests.post(f"{url}/train/retrain", json={}, timeout=TIMEOUT).raise_for_status()
    while True:
        status = requests.get(f"{url}/train/", timeout=TIMEOUT).json()
        if status["status"] not in ("SUBMITTED", "RUNNING"):
            break
        time.sleep(1)
    if status["status"] != "DONE":
        raise SystemExit(f"the training failed: {status['details']}")
    return time.perf_counter() - started


def infer(url: str, model: str, image: Path) -> Mask:
    """The mask (H, W) of an image that is sent along."""
    with image.open("rb") as stream:
        answer = requests.post(
            f"{url}/infer/{model}",
            params={"output": "image"},
            files={"file": (image.name, stream), "params": (None, json.dumps({"result_extension": ".nii.gz"}))},
            timeout=TIMEOUT,
        )
    answer.raise_for_status()
    import nibabel

    volume = nibabel.Nifti1Image.from_bytes(gzip.decompress(answer.content))
    return np.asarray(volume.dataobj)[..., 0].T > 0


def measure(url: str, held_out: Iterable[tuple[Path, Path]]) -> dict[str, float]:
    """Mean Dice of each model on the held-out images."""
    pairs = list(held_out)
    return {
        model: float(np.mean([dice(infer(url, model, image), read_mask(truth)) for image, truth in pairs]))
        for model in MODELS
    }


def review(url: str, truth: dict[str, Path], *, most: int) -> int:
    """Save the truth of the images that the queue gives, as a person would; images without known truth are left."""
    saved = 0
    while saved < most:
        request = {"client_id": "a simulated person"}
        answer = requests.post(f"{url}/activelearning/weak_label", json=request, timeout=TIMEOUT)
        answer.raise_for_status()
        image = answer.json().get("id")
        if image in truth:
            save(url, image, truth.pop(image))
            saved += 1
        elif image is None or not truth:
            break
    return saved


def save(url: str, image: str, path: Path) -> None:
    """Save a label."""
    names = requests.get(f"{url}/info/", timeout=60).json()["labels"]
    params = {"label_info": [{"name": name, "idx": value} for value, name in enumerate(names, start=1)]}
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        Image.fromarray(read_mask(path).astype(np.uint8)).save(file.name)
        answer = requests.put(
            f"{url}/datastore/label",
            params={"image": image},
            data={"params": json.dumps(params)},
            files={"label": ("label.png", Path(file.name).read_bytes())},
            timeout=TIMEOUT,
        )
    answer.raise_for_status()


def loop(url: str, data: Path, truth: dict[str, Path], *, more: int, count: int) -> dict[str, Any]:
    """Train, measure, label, train, measure."""
    masks = by_stem(data / "validation" / "masks")
    images = [(path, masks[stem]) for stem, path in by_stem(data / "validation" / "images").items() if stem in masks]
    held_out = images[:: max(1, len(images) // count)][:count]
    rounds = []
    for labels in (0, more):
        saved = review(url, truth, most=labels) if labels else 0
        seconds = train(url)
        gold = requests.get(f"{url}/info/", timeout=60).json()["datastore"]["completed"]
        rounds.append({"saved": saved, "gold": gold, "train_seconds": round(seconds, 1), **measure(url, held_out)})
        print(json.dumps(rounds[-1]), flush=True)
    return {"held_out": len(held_out), "rounds": rounds}


def main() -> None:
    """Run the loop once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with gold, validation and unlabelled images")
    parser.add_argument("--task", required=True, help="name of a task")
    parser.add_argument("--gold", type=int, default=8, help="gold labels at first (8)")
    parser.add_argument("--more", type=int, default=17, help="labels that the simulated person saves (17)")
    parser.add_argument("--unlabelled", type=int, default=30, help="unlabelled images beside them (30)")
    parser.add_argument("--held-out", type=int, default=50, help="how many held-out images are measured (50)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        studies = Path(folder) / "studies"
        truth = make_studies(arguments.data, studies, gold=arguments.gold, unlabelled=arguments.unlabelled)
        with served(studies, arguments.task, Path(folder) / "log.txt") as url:
            found = loop(url, arguments.data, truth, more=arguments.more, count=arguments.held_out)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
