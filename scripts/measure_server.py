"""Measure a running server: time from click to mask, and how quick `/info` is meanwhile.

    autoweak serve STUDIES --task NAME &
    python scripts/measure_server.py http://127.0.0.1:8000 [--train] [--batch]

Clicks into the middle of images, twice each. `--train` also runs a training, `--batch` labels all images.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import requests

TIMEOUT = 600


def click(url: str, image: str, point: list[int]) -> float:
    """Seconds from a click to the mask."""
    params = {"foreground": [point], "background": [], "result_extension": ".nrrd"}
    started = time.perf_counter()
    answer = requests.post(
        f"{url}/infer/medsam", params={"image": image}, files={"params": (None, json.dumps(params))}, timeout=TIMEOUT
    )
    answer.raise_for_status()
    return time.perf_counter() - started


@contextmanager
def watched(url: str, what: str) -> Iterator[None]:
    """Ask for `/info` all the while, and print how long it took."""
    seconds: list[float] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            started = time.perf_counter()
            requests.get(f"{url}/info/", timeout=TIMEOUT).raise_for_status()
            seconds.append(time.perf_counter() - started)
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    started = time.perf_counter()
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    took, slow = time.perf_counter() - started, 1000 * np.percentile(seconds, 95)
    print(f"{what}: {took:.1f} s; /info meanwhile: 95th percentile {slow:.0f} ms")


def finish(url: str, path: str) -> None:
    """Wait for the end of a task."""
    while requests.get(f"{url}{path}", timeout=TIMEOUT).json()["status"] in ("SUBMITTED", "RUNNING"):
        time.sleep(0.5)


def main() -> None:
    """Run the measurements that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="address of the server")
    parser.add_argument("--images", type=int, default=40, help="how many images are clicked (40)")
    parser.add_argument("--train", action="store_true", help="also run the training on gold labels")
    parser.add_argument("--batch", action="store_true", help="also label all images")
    arguments = parser.parse_args()
    url = arguments.url.rstrip("/")
    objects = requests.get(f"{url}/datastore/", params={"output": "all"}, timeout=TIMEOUT).json()["objects"]
    images = [name for name, entry in objects.items() if "final" not in entry["labels"]][: arguments.images + 1]
    click(url, images[0], [10, 10, 0])  # loads the model
    with watched(url, f"clicks into {len(images) - 1} images, two each"):
        pairs = [(click(url, image, [40, 40, 0]), click(url, image, [44, 42, 0])) for image in images[1:]]
    first, following = (1000 * np.median([pair[place] for pair in pairs]) for place in (0, 1))
    print(f"from click to mask, median: first {first:.0f} ms, following {following:.0f} ms")
    if arguments.train:
        with watched(url, "training on gold"):
            requests.post(f"{url}/train/retrain", json={"use_weak_labels": False}, timeout=TIMEOUT).raise_for_status()
            finish(url, "/train/")
    if arguments.batch:
        with watched(url, "weak labels for all images"):
            answer = requests.post(
                f"{url}/batch/infer/medsam_from_coarse", params={"images": "unlabeled"}, json={}, timeout=TIMEOUT
            )
            answer.raise_for_status()
            finish(url, "/batch/infer")


if __name__ == "__main__":
    main()
