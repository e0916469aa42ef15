"""Measure how fast the loop learns when images are reviewed in one order or another; see docs/review_queue.md.

    python scripts/measure_queue.py --data DATA --out OUT --kinds phantoms breast_ultrasound --seeds 0 1 2 3 4

A simulated person answers with the truth. `phantoms` needs no data; the other kinds deal out the gold labels of
DATA/<kind>/gold anew for each seed. With --learner stand_in, a model that is trained in a second takes the place of the
coarse model, so that many seeds can be had. Curves that are done are kept in OUT/curves and not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autoweak.atomic import write_json
from autoweak.experiments.review.material import PHANTOMS, Cost, Deal, gold_course, phantom_course
from autoweak.experiments.review.orders import ORDERS
from autoweak.experiments.review.present import present
from autoweak.experiments.review.results import Curve
from autoweak.experiments.review.simulate import Course, Learn, Model, Point, Simulator
from autoweak.experiments.review.stand_in import Reader
from autoweak.promptable import EmbeddingCache, load_promptable
from autoweak.tasks import Task
from autoweak.training import Sample
from autoweak.weak_labels.looks import looks_of

DEALS = {
    PHANTOMS: Deal(start=6, pool=40, evaluation=40, batch=4, rounds=3),
    "breast_ultrasound": Deal(start=5, pool=12, evaluation=8, batch=3, rounds=3),
    "chest_xray": Deal(start=5, pool=12, evaluation=8, batch=3, rounds=3),
    "skin_lesion": Deal(start=5, pool=12, evaluation=8, batch=3, rounds=3),
}


def train(samples: Sequence[Sample], task: Task, seed: int) -> Model:
    """The project's coarse model."""
    from autoweak.training import cross_validate

    return cross_validate(samples, task=task, seed=seed)


def learner_of(course: Course, options: argparse.Namespace, models: tuple[Any, Any]) -> Learn:
    """What is trained in each round."""
    if options.learner == "coarse":
        return train
    return Reader(*models, views=[case.view for case in (*course.start, *course.pool)]).learn


def course_of(kind: str, seed: int, options: argparse.Namespace, models: tuple[Any, Any]) -> Course:
    """One course of a kind."""
    promptable, cache = models

    def describe(view: Any) -> Any:
        return looks_of(view, model=promptable, cache=cache)

    cost = Cost(size=options.size, epochs=options.epochs)
    if kind == PHANTOMS:
        return phantom_course(DEALS[kind], seed=seed, cost=cost, describe=describe)
    return gold_course(options.data / kind / "gold", kind, DEALS[kind], seed=seed, cost=cost, describe=describe)


def _settings(options: argparse.Namespace) -> str:
    """What curves of one folder can differ in beside kind, seed and order."""
    trained = f"-{options.size}-{options.epochs}" if options.learner != "stand_in" else ""
    return f"{options.learner}{trained}"


def measure(kind: str, seed: int, options: argparse.Namespace, models: tuple[Any, Any]) -> list[Curve]:
    """The curves of one course, made or found."""
    paths = {
        order: options.out / "curves" / f"{_settings(options)}-{kind}-{seed}-{order}.json" for order in options.orders
    }
    found = {order: json.loads(path.read_text()) for order, path in paths.items() if path.is_file()}
    curves = [Curve.from_dict(content) for content in found.values()]
    missing = [order for order in paths if order not in found]
    if not missing:
        return curves
    course = course_of(kind, seed, options, models)
    simulator = Simulator(course, learner_of(course, options, models), *models)
    for order in missing:
        points = simulator.run(ORDERS[order], tell=lambda point, order=order: told(kind, seed, order, point))
        curves.append(
            Curve(
                data=kind,
                seed=seed,
                order=order,
                reviews=tuple(point.reviews for point in points),
                dice=tuple(point.mean for point in points),
                reviewed=points[-1].reviewed,
            )
        )
        write_json(paths[order], curves[-1].to_dict())
    return curves


def told(kind: str, seed: int, order: str, point: Point) -> None:
    """One line of progress."""
    print(
        f"{time.strftime('%H:%M:%S')} {kind} {seed} {order} {point.reviews}: {point.mean:.3f}",
        file=sys.stderr,
        flush=True,
    )


def main() -> None:
    """Measure what was asked for, and write the report of all that is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("AUTOWEAK_DATA", "../shared/data")))
    parser.add_argument("--out", type=Path, required=True, help="folder for curves and report")
    parser.add_argument("--kinds", nargs="+", choices=list(DEALS), default=list(DEALS))
    parser.add_argument("--orders", nargs="+", choices=list(ORDERS), default=list(ORDERS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--learner", choices=["coarse", "stand_in"], default="coarse", help="what is trained (coarse)")
    parser.add_argument("--size", type=int, default=Cost.size, help="side of the coarse network's input, pixels")
    parser.add_argument("--epochs", type=int, default=Cost.epochs, help="epochs of 25 steps for each fold")
    options = parser.parse_args()
    models = load_promptable("small"), EmbeddingCache(options.out / "embeddings")
    curves: list[Curve] = []
    for seed in options.seeds:
        for kind in options.kinds:
            curves.extend(measure(kind, seed, options, models))
    settings = {
        "learner": options.learner,
        "cost": asdict(Cost(size=options.size, epochs=options.epochs)),
        **{kind: asdict(DEALS[kind]) for kind in options.kinds},
    }
    print(present(curves, options.out, settings=settings, command=shlex.join(["python", *sys.argv])))


if __name__ == "__main__":
    main()
