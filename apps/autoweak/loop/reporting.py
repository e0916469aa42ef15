"""Turning a run or an evaluation into a report to look at, with `metrics.json` beside it."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import autoweak
from autoweak.arrays import read_arrays
from autoweak.atomic import write_json
from autoweak.errors import AutoweakError
from autoweak.experiments import plots
from autoweak.experiments.pictures import CaseLayers, PictureFormat, draw_case
from autoweak.experiments.report import KeyFigure, NextStep, PictureCase, Plot, Problem, Report, Table, write_report
from autoweak.loop.coarse import load_model
from autoweak.loop.context import Context
from autoweak.loop.evaluate import GOLD_ONLY, WEAK, Case, Evaluation
from autoweak.loop.gold import Gold
from autoweak.loop.label import Labeller
from autoweak.loop.run import RunResult
from autoweak.progress import each
from autoweak.studies import read_label
from autoweak.studies.folder import WEAK_FOLDER
from autoweak.weak_labels import QualityModel, Sidecar, WeakLabel
from autoweak.weak_labels.choose import Choice

MOST_PICTURES = 60
_GOLD_PICTURES = 8
_SLICES_SHOWN = 2
_DISCLAIMER = "Research use only: not for diagnosis or treatment."


def report_run(result: RunResult, summary: dict[str, Any]) -> Path:
    """Write the report of a run into the workspace and return its path."""
    context = result.context
    name = f"run-{result.coarse.folder.name}-{result.labeller.policy.name}"
    report = Report(
        title=f"{context.task.name}: weak labels",
        subtitle=f"{context.task.description} {_today()}",
        summary=(*_what_was_done(result, summary), _DISCLAIMER),
        key_figures=_run_figures(summary),
        tables=(_models_table(summary), *_choice_table(result.calibration.choice), *_notes_table(context)),
        plots=tuple(_run_plots(result)),
        cases=tuple(_run_cases(result)),
        problems=_problems(context),
        next_steps=_after_run(context),
        provenance=_provenance(result.labeller),
        most_pictures=MOST_PICTURES,
    )
    return _write(context.workspace.reports / name, report, summary)


def report_evaluation(
    context: Context, evaluation: Evaluation, cases: list[PictureCase], *, folder: Path | None = None
) -> Path:
    """Write the report of an evaluation, into `folder` or the workspace, and return its path."""
    header, rows = evaluation.rows()
    table = Table(
        caption="Dice and IoU against the truth",
        header=tuple(header),
        rows=tuple(tuple(_cell(value) for value in row) for row in rows),
        note="Mean over images of the mean over labels; interval by bootstrap; p by Wilcoxon's signed-rank test.",
    )
    arms = {arm: list(evaluation.dice(arm).values()) for arm in evaluation.arms}
    report = Report(
        title=f"{context.task.name}: evaluation",
        subtitle=f"{len(evaluation.arms[GOLD_ONLY])} images: {evaluation.held_out}. {_today()}",
        summary=(
            *filter(None, (evaluation.trust_text(),)),
            evaluation.honesty,
            _DISCLAIMER,
        ),
        key_figures=tuple(
            KeyFigure(f"Dice, {arm}", f"{evaluation.summary(arm).mean:.3f}", evaluation.models[arm])
            for arm in evaluation.arms
        ),
        tables=(table, *_notes_table(context)),
        plots=(
            Plot(
                "Dice of every image",
                plots.dice_plot(arms),
            ),
            *_evaluation_calibration(evaluation),
        ),
        cases=tuple(cases),
        problems=_problems(context),
        provenance=(("autoweak", autoweak.__version__), ("task", context.task.sha256), ("seed", str(context.seed))),
        most_pictures=MOST_PICTURES,
    )
    content = {**evaluation.to_dict(), "problems": [vars(problem) for problem in context.problems]}
    return _write(folder or context.workspace.reports / f"evaluation-{_slug(evaluation.held_out)}", report, content)


def picture_of(case: Case) -> PictureCase:
    """The picture of an evaluated image, with the Dice of each arm in its caption."""
    layers = CaseLayers(case.view, case.coarse_map, case.weak.prompts, case.weak.mask, case.truth)
    caption = ", ".join(f"{arm} {score.dice:.2f}" for arm, score in case.scores.items())
    return _case(case.study.image_id, layers, case.weak, caption=f"Dice: {caption}", dice=case.scores[WEAK].dice)


def _write(folder: Path, report: Report, content: dict[str, Any]) -> Path:
    path = folder / "report.html"
    write_json(folder / "metrics.json", content)
    write_report(path, report)
    return path


def _what_was_done(result: RunResult, summary: dict[str, Any]) -> tuple[str, ...]:
    coarse = summary["models"]["coarse"]
    policy, promptable = result.labeller.policy, result.labeller.promptable
    retrained = summary["models"]["retrained"]
    return (
        f"A coarse model was trained on {summary['gold']} gold labels in {len(result.labeller.coarse.members)} folds; "
        f"on the gold each fold held out it reaches a Dice of {coarse['held_out_gold_dice']:.3f}.",
        f"The maps of {result.labeller.version.name} prompted {promptable.name} on {summary['unlabelled']} images "
        f"(policy {policy.name}" + (f", {summary['policy_reason']}" if summary["policy_reason"] else "") + "). "
        f"The pictures below show the worst of them, and the {_GOLD_PICTURES} worst of the same made of gold images.",
        *_synthetic_sentence(summary),
        "Quality, the expected Dice, is "
        + (
            f"calibrated on {result.calibration.quality.gold} weak labels of gold images."
            if result.calibration.quality.calibrated
            else "not calibrated, for want of gold labels: it is as high on average as the few there are, and no weak "
            "label is accepted unseen."
        ),
        f"Final model: {summary['models']['final']['version']} ({summary['models']['final']['reason']})."
        + (f" Retraining used {retrained['weak_labels_used']} weak labels." if retrained else ""),
    )


def _synthetic_sentence(summary: dict[str, Any]) -> tuple[str, ...]:
    count, retrained = summary["synthetic"]["images"], summary["models"]["retrained"]
    if not count:
        return ()
    used = f" and {retrained['synthetic_used']} were trained on" if retrained else ""
    sentence = (
        f"{count} synthetic images got weak labels too{used}; they are of no patient, and no other figure counts them."
    )
    return (sentence,)


def _run_figures(summary: dict[str, Any]) -> tuple[KeyFigure, ...]:
    models, counts = summary["models"], summary["weak_labels"]
    labelled = counts["accept"] + counts["review"] + counts["reject"]
    figures = [
        KeyFigure("Weak labels", str(labelled), f"of {summary['unlabelled']} unlabelled images"),
        KeyFigure("To review", str(counts["review"]), f"{counts['accept']} accepted, {counts['reject']} rejected"),
        KeyFigure("Mean quality", _cell(summary["mean_quality"]), "expected Dice"),
        KeyFigure("Dice, gold only", f"{models['coarse']['held_out_gold_dice']:.3f}", "on held-out gold"),
    ]
    if models["retrained"] is not None:
        score = models["retrained"]["held_out_gold_dice"]
        figures.append(KeyFigure("Dice, gold + weak", f"{score:.3f}", "on held-out gold"))
    return tuple(figures)


def _models_table(summary: dict[str, Any]) -> Table:
    rows = []
    for name in ("coarse", "retrained"):
        model = summary["models"][name]
        if model is not None:
            weak = str(model.get("weak_labels_used", 0))
            rows.append((model["version"], str(summary["gold"]), weak, f"{model['held_out_gold_dice']:.3f}"))
    return Table(
        caption="Models",
        header=("model", "gold labels", "weak labels", "Dice on held-out gold"),
        rows=tuple(rows),
        note="Each gold image is scored by the network that saw neither it nor a weak label of a network that did. The "
        "prompt policy and the quality, which weak labels are weighted by, are those of all gold.",
    )


def _choice_table(choice: Choice | None) -> tuple[Table, ...]:
    """The ways of making weak labels that were tried, best first."""
    if choice is None or not choice.trials:
        return ()
    rows = [
        (trial.policy.name, f"{trial.mean:.3f}", "chosen" if trial.policy == choice.policy else "")
        for trial in choice.trials
    ]
    return (
        Table(
            caption="Ways of making weak labels",
            header=("policy", "Dice on held-out gold", ""),
            rows=tuple(rows),
            note=f"{choice.reason}. A number at the end is the coarse map's share in the weak label, in percent.",
        ),
    )


def _notes_table(context: Context) -> tuple[Table, ...]:
    notes = list(dict.fromkeys(context.notes))
    if not notes:
        return ()
    return (Table(caption="Notes", header=("what was noticed",), rows=tuple((note,) for note in notes[:200])),)


def _run_plots(result: RunResult) -> Iterator[Plot]:
    judged = [one for one in result.labelled.sidecars if one.quality is not None and one.verdict is not None]
    if judged:
        values = [one.quality for one in judged if one.quality is not None]
        verdicts = [one.verdict.value for one in judged if one.verdict is not None]
        yield Plot("Quality of the weak labels", plots.quality_histogram(values, verdicts))
    calibration = result.calibration
    if calibration.measured:
        yield Plot(
            "Quality against truth, on gold",
            plots.calibration_plot(calibration.expected, calibration.measured),
            "Each point is a weak label of a gold image, made without having seen its label; the fit saw these points."
            + _left_out(calibration.quality),
        )
    for name, version in (("gold only", result.coarse), ("gold + weak", result.retrained)):
        if version is not None:
            histories = load_model(version).card.history
            named = {f"fold {number + 1}": history for number, history in enumerate(histories)}
            yield Plot(f"Training, {name}", plots.learning_curves(named))


def _left_out(quality: QualityModel) -> str:
    if quality.error is None or quality.mean_error is None:
        return ""
    return (
        f" On gold that it did not see, quality is off by {quality.error:.2f} on average; always to say the mean "
        f"would be off by {quality.mean_error:.2f}."
    )


def _evaluation_calibration(evaluation: Evaluation) -> tuple[Plot, ...]:
    dice = evaluation.dice(WEAK)
    known = [(quality, dice[image_id]) for image_id, quality in evaluation.qualities.items() if quality is not None]
    if not known:
        return ()
    image = plots.calibration_plot([pair[0] for pair in known], [pair[1] for pair in known])
    return (Plot("Quality against truth", image, "Each point is a weak label; on the line, quality tells the truth."),)


def _run_cases(result: RunResult) -> Iterator[PictureCase]:
    """The worst weak labels, and the worst of those made of gold images, whose truth is known."""
    progress = result.context.progress
    progress.stage("Pictures for the report")
    by_dice = sorted(result.calibration.dice, key=lambda image_id: result.calibration.dice[image_id])
    gold = [item for item in result.gold if item.study.image_id in by_dice[:_GOLD_PICTURES]]
    for item in each(gold, progress):
        yield _gold_case(result, item)
    ranked = sorted(result.labelled.sidecars, key=lambda one: -1.0 if one.quality is None else one.quality)
    for sidecar in each(ranked[: MOST_PICTURES - len(gold)], progress):
        made = _weak_case(result, sidecar)
        if made is not None:
            yield made


def _gold_case(result: RunResult, item: Gold) -> PictureCase:
    member = result.labeller.coarse.member_without(item.study.image_id)
    made = result.labeller.generate(item.view, member=member)
    layers = CaseLayers(item.view, made.coarse_map, made.weak.prompts, made.weak.mask, item.mask)
    dice = result.calibration.dice[item.study.image_id]
    return _case(
        item.study.image_id, layers, made.weak, caption="gold image, labelled as if it had no label", dice=dice
    )


def _weak_case(result: RunResult, sidecar: Sidecar) -> PictureCase | None:
    context = result.context
    study = context.studies.get(sidecar.inputs.image.id)
    read = context.read(study)
    if read is None:
        return None
    image, view = read
    mask = np.zeros(view.shape[:3], dtype=np.uint8)
    try:
        if sidecar.mask is not None:
            path = context.studies.root / WEAK_FOLDER / sidecar.mask.name
            mask = read_label(path, image=image, task=context.task).mask
    except AutoweakError as error:
        context.report_problem(study.image_id, error)
        return None
    layers = CaseLayers(view, _kept_map(result, study.image_id, view), sidecar.prompts, mask)
    return _case(study.image_id, layers, sidecar, caption=sidecar.note)


def _kept_map(result: RunResult, image_id: str, view: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The coarse map as it was kept, or predicted again where it is gone."""
    path = result.context.workspace.coarse_map(result.labeller.version, image_id)
    stored = read_arrays(path)
    if "probability" not in stored:
        return result.labeller.coarse.predict(view)
    return np.asarray(stored["probability"], dtype=np.float32) / np.float32(255)


