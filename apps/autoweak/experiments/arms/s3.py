"""S3: coarse maps of many labels refined by two passes of a promptable model, and a network trained on the result.

Keuth et al., SAM Carries the Burden, MICCAI ADSMI workshop 2024.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import numpy as np

from autoweak.experiments.arms.arm import Arm, Array, Predict
from autoweak.experiments.arms.bench import Bench
from autoweak.experiments.arms.walker import walked
from autoweak.loop.coarse import gold_folds
from autoweak.loop.masks import mask_of
from autoweak.prompts import Keep, Prompt, PromptKind, PromptPolicy
from autoweak.prompts.box import tight_box
from autoweak.prompts.components import keep_components
from autoweak.prompts.points import Location, negative_points
from autoweak.prompts.prompt import BoolArray
from autoweak.weak_labels.decode import decode_prompts
from autoweak.weak_labels.merge import merge_masks

# One component, the likeliest; box first, then points with the first pass's logits; nothing widened or filled.
S3_POLICY = PromptPolicy(
    name="s3_published",
    kind=PromptKind.BOX_POINTS,
    thresholds=(0.5,),
    peak=0.0,
    minimum_area=0.0,
    components=1,
    relative_area=0.0,
    keep=Keep.PROBABILITY,
    fill_holes=False,
    negatives=2,
    passes=2,
)
_MOST_NEGATIVES = 16
# Cracks between refined labels up to this many pixels wide are closed.
_CRACK = 2


def cleaned(maps: Array) -> tuple[BoolArray, ...]:
    """Of each label the component with the highest mean probability, at 0.5; empty where there is none.

    Args:
        maps: (K, H, W), 0 to 1.
    """
    nothing = np.zeros(maps.shape[1:], dtype=bool)
    return tuple(next(iter(keep_components(one >= 0.5, one, policy=S3_POLICY)), nothing) for one in maps)


def s3_prompts(maps: Array, *, labels: Sequence[int], slice_index: int, seed: int) -> tuple[Prompt, ...]:
    """The prompts of a slice: tight box, centre of mass as positive, centres of the other labels as negatives.

    The centre is that of the pixels which no other label claims; a label without such pixels gets no prompt. Where no
    other label is there to say no, two low-probability places near the object do, as in this project's own policies.

    Args:
        maps: (K, H, W), 0 to 1; `labels`: their K values.
        slice_index: of the slice.
        seed: of the negatives of a label that is alone.
    """
    found = cleaned(maps)
    claims = np.sum(found, axis=0)
    centres = {label: _centre(one & (claims < 2)) for label, one in zip(labels, found, strict=True)}
    prompts = []
    for label, one, probability in zip(labels, found, maps, strict=True):
        centre = centres[label]
        if centre is None:
            continue
        area = int(one.sum())
        others = [place for other, place in centres.items() if place is not None and other != label][:_MOST_NEGATIVES]
        negatives = others or negative_points(
            probability,
            one,
            threshold=0.5,
            area=area,
            others=(),
            count=S3_POLICY.negatives,
            rng=np.random.default_rng([seed, slice_index, label]),
        )
        points = ((*centre, True), *((x, y, False) for x, y in negatives))
        prompts.append(Prompt(label, slice_index, tight_box(one), points, 0.5, area))
    return tuple(prompts)


def refined(bench: Bench, view: Array, coarse_map: Array) -> Array:
    """The coarse map (S, K, H, W) of a view (S, H, W, C) refined into a label mask (S, H, W) uint8.

    Labels that get no prompt stay as the coarse map has them, where no refined label lies.
    """
    model, cache = bench.promptable
    mask: Array = mask_of(coarse_map, bench.context.task)
    for index, maps in enumerate(coarse_map):
        prompts = s3_prompts(maps, labels=bench.labels, slice_index=index, seed=bench.context.seed)
        if not prompts:
            continue
        result = decode_prompts(model, cache.get(model, view[index]), prompts, policy=S3_POLICY)
        iou = np.clip(result.predicted_iou, 0, 1)
        bench.estimates.extend(float(value) for value in 2 * iou / (1 + iou))
        prompted = [prompt.label for prompt in prompts]
        merged = merge_masks(result.logits, result.masks, prompted)
        left = np.where(np.isin(mask[index], prompted), 0, mask[index])
        mask[index] = without_cracks(np.where(merged > 0, merged, left), mask[index], maps, bench.labels)
    return mask


def without_cracks(merged: Array, raw: Array, maps: Array, labels: Sequence[int]) -> Array:
    """Close the cracks that refining labels one by one leaves between them.

    A pixel that no refined label claims, that the raw mask did, and that lies in a crack between two labels, gets the
    label that is likeliest there. Outer edges stay as the promptable model drew them.

    Args:
        merged: (H, W), refined; `raw`: (H, W), of the coarse map.
        maps: (K, H, W), 0 to 1; `labels`: their K values.
    """
    from scipy import ndimage

    present = [value for value in labels if (merged == value).any()]
    if len(present) < 2:
        return merged
    near = np.sum([ndimage.binary_dilation(merged == value, iterations=_CRACK) for value in present], axis=0)
    crack = (merged == 0) & (raw > 0) & (near >= 2)
    likeliest = np.asarray(labels, dtype=merged.dtype)[maps.argmax(axis=0)]
    return np.where(crack, likeliest, merged)


def _centre(mask: BoolArray) -> Location | None:
    if not mask.any():
        return None
    rows, columns = np.nonzero(mask)
    return float(np.round(columns.mean())), float(np.round(rows.mean()))


def _post_processed(bench: Bench) -> Predict:
    model = bench.coarse
    return lambda view: refined(bench, view, model.predict(view))


def _random_walker(bench: Bench) -> Predict:
    model, task = bench.coarse, bench.context.task
    return lambda view: walked(view, mask_of(model.predict(view), task))


def _trained_raw(bench: Bench) -> Predict:
    model, task = bench.coarse, bench.context.task
    samples = bench.weak_samples(lambda scene: mask_of(model.predict(scene.view), task))
    return bench.train(samples, gold=bool(bench.entry.keep_gold))


def _trained_refined(bench: Bench) -> Predict:
    model = bench.coarse
    samples = bench.weak_samples(lambda scene: refined(bench, scene.view, model.predict(scene.view)))
    return bench.train(samples, gold=bool(bench.entry.keep_gold))


def _mean_teacher(bench: Bench) -> Predict:
    from autoweak.experiments.arms.mean_teacher import train_mean_teachers

    context = bench.context
    unlabelled = bench.unlabelled_samples()
    context.progress.stage(f"{bench.entry.name}: training")
    run_folder = context.workspace.run_folder(bench.key)
    model = train_mean_teachers(
        [item.sample() for item in bench.gold],
        unlabelled,
        task=context.task,
        folds=gold_folds(context, bench.gold),
        seed=context.seed,
        run_folder=run_folder,
        progress=context.progress.update,
    )
    shutil.rmtree(run_folder, ignore_errors=True)
    return bench.predictor(model)


_TRAINED = frozenset({"drop_extreme", "keep_gold"})

ARMS = (
    Arm(
        "s3_refined",
        "The coarse model's masks refined by two passes, as post-processing; nothing is trained on them.",
        "S3 rows 2 to 7, 9",
        _post_processed,
        uses_weak=False,
    ),
    Arm(
        "s3_random_walker",
        "The coarse model's masks refined by a random walker on the image, as post-processing.",
        "S3 row 9",
        _random_walker,
        uses_weak=False,
    ),
    Arm(
        "s3_mean_teacher",
        "Gold, and agreement with the average of the network's own past on the unlabelled images; no weak label.",
        "S3 row 9",
        _mean_teacher,
    ),
    Arm(
        "s3_trained_raw",
        "Trained on the coarse model's masks of the unlabelled images alone.",
        "S3 row 9, raw pseudo labels",
        _trained_raw,
        takes=_TRAINED,
    ),
    Arm(
        "s3_trained_refined",
        "Trained on the refined masks of the unlabelled images alone.",
        "S3 rows 2 to 9",
        _trained_refined,
        takes=_TRAINED,
    ),
)
