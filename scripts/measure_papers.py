"""Measure the papers' methods side by side on real images, and print the tables of the README.

    python scripts/measure_papers.py --data DATA --out OUT

For each experiment below: copy gold and unlabelled images of DATA/<folder> into OUT/<task>/studies, and run its file of
configs/experiments on the images of DATA/<folder>/validation that show something; where there are no validation images,
on gold that is held out of the studies. Arms and numbers of labels are cut to what two cores do in an afternoon;
--whole runs the files as they are. What is done already is not done again.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from autoweak.studies import image_id_of, list_images, read_image, read_label
from autoweak.tasks import load_task
from measure_loop import SOURCES, autoweak, labels_of, prepare

EXPERIMENTS = Path(__file__).resolve().parents[1] / "configs" / "experiments"
_BY_TASK = {source.task: source for source in SOURCES}


@dataclass(frozen=True)
class Measurement:
    """One experiment of configs/experiments on one data folder.

    Attributes:
        name: of the experiment; `task`: of its folder.
        arms: which, by title, or as in an experiment file; all where there are none.
        changes: what else is changed.
        way: told apart by it, where an experiment is measured in more than one way.
    """

    name: str
    task: str
    arms: tuple[str | Mapping[str, Any], ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)
    way: str = ""

    @property
    def title(self) -> str:
        """What tables and folders call it."""
        return f"{self.name}_{self.way}" if self.way else self.name

    def content(self, *, whole: bool) -> dict[str, Any]:
        """Of the experiment file that is run."""
        shipped: dict[str, Any] = yaml.safe_load((EXPERIMENTS / f"{self.name}.yaml").read_text())
        if whole:
            return shipped
        known = {_title(arm): arm for arm in shipped["arms"]}
        arms = [known.get(_title(arm), arm) for arm in self.arms or known]
        return {**shipped, **self.changes, "name": self.title, "arms": arms}


def _title(arm: str | Mapping[str, Any]) -> str:
    return arm if isinstance(arm, str) else str(arm.get("title", arm["arm"]))


_S1 = ("s1_box", "s1_points")
_S3 = ("s3_refined", "s3_refined by boxes alone", "s3_random_walker", "s3_trained_raw", "s3_trained_refined")
# As S1's recipe does, gold + weak train for longer than gold alone; gold alone as long tells what length does.
_LONG = ({"arm": "gold_only", "title": "gold_only as long", "length": 2}, "s1_box", "s1_points")
MEASUREMENTS = (
    Measurement("s1_breast_ultrasound", "breast_ultrasound", _S1, {"weak": [100]}),
    Measurement("s1_breast_ultrasound", "breast_ultrasound", _LONG, {"weak": [100], "length": 2}, way="long"),
    Measurement("s1_skin_lesion", "skin_lesion", _S1, {"weak": [97]}),
    Measurement("s1_skin_lesion", "skin_lesion", _LONG, {"weak": [97], "length": 2}, way="long"),
    Measurement(
        "s1_chest_xray",
        "chest_xray",
        ("s1_box", "s1_box_all", "s1_points"),
        {"gold": [15], "weak": [100]},
    ),
    Measurement("s2_hippocampus_mr", "hippocampus_mr", ("s2_box",)),
    Measurement("s3_two_lungs", "two_lungs", _S3, {"gold": [12]}),
    Measurement("s4_breast_ultrasound", "breast_ultrasound", changes={"seeds": [0]}),
)


def with_objects(truth: Path, to: Path, *, task: str) -> Path:
    """Copy the images whose label shows something, as all of the papers' test images do, and their labels."""
    if not to.is_dir():
        labels = {image_id_of(path): path for path in labels_of(truth).iterdir()}
        fresh = to.with_name("fresh_evaluation")
        for folder in ("images", "labels"):
            (fresh / folder).mkdir(parents=True, exist_ok=True)
        for study in list_images(truth / "images"):
            label = labels[study.image_id]
            if read_label(label, image=read_image(study.path), task=load_task(task)).mask.any():
                shutil.copy(study.path, fresh / "images")
                shutil.copy(label, fresh / "labels")
        fresh.rename(to)
    return to


