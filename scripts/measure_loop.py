"""Measure the loop on real images, several seeds a task, and write the table of the README.

    python scripts/measure_loop.py --data DATA --out OUT

For each task and seed: copy gold and unlabelled images of DATA/<folder> into OUT/<task>-<seed>/studies, `autoweak run`,
then `autoweak evaluate` on DATA/<folder>/validation. Where a folder has no validation images, a part of gold, drawn by
the seed, is held out of the studies and evaluated on instead. What is done already is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from autoweak.studies import image_id_of

ARMS = ("gold only", "weak label", "gold + weak")


@dataclass(frozen=True)
class Source:
    """Where a task's images lie in the data folder, and how much gold is held out where there is no validation."""

    task: str
    folder: str
    hold_out: int = 0


SOURCES = (
    Source("breast_ultrasound", "breast_ultrasound"),
    Source("skin_lesion", "skin_lesion"),
    Source("chest_xray", "chest_xray", hold_out=10),
    Source("two_lungs", "chest_xray_two_lungs", hold_out=8),
    Source("hippocampus_mr", "hippocampus_mr"),
)


def labels_of(folder: Path) -> Path:
    """The folder of labels beside `images`."""
    return folder / ("masks" if (folder / "masks").is_dir() else "labels")


def copy_pairs(names: Iterable[Path], labels: Path, *, images_to: Path, labels_to: Path) -> None:
    """Copy images and the labels that are named like them."""
    by_id = {image_id_of(path): path for path in labels.iterdir()}
    for folder in (images_to, labels_to):
        folder.mkdir(parents=True, exist_ok=True)
    for image in names:
        shutil.copy(image, images_to)
        shutil.copy(by_id[image_id_of(image)], labels_to)


def prepare(source: Source, data: Path, folder: Path, *, seed: int) -> Path:
    """Fill OUT/<task>-<seed> with studies, and give the folder with evaluation images and labels."""
    origin, studies = data / source.folder, folder / "studies"
    gold = sorted((origin / "gold" / "images").iterdir())
    random.Random(seed).shuffle(gold)
    held_out, kept = gold[: source.hold_out], gold[source.hold_out :]
    labels = labels_of(origin / "gold")
    if not studies.is_dir():
        fresh = folder / "fresh"
        copy_pairs(kept, labels, images_to=fresh, labels_to=fresh / "labels" / "final")
        for image in (origin / "unlabelled" / "images").iterdir():
            shutil.copy(image, fresh)
        copy_pairs(held_out, labels, images_to=folder / "held_out" / "images", labels_to=folder / "held_out" / "labels")
        fresh.rename(studies)
    return folder / "held_out" if source.hold_out else origin / "validation"


def autoweak(*arguments: object, threads: int) -> dict[str, Any]:
    """Run one command and return its JSON."""
    result = subprocess.run(
        [sys.executable, "-m", "autoweak.cli", *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        check=False,
    )
    if result.returncode not in (0, 1):
        sys.exit(result.stderr)
    content: dict[str, Any] = json.loads(result.stdout)
    return content


def measure(source: Source, data: Path, out: Path, *, seed: int, threads: int) -> dict[str, Any]:
    """One run and its evaluation; kept in measured.json."""
    folder = out / f"{source.task}-{seed}"
    done = folder / "measured.json"
    if done.is_file():
        known: dict[str, Any] = json.loads(done.read_text())
        return known
    truth = prepare(source, data, folder, seed=seed)
    started = time.monotonic()
    run = autoweak("run", folder / "studies", "--task", source.task, "--seed", seed, threads=threads)
    seconds = time.monotonic() - started
    where = ("--images", truth / "images", "--labels", labels_of(truth), "--out", folder / "evaluation")
    evaluation = autoweak("evaluate", folder / "studies", *where, "--seed", seed, threads=threads)
    content = {"task": source.task, "seed": seed, "seconds": seconds, "run": run, "evaluation": evaluation}
    done.write_text(json.dumps(content, indent=2))
    print(f"{source.task} seed {seed}: {seconds:.0f} s", file=sys.stderr)
    return content


def cell(values: list[float]) -> str:
    """Mean over seeds, with the standard deviation where there is more than one."""
    return f"{mean(values):.3f} ± {stdev(values):.3f}" if len(values) > 1 else f"{mean(values):.3f}"


def dice_of(result: dict[str, Any], arm: str) -> float | None:
    """Mean Dice of an arm on the images that hold something; "final" is whichever model was published."""
    arms, empty = result["evaluation"]["arms"], set(result["evaluation"]["without_object"])
    if arm == "final":
        arm = ARMS[2] if result["run"]["models"]["final"]["version"].startswith("retrained") else ARMS[0]
    if arm not in arms:
        return None
    return mean(image["dice"] for image in arms[arm]["images"] if image["image_id"] not in empty)


def trust_table(results: list[dict[str, Any]]) -> str:
    """A line a task: how far quality tells the Dice of the weak labels of images that nobody has labelled."""
    header = ["task", "weak labels", "rank correlation", "Dice below 0.5", "ROC area", "without object: set aside"]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for task in dict.fromkeys(result["task"] for result in results):
        trusts = [result["evaluation"]["trust"] for result in results if result["task"] == task]
        correlations = [trust["rank_correlation"] for trust in trusts if trust["rank_correlation"] is not None]
        areas = [trust["roc_area"] for trust in trusts if trust["roc_area"] is not None]
        aside = ", ".join(str(trust["set_aside"]) for trust in trusts) + f" of {trusts[0]['empty']}"
        bad = ", ".join(str(trust["bad"]) for trust in trusts)
        cells = [task, str(trusts[0]["count"]), cell(correlations) if correlations else "–", bad]
        cells += [cell(areas) if areas else "–", aside if trusts[0]["empty"] else "–"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def table(results: list[dict[str, Any]]) -> str:
    """A line a task: Dice of each arm on images that hold something, weak labels, time."""
    header = ["task", "gold", "images", *ARMS, "final", "final model", "longest run"]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for task in dict.fromkeys(result["task"] for result in results):
        rows = [result for result in results if result["task"] == task]
        arms = []
        for arm in (*ARMS, "final"):
            found = [dice for row in rows if (dice := dice_of(row, arm)) is not None]
            arms.append(cell(found) if found else "–")
        final = [row["run"]["models"]["final"]["version"].startswith("retrained") for row in rows]
        images = rows[0]["evaluation"]["trust"]["count"]
        minutes = max(row["seconds"] for row in rows) / 60
        first = [task, f"{rows[0]['run']['gold']} + {rows[0]['run']['unlabelled']}", str(images)]
        last = [f"gold + weak in {sum(final)} of {len(final)}", f"{minutes:.1f} min"]
        lines.append("| " + " | ".join([*first, *arms, *last]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure what was asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("AUTOWEAK_DATA", "../shared/data")))
    parser.add_argument("--out", type=Path, required=True, help="folder for studies and results")
    parser.add_argument("--tasks", nargs="+", default=[source.task for source in SOURCES])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each (2)")
    options = parser.parse_args()
    work = [(source, seed) for seed in options.seeds for source in SOURCES if source.task in options.tasks]
    threads = max(1, (os.cpu_count() or 1) // options.jobs)
    with ThreadPoolExecutor(options.jobs) as pool:
        waiting = [
            pool.submit(measure, *(one[0], options.data, options.out), seed=one[1], threads=threads) for one in work
        ]
        results = [each.result() for each in waiting]
    text = f"{table(results)}\n\n{trust_table(results)}"
    (options.out / "table.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