def _case(
    image_id: str, layers: CaseLayers, weak: WeakLabel | Sidecar, *, caption: str, dice: float | None = None
) -> PictureCase:
    picture = draw_case(layers, most_slices=_SLICES_SHOWN, picture_format=PictureFormat.JPEG)
    return PictureCase(image_id, picture, caption, quality=weak.quality, verdict=_verdict(weak), dice=dice)


def _verdict(weak: WeakLabel | Sidecar) -> str | None:
    return None if weak.verdict is None else weak.verdict.value


def _problems(context: Context) -> tuple[Problem, ...]:
    return tuple(Problem(problem.image_id, problem.reason) for problem in context.problems)


def _after_run(context: Context) -> tuple[NextStep, ...]:
    root = shlex.quote(str(context.studies.root))
    return (
        NextStep(
            "Look at the doubtful weak labels, correct them in your viewer and save them in labels/final: the next run "
            "counts them as gold.",
            f"autoweak run {root}",
        ),
        NextStep(
            "Measure on images whose truth you know and that were not used here.",
            f"autoweak evaluate {root} --images IMAGES --labels LABELS",
        ),
        NextStep("Segment new images with the final model.", f"autoweak predict IMAGES --workspace {root} --out MASKS"),
    )


def _provenance(labeller: Labeller) -> tuple[tuple[str, str], ...]:
    context = labeller.context
    return (
        ("autoweak", autoweak.__version__),
        ("Python", platform.python_version()),
        ("task", context.task.sha256),
        ("coarse model", labeller.coarse.sha256),
        ("promptable model", labeller.promptable.sha256),
        ("policy", ", ".join(f"{key} {value}" for key, value in labeller.policy.to_dict().items())),
        ("seed", str(context.seed)),
    )


def _today() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%d")


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _slug(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:8]