def measure(chosen: Measurement, data: Path, out: Path, *, whole: bool, threads: int) -> dict[str, Any]:
    """Run one experiment; its metrics."""
    folder = out / chosen.task
    truth = prepare(_BY_TASK[chosen.task], data, folder, seed=0)
    evaluation = with_objects(truth, folder / "evaluation", task=chosen.task)
    file = out / f"{chosen.title}.yaml"
    file.write_text(yaml.safe_dump(chosen.content(whole=whole), sort_keys=False))
    where = (
        "--images",
        evaluation / "images",
        "--labels",
        evaluation / "labels",
        "--out",
        out / "reports" / chosen.title,
    )
    return autoweak("experiment", file, "--studies", folder / "studies", *where, threads=threads)


def lines(metrics: Mapping[str, Any]) -> Iterator[str]:
    """A Markdown table: a line an arm and number of labels; columns in which nothing was measured are left out."""
    rows = [_cells(row) for row in metrics["rows"]]
    shown = [name for name in rows[0] if any(row[name] != "–" for row in rows)]
    yield "| " + " | ".join(shown) + " |"
    yield "|" + "---|" * len(shown)
    for row in rows:
        yield "| " + " | ".join(row[name] for name in shown) + " |"


def _cells(row: Mapping[str, Any]) -> dict[str, str]:
    dice, weak, compared, p_value = row["dice"], row["weak_labels"], row["comparison"], row["p_holm"]
    trained = row["weak"] and row["role"] != "bound"
    return {
        "arm": row["name"],
        "gold + weak": f"{row['gold']} + {row['weak']}",
        "weak labels used": f"{weak['used'] or 0:.0f}" if trained else "–",
        "their Dice": _plain(weak["dice"]),
        "Dice": f"{dice['mean']:.3f} ({dice['low']:.3f} to {dice['high']:.3f})",
        "IoU": "–" if row["hd95"] is None else _plain(row["iou"]),
        "HD95": _plain(row["hd95"], digits=0),
        "between seeds": "–" if row["deviation"] is None else f"± {row['deviation']:.3f}",
        "difference": "–" if compared is None else f"{compared['difference']['mean']:+.3f}",
        "p (Holm)": _plain(p_value) if p_value is None or p_value >= 0.001 else "< 0.001",
        "above the ground": _above(row),
    }


def _plain(value: float | None, *, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _above(row: Mapping[str, Any]) -> str:
    if row["role"] != "method":
        return f"({row['role']})"
    if row["not_above"] is None:
        return "–"
    return f"no: {', '.join(row['not_above'])}" if row["not_above"] else "yes"


def text_of(chosen: Measurement, metrics: Mapping[str, Any]) -> str:
    """Heading and table."""
    return "\n".join([f"{chosen.title}, {len(metrics['rows'][0]['images'])} images", "", *lines(metrics), ""])


def main() -> None:
    """Measure what was asked for and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("AUTOWEAK_DATA", "../shared/data")))
    parser.add_argument("--out", type=Path, required=True, help="folder for studies and reports")
    parser.add_argument(
        "--only", nargs="+", choices=sorted({one.name for one in MEASUREMENTS}), help="these experiments alone"
    )
    parser.add_argument(
        "--whole", action="store_true", help="the files as they are, with all their arms and numbers of labels"
    )
    options = parser.parse_args()
    chosen = [one for one in MEASUREMENTS if options.only is None or one.name in options.only]
    # One after the other on each task's studies: an experiment holds their lock.
    tasks = list(dict.fromkeys(one.task for one in chosen))

    def of_task(task: str) -> list[str]:
        mine = [one for one in chosen if one.task == task]
        return [text_of(one, measure(one, options.data, options.out, whole=options.whole, threads=1)) for one in mine]

    options.out.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
        text = "\n".join(part for parts in pool.map(of_task, tasks) for part in parts)
    (options.out / "tables.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
