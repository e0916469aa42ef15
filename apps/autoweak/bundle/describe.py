"""What an exported bundle says of itself: its metadata and its README, from what really happened."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import monai
import numpy as np
import torch

import autoweak
from autoweak.bundle.export import COARSE_BUNDLE, LEARNED_BUNDLE

if TYPE_CHECKING:
    from autoweak.bundle.export import Source

VERSION = "1.0.0"
_DICE = "mean Dice on held-out gold"


def metadata(source: Source, template: Mapping[str, Any], *, folder: Path) -> dict[str, Any]:
    """The content of `metadata.json`.

    Args:
        source: what the bundle is made of.
        template: metadata of the bundle of the project that it follows.
        folder: the bundle, with its weights.
    """
    task = source.task
    classes = ", ".join(f"{value} {name}" for name, value in {"background": 0, **task.labels}.items())
    learned = _learned(source)
    weights = hashlib.sha256((folder / "models" / "model.pt").read_bytes()).hexdigest()
    return {
        **template,
        "version": VERSION,
        "changelog": {VERSION: f"exported by autoweak {autoweak.__version__} from its model {source.version.name}"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {**template["required_packages_version"], "autoweak": autoweak.__version__},
        "name": f"{template['name']}: {task.name}",
        "task": task.description,
        "description": f"{template['name']} for the task {task.name}: {task.description} {learned}",
        "authors": "Trained with autoweak by the users of the workspace it was exported from",
        "copyright": "Configs: copyright (c) the autoweak authors; weights: those who trained them",
        "data_source": "Images and labels of the workspace it was exported from; none of them is in this bundle",
        "image_classes": f"8-bit view of {task.modality} slices, 0 to 1",
        "label_classes": classes,
        "pred_classes": classes,
        "eval_metrics": _metrics(source),
        "network_data_format": _data_format(source, template["network_data_format"]),
        "autoweak": _provenance(source, weights=weights),
    }


def _data_format(source: Source, template: Mapping[str, Any]) -> dict[str, Any]:
    task = source.task
    values = {str(value): name for name, value in {"background": 0, **task.labels}.items()}
    image, pred = template["inputs"]["image"], template["outputs"]["pred"]
    mask = template["post_processed_outputs"]["pred"]
    colours = {"0": "grey"} if task.channels == 1 else {"0": "red", "1": "green", "2": "blue"}
    listed = ", ".join(f"{name} {value}" for value, name in values.items())
    return {
        "inputs": {
            "image": {**image, "modality": task.modality, "num_channels": task.channels, "channel_def": colours}
        },
        "outputs": {"pred": {**pred, "num_channels": task.num_labels, "channel_def": values}},
        "post_processed_outputs": {
            "pred": {**mask, "value_range": [0, task.num_labels], "channel_def": {"0": f"label values: {listed}"}}
        },
    }


def _provenance(source: Source, *, weights: str) -> dict[str, Any]:
    task = source.task
    return {
        "model": source.version.name,
        "gold_labels": source.record.get("gold"),
        "weak_labels": source.record.get("weak"),
        "held_out_gold_dice": source.record.get("mean_cv_dice"),
        "training_seed": source.record.get("seed"),
        "trained_with_autoweak": source.record.get("autoweak"),
        "task": {"name": task.name, "sha256": task.sha256},
        "dimension": task.dimension,
        "plane": task.plane.value if task.dimension == 3 else None,
        "intensity": task.intensity.model_dump(mode="json", exclude_none=True),
        "components": task.components,
        "weights_sha256": {**source.parts, "models/model.pt": weights},
        **source.settings,
    }


def _metrics(source: Source) -> dict[str, float]:
    # Of a weak label nothing was measured here: its coarse model's figure would not be its own.
    dice = source.record.get("mean_cv_dice")
    return {} if dice is None or source.prompts else {_DICE: round(float(dice), 4)}


def _learned(source: Source) -> str:
    record = source.record
    weak = f" and {record['weak']} weak" if record.get("weak") else ""
    boxed = f" and from boxes alone in {record['boxed']} more images" if record.get("boxed") else ""
    text = f"Its {source.trained} ({source.version.name}) learned from {record.get('gold', 'some')} gold{weak} labels"
    text += f"{' (their tight boxes)' if source.template == LEARNED_BUNDLE else ''}{boxed}."
    dice = record.get("mean_cv_dice")
    if dice is not None:
        text += f" Their {_DICE}, by those that never saw it, is {float(dice):.3f}."
    return text


def readme(source: Source, *, name: str) -> str:
    """The content of `docs/README.md`."""
    task = source.task
    label_rows = "\n".join(f"| {value} | {label} |" for label, value in {"background": 0, **task.labels}.items())
    hashes = "\n".join(f"- {part}: `{sha256}`" for part, sha256 in source.parts.items())
    what = "pictures" if task.dimension == 2 else f"volumes, slice by slice ({task.plane.value})"
    intensity = task.intensity.model_dump(mode="json", exclude_none=True)
    script = (
        "TorchScript: `python -m monai.bundle ckpt_export` works."
        if source.template == COARSE_BUNDLE
        else "TorchScript export is not supported: use the state dict."
        if source.template == LEARNED_BUNDLE
        else "TorchScript cannot hold it: prompts depend on the image, so `ckpt_export` does not work."
    )
    return f"""# {name}

{task.description}

Exported by autoweak {autoweak.__version__}. {_learned(source)}
Not for clinical use.

## Input and output

{what.capitalize()}, {task.modality}, {task.channels} channel(s), intensity {intensity}.
Any size, any format that autoweak reads.
Masks in the size and geometry of the image:

| value | label |
|---|---|
{label_rows}

## Use

Needs autoweak {autoweak.__version__} and the packages of `configs/metadata.json`; works from any folder.

```
python -m monai.bundle run --config_file {name}/configs/inference.json --dataset_dir IMAGES --output_dir MASKS
python -m monai.bundle run --config_file "['{name}/configs/inference.json','{name}/configs/evaluate.json']" \\
    --dataset_dir STUDIES --output_dir METRICS
python -m monai.bundle run --config_file {name}/configs/train.json --dataset_dir STUDIES --unlabelled skip
```

The masks are those of autoweak itself, pixel for pixel. Training goes on from these weights and replaces
`models/model.pt`; all members are then trained together. They have seen the gold labels of the workspace, so with those
the validation's Dice says nothing of new images.
In MONAI Label put this folder into `model/` of the app `monaibundle`, and start it with
`--conf models {name} --conf zoo_source ngc --conf sam2 false`.
{script}

## What is in it

{hashes}

The images and labels it was trained on are not in this bundle, nor are their names.

## Limits

It knows images like those it was trained on; measure it on your own with `evaluate.json` before you rely on it.
"""


def data_license(source: Source) -> str:
    """The content of `docs/data_license.txt`."""
    drawn = source.task.coarse.start and source.template != LEARNED_BUNDLE
    start = "with weights learned on drawn images" if drawn else "at random"
    return (
        "The weights were trained on the images and labels of the site that exported this bundle. Their terms are\n"
        "that site's; ask there before passing the bundle on. No image, label or name of an image is in it.\n"
        f"{'The prompts' if source.template == LEARNED_BUNDLE else 'The coarse model'} began {start}.\n"
    )
