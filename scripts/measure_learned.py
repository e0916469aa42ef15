"""Measure learned prompts on real images, and write the tables of docs/s4_learned_prompts.md.

    python scripts/measure_learned.py --data DATA --out OUT --tasks breast_ultrasound --gold 10 0

For each task, number of gold images, subset and seed: copy that many gold images of DATA/<folder> into studies, learn
prompts from their tight boxes, and measure the masks on DATA/<folder>/validation where there are such images; --losses
names variants of the loss. What is done already is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from autoweak.experiments.metrics import score_image
from autoweak.loop.context import Context, view_of
from autoweak.loop.learned import Learner, load_predictor, train_learned
from autoweak.loop.masks import mask_of
from autoweak.studies import image_id_of, list_images, read_image, read_label
from autoweak.tasks import Task, load_task
from autoweak.training.prompt_recipe import PROMPT_RECIPE, PromptRecipe
from measure_loop import SOURCES, Source, copy_pairs, labels_of

_TERMS = PROMPT_RECIPE.terms
RECIPES: dict[str, PromptRecipe] = {
    "as it is": PROMPT_RECIPE,
    "without emptiness": replace(PROMPT_RECIPE, terms=replace(_TERMS, emptiness=0.0)),
    "without tightness": replace(PROMPT_RECIPE, terms=replace(_TERMS, tightness=0.0)),
    "without size": replace(PROMPT_RECIPE, terms=replace(_TERMS, size=0.0)),
    "size weighted as published": replace(PROMPT_RECIPE, terms=replace(_TERMS, size=0.01)),
    "as published": replace(PROMPT_RECIPE, terms=replace(_TERMS, size=0.01, size_everywhere=True)),
}


@dataclass(frozen=True)
class Setting:
    """One training: of so many gold images (0: all), drawn as `subset`, by a recipe."""

    source: Source
    gold: int
    subset: int
    seed: int
    recipe: str

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.source.task}-{self.gold or 'all'}-{self.subset}-{self.seed}-{self.recipe.replace(' ', '_')}"


def measure(setting: Setting, data: Path, out: Path) -> dict[str, Any]:
    """One training and its evaluation; kept in measured.json."""
    folder = out / setting.name
    done = folder / "measured.json"
    if done.is_file():
        known: dict[str, Any] = json.loads(done.read_text())
        return known
    origin, task = data / setting.source.folder, load_task(setting.source.task)
    gold = sorted((origin / "gold" / "images").iterdir())
    random.Random(setting.subset).shuffle(gold)
    studies = folder / "studies"
    if not studies.is_dir():
        chosen = gold[: setting.gold or None]
        copy_pairs(chosen, labels_of(origin / "gold"), images_to=studies, labels_to=studies / "labels" / "final")
    context = Context.open(studies, task, seed=setting.seed, device="cpu")
    started, worked = time.monotonic(), time.process_time()
    with context.workspace.lock():
        version = train_learned(Learner.load(context, RECIPES[setting.recipe]))
    content = {
        "setting": setting.name,
        "task": setting.source.task,
        "recipe": setting.recipe,
        "gold": len(gold[: setting.gold or None]),
        "seconds": time.monotonic() - started,
        "processor_seconds": time.process_time() - worked,
        "held_out": context.workspace.record(version)["mean_cv_dice"],
    }
    if (origin / "validation").is_dir():
        predictor = load_predictor(version, context.workspace, device="cpu")
        content["validation"] = list(scores(predictor, task, origin / "validation"))
    done.write_text(json.dumps(content, indent=2))
    print(setting.name, content["held_out"], f"{content['seconds']:.0f} s", file=sys.stderr)
    return content


def scores(predictor: Any, task: Task, folder: Path) -> Iterator[dict[str, Any]]:
    """Dice, IoU and HD95 (pixels) of each image, and whether it shows anything."""
    truth = {image_id_of(path): path for path in labels_of(folder).iterdir()}
    for study in list_images(folder / "images"):
        image = read_image(study.path, plane=task.plane)
        label = read_label(truth[study.image_id], image=image, task=task).mask
        mask = mask_of(predictor.predict(view_of(image, task)), task)
        score = score_image(mask, label, labels=tuple(task.labels.values()), hausdorff=True)
        distances = [one.hd95 for one in score.labels if one.hd95 is not None]
        yield {
            "shown": bool(label.any()),
            "dice": score.dice,
            "iou": score.iou,
            "hd95": mean(distances) if distances else None,
        }


def row(content: dict[str, Any]) -> list[str]:
    """A line of the table."""
    found = content.get("validation", [])
    shown = [one for one in found if one["shown"]]
    distances = [one["hd95"] for one in shown if one["hd95"] is not None]
    cells = [mean(one["dice"] for one in shown), mean(one["iou"] for one in shown)] if shown else []
    validation = [f"{value:.3f}" for value in cells] or ["–", "–"]
    return [
        content["task"],
        str(content["gold"]),
        content["recipe"],
        "–" if content["held_out"] is None else f"{content['held_out']:.3f}",
        *validation,
        f"{mean(distances):.0f}" if distances else "–",
        f"{mean(one['dice'] for one in found):.3f}" if found else "–",
        f"{content['processor_seconds'] / 60:.1f} min",
    ]


HEADER = ["task", "gold", "loss", "Dice held-out gold", "Dice", "IoU", "HD95, px", "Dice, empty ones too", "time"]


def main() -> None:
    """Measure what was asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("AUTOWEAK_DATA", "../shared/data")))
    parser.add_argument("--out", type=Path, required=True, help="folder for studies and results")
    parser.add_argument("--tasks", nargs="+", default=["breast_ultrasound", "skin_lesion", "two_lungs"])
    parser.add_argument("--gold", nargs="+", type=int, default=[10, 0], help="gold images; 0 is all")
    parser.add_argument("--subsets", nargs="+", type=int, default=[0], help="which draws of them")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument(
        "--losses", nargs="+", choices=list(RECIPES), default=list(RECIPES)[:1], help="variants of the loss"
    )
    options = parser.parse_args()
    results = [
        measure(Setting(source, gold, subset, seed, recipe), options.data, options.out)
        for source in SOURCES
        if source.task in options.tasks
        for gold in options.gold
        for subset in options.subsets
        for seed in options.seeds
        for recipe in options.losses
    ]
    lines = [HEADER, ["---"] * len(HEADER), *(row(result) for result in results)]
    print("\n".join("| " + " | ".join(line) + " |" for line in lines))


if __name__ == "__main__":
    main()
