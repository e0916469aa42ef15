"""Training the coarse model on gold labels, and the training inputs that name a model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import autoweak
from autoweak.loop.context import Context
from autoweak.loop.gold import Gold, gold_hashes
from autoweak.loop.masks import held_out_dice
from autoweak.studies import folds as split
from autoweak.studies.patients import PATIENTS_FILE, Patients, read_patients
from autoweak.workspace import ModelKind, ModelVersion, fingerprint

if TYPE_CHECKING:
    from autoweak.training import Sample, TrainedModel

# What of a task changes a training; the rest (policy, promptable model) only changes weak labels.
_TRAINING_KEYS = {"labels", "intensity", "plane", "channels", "mirror", "rotation", "coarse", "dimension"}


def train_coarse(context: Context, gold: tuple[Gold, ...]) -> ModelVersion:
    """The coarse model of these gold labels: trained now, resumed, or found if it was trained before."""
    context.remember_task()
    key = fingerprint(training_inputs(context, gold))
    found = context.workspace.find(ModelKind.COARSE, key)
    if found is not None:
        return context.workspace.use(found)
    context.progress.stage("Training the coarse model")
    return fit(context, gold, kind=ModelKind.COARSE, key=key, extra={})


def fit(
    context: Context,
    gold: tuple[Gold, ...],
    *,
    kind: ModelKind,
    key: str,
    extra: Mapping[int, list[Sample]],
    coarse: ModelVersion | None = None,
) -> ModelVersion:
    """Cross-validate on gold (with `extra` weak samples a fold, made with `coarse`), keep it as a new version."""
    from autoweak.training import cross_validate
    from autoweak.training.recipe import RECIPE

    run_folder = context.workspace.run_folder(key)
    model = cross_validate(
        [item.sample() for item in gold],
        task=context.task,
        folds=gold_folds(context, gold),
        extra=extra,
        seed=context.seed,
        run_folder=run_folder,
        progress=context.progress.update,
        epochs=round(context.task.coarse.epochs * RECIPE.retrain_length) if extra else None,
    )
    version = context.workspace.new_version(kind)
    # What lies there without a record is from a run that was killed while saving.
    shutil.rmtree(version.folder, ignore_errors=True)
    model.save(version.folder)
    context.workspace.write_record(version, _record(context, gold, model, key=key, extra=extra, coarse=coarse))
    shutil.rmtree(run_folder, ignore_errors=True)
    return version


def training_inputs(
    context: Context, gold: tuple[Gold, ...], *, folds: Sequence[Sequence[str]] | None = None
) -> dict[str, Any]:
    """All that a training on gold depends on, as plain data; `folds` where they are not those of the gold."""
    from autoweak.training.recipe import RECIPE
    from autoweak.training.start import start_sha256

    return {
        "recipe": asdict(RECIPE),
        "start": start_sha256(),
        "task": context.task.model_dump(mode="json", include=_TRAINING_KEYS),
        "gold": gold_hashes(gold),
        "folds": gold_folds(context, gold) if folds is None else folds,
        "seed": context.seed,
        "version": autoweak.__version__,
    }


def gold_folds(context: Context, gold: tuple[Gold, ...]) -> tuple[tuple[str, ...], ...]:
    """The held-out gold ids of each fold; images of one patient stay together where patients are known."""
    ids = [item.study.image_id for item in gold]
    patients = _with_copies(known_patients(context, gold), gold)
    apart = len({patients.get(image_id, image_id) for image_id in ids})
    return split(ids, count=min(context.task.coarse.folds, apart), seed=context.seed, patient_of=patients)


def gold_patients(context: Context, gold: tuple[Gold, ...]) -> tuple[str, ...]:
    """Who each gold image is of; an image of whom nothing is known is of a patient of its own."""
    patients = _with_copies(known_patients(context, gold), gold)
    return tuple(patients.get(item.study.image_id, f"image {item.study.image_id}") for item in gold)


def _with_copies(patients: Mapping[str, str], gold: tuple[Gold, ...]) -> dict[str, str]:
    """Copies of one image under several names are of one patient, whoever that is."""
    first: dict[str, str] = {}
    together = dict(patients)
    for item in gold:
        original = first.setdefault(item.image.sha256, item.study.image_id)
        if original != item.study.image_id:
            together[item.study.image_id] = together.setdefault(original, f"image {item.image.sha256}")
    return together


def known_patients(context: Context, gold: tuple[Gold, ...]) -> dict[str, str]:
    """Image id to patient, from DICOM images and from patients.csv, which wins where both speak.

    Gold of one patient alone cannot be split by patient; as with images that were all given one made-up patient id,
    nothing is known then, and a note says so.
    """
    told = read_patients(context.studies.root)
    unknown = sorted(told.keys() - {study.image_id for study in context.studies.studies})
    if unknown:
        context.notes.append(
            f"{PATIENTS_FILE} has rows that name no image of the studies, {unknown[0]!r} among them; images are named "
            "without the ending of their file."
        )
    patients = Patients.of(context.studies.studies, told).joined()
    ids = [item.study.image_id for item in gold]
    if len({patients.get(image_id, image_id) for image_id in ids}) > 1:
        return patients
    context.notes.append(
        "All gold images are of one patient, so the Dice on held-out gold says nothing about other patients; if they "
        f"are not, say so in {PATIENTS_FILE}."
    )
    return {}


def load_model(version: ModelVersion) -> TrainedModel:
    """The trained model of a version.

    Raises:
        CheckpointError: when its files are damaged.
    """
    from autoweak.training import TrainedModel

    return TrainedModel.load(version.folder)


def _record(
    context: Context,
    gold: tuple[Gold, ...],
    model: TrainedModel,
    *,
    key: str,
    extra: Mapping[int, list[Sample]],
    coarse: ModelVersion | None,
) -> dict[str, Any]:
    scores = held_out_dice(model, gold, context.task)
    weak = {sample.image_id for samples in extra.values() for sample in samples}
    synthetic = {study.image_id for study in context.synthetic.studies}
    return {
        "fingerprint": key,
        "task": context.task.name,
        "seed": context.seed,
        "sha256": model.sha256,
        "gold": len(gold),
        "coarse": None if coarse is None else coarse.name,
        "root": None if coarse is None else context.workspace.record(coarse).get("root") or coarse.name,
        "weak": len(weak - synthetic),
        "synthetic": len(weak & synthetic),
        "cv_dice": scores,
        "mean_cv_dice": sum(scores.values()) / len(scores),
        "autoweak": autoweak.__version__,
    }
