"""What each command does: from parsed arguments to an outcome that the command line shows."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoweak.errors import TaskError, WorkspaceError
from autoweak.loop.context import Context, Problem
from autoweak.models_command import models_command
from autoweak.outcome import Outcome
from autoweak.progress import BarProgress
from autoweak.tables import format_table
from autoweak.tasks import Task, load_task
from autoweak.workspace import FOLDER_NAME, ModelChoice, Workspace

if TYPE_CHECKING:
    from autoweak.experiments.report import PictureCase


Command = Callable[[argparse.Namespace, BarProgress], Outcome]


def run_command(arguments: argparse.Namespace, progress: BarProgress) -> Outcome:
    """Everything: coarse model, weak labels, retraining, report."""
    from autoweak.loop.reporting import report_run
    from autoweak.loop.run import run, summarise

    context = _context(arguments, progress)
    with context.workspace.lock():
        result = run(context)
        summary = summarise(result)
        report = report_run(result, summary)
    return Outcome({**summary, "report": str(report)}, _run_text(summary, report), tuple(context.problems))


def train_command(arguments: argparse.Namespace, progress: BarProgress) -> Outcome:
    """Train the coarse model, retrain on gold + weak labels and publish the better one, or learn prompts."""
    if arguments.model == "learned":
        return _learn_prompts(arguments, progress)
    from autoweak.loop.coarse import train_coarse
    from autoweak.loop.gold import read_gold
    from autoweak.loop.kept_quality import keep_quality
    from autoweak.loop.label import Labeller, calibrated
    from autoweak.loop.rounds import improve

    context = _context(arguments, progress)
    with context.workspace.lock():
        gold = read_gold(context)
        version = train_coarse(context, gold)
        reason = "gold labels only"
        if arguments.model == "retrained":
            improved = improve(context, gold, *calibrated(Labeller.load(context, version), gold))
            keep_quality(improved.labeller)
            version, reason = improved.decision.final, improved.decision.reason
        elif context.workspace.published() is None:
            context.workspace.publish(version, reason=reason)
    record = context.workspace.record(version)
    data = {"model": version.name, "held_out_gold_dice": record["mean_cv_dice"], "reason": reason}
    text = format_table(["model", "gold", "weak", "Dice on held-out gold"], [_model_row(version.name, record)])
    return Outcome(data, text, tuple(context.problems))


def _learn_prompts(arguments: argparse.Namespace, progress: BarProgress) -> Outcome:
    """Learn prompts from tight boxes; nothing is published."""
    from autoweak.loop.learned import Learner, train_learned

    context = _context(arguments, progress)
    with context.workspace.lock():
        version = train_learned(Learner.load(context))
    record = context.workspace.record(version)
    notes = list(dict.fromkeys(context.notes))
    data = {"model": version.name, "held_out_gold_dice": record["mean_cv_dice"], "notes": notes}
    data |= {name: record[name] for name in ("gold", "boxed", "promptable")}
    row = [version.name, record["gold"], record["boxed"], record["mean_cv_dice"]]
    text = format_table(["model", "gold", "boxes alone", "Dice on held-out gold"], [row])
    return Outcome(data, _with_notes(text, notes), tuple(context.problems))


def label_command(arguments: argparse.Namespace, progress: BarProgress) -> Outcome:
    """Make weak labels with the best model that came of the current coarse one."""
    from autoweak.loop.gold import read_gold
    from autoweak.loop.label import Labeller, calibrated, label
    from autoweak.loop.retrain import current_coarse, labelling_version
    from autoweak.loop.run import count_verdicts

    context = _context(arguments, progress)
    with context.workspace.lock():
        labeller = Labeller.load(context, labelling_version(context.workspace, current_coarse(context)))
        gold = tuple(item for item in read_gold(context) if item.study.image_id in labeller.coarse.cv_dice)
        labeller, _ = calibrated(labeller, gold)
        labelled = label(labeller)
    counts = count_verdicts(labelled.sidecars)
    notes = list(dict.fromkeys(context.notes))
    synthetic = count_verdicts(labelled.synthetic)
    data = {
        "weak_labels": counts,
        "synthetic": synthetic,
        "kept": labelled.kept,
        "problems": _plain(context.problems),
        "notes": notes,
    }
    text = format_table([*counts, "unchanged"], [[*counts.values(), labelled.kept]]) + _synthetic_text(synthetic)
    return Outcome(data, _with_notes(text, notes), tuple(context.problems))


def predict_command(arguments: argparse.Namespace, progress: BarProgress) -> Outcome:
    """Write a mask for each image with a trained model."""
    from autoweak.loop.predict import predict

    workspace = Workspace.existing(arguments.workspace or arguments.images)
    predictions = predict(
        arguments.images,
        arguments.out,
        workspace=workspace,
        task=workspace.recorded_task(),
        choice=ModelChoice(arguments.model),
        progress=progress,
        **_promptable(arguments),
    )
    row = [predictions.model, len(predictions.written), len(predictions.empty), str(arguments.out)]
    text = format_table(["model", "masks", "of them empty", "in"], [row])
    return Outcome(predictions.to_dict(), text, predictions.problems)


def synthesise_command(arguments: argparse.Namespace, progress: BarProgress) -> Outcome:
    """Train a generator on the unlabelled images where there is none yet, and draw synthetic images with it."""
    from autoweak.synthesis.synthesise import Request, synthesise

    context = _context(arguments, progress)
    request = Request(
        count=arguments.count,
        size=arguments.size,
        epochs=arguments.epochs,
        sampler=arguments.sampler,
        steps=arguments.steps,
    )
    with context.workspace.lock():
        result = synthesise(context, request)
    row = [result.training_images, result.epochs, result.loss, result.written, result.kept, result.copies]
    header = ["learned from", "epochs", "loss", "drawn", "unchanged", "near copies dropped"]
    text = (
        f"{format_table(header, [row])}\n\nIn {result.folder}: of no patient; `autoweak run` takes them as unlabelled."
    )
    return Outcome(result.to_dict(), _with_notes(text, list(dict.fromkeys(context.notes))), tuple(context.problems))


def evaluate_command(arguments: argparse.Namespace, progress: BarProgress) -> Outcome:
    """Measure gold-only, weak labels and gold + weak against the truth."""
    from autoweak.loop.evaluate import evaluate
    from autoweak.loop.reporting import picture_of, report_evaluation

    context = _context(arguments, progress)
    pictures: list[PictureCase] = []
    evaluation = evaluate(
        context,
        images=arguments.images,
        labels=arguments.labels,
        on_case=lambda case: pictures.append(picture_of(case)),
    )
    report = report_evaluation(context, evaluation, pictures, folder=arguments.out)
    text = "\n\n".join(filter(None, (evaluation.table(), evaluation.trust_text(), f"Report: {report}")))
    return Outcome({**evaluation.to_dict(), "report": str(report)}, text, tuple(context.problems))


def experiment_command(arguments: argparse.Namespace, progress: BarProgress) -> Outcome:
    """Run the arms of an experiment file, as far as they are not done, and report."""
    from autoweak.experiments.command import experiment

    return experiment(arguments, progress)


def export_command(arguments: argparse.Namespace, progress: BarProgress) -> Outcome:
    """Turn a trained model, or the way to the weak labels, into a MONAI bundle."""
    from autoweak.bundle.export import ExportChoice, check_target, export, learned_source, trained_source, weak_source

    check_target(arguments.out)
    workspace = Workspace.existing(arguments.studies)
    choice = ExportChoice(arguments.model)
    if choice is ExportChoice.WEAK:
        source = weak_source(_context(arguments, progress))
    elif choice is ExportChoice.LEARNED:
        source = learned_source(workspace, **_promptable(arguments))
    else:
        source = trained_source(workspace, ModelChoice(choice.value))
    exported = export(source, arguments.out)
    row = [exported.model, choice.value, f"{exported.weights_bytes / 1e6:.1f} MB", str(exported.folder)]
    text = format_table(["model", "exported as", "weights", "bundle"], [row])
    return Outcome(exported.to_dict(), f"{text}\n\nHow to use it: {exported.folder / 'docs' / 'README.md'}")


def status_command(arguments: argparse.Namespace, progress: BarProgress) -> Outcome:
    """Count what is gold, weak and unlabelled, and list the models."""
    from autoweak.loop.status import read_status

    del progress
    status = read_status(arguments.studies)
    rows: list[list[object]] = [["images", status.images], ["gold labels", status.gold]]
    rows += [[f"weak: {verdict}", count] for verdict, count in sorted(status.weak.items())]
    rows += [["not labelled at all", status.unlabelled - sum(status.weak.values())]]
    if status.synthetic:
        rows += [["synthetic images, beside these", status.synthetic]]
    text = format_table(["what", "how many"], rows)
    if status.mean_quality is not None:
        text += f"\n\nMean quality of the weak labels (expected Dice): {status.mean_quality:.3f}"
    if status.models:
        models = [_model_row(model["model"], model) for model in status.models]
        text += "\n\n" + format_table(["model", "gold", "weak", "Dice on held-out gold"], models)
        text += f"\n\nFinal model: {status.final or 'none published'}"
    return Outcome(status.to_dict(), text)


def demo_command(arguments: argparse.Namespace, progress: BarProgress) -> Outcome:
    """The whole loop on phantoms."""
    from autoweak.loop.demo import demo

    parts = demo(arguments.out, seed=arguments.seed, progress=progress)
    rows: list[list[object]] = []
    for part in parts:
        counts = part.summary["weak_labels"]
        labelled = counts["accept"] + counts["review"] + counts["reject"]
        dice = [part.evaluation.summary(arm).mean for arm in part.evaluation.arms]
        rows.append([part.kind, labelled, counts["nothing found"], *dice, *[None] * (3 - len(dice))])
    header = ["phantoms", "weak labels", "nothing found", "Dice gold only", "Dice weak label", "Dice gold + weak"]
    studies = parts[0].folder / "studies"
    text = [
        format_table(header, rows),
        "Dice on validation phantoms that no model has seen. The coarse network starts from weights learned on\n"
        "phantoms like these, so the figures show that the loop works, not how well it does on real images.",
        "Reports to look at:\n" + "\n".join(f"  {part.run_report}\n  {part.evaluation_report}" for part in parts),
        f"Next: autoweak status {studies}\n  or: autoweak run YOUR_STUDIES --task breast_ultrasound",
    ]
    data = {part.kind: {**part.summary, "report": str(part.run_report)} for part in parts}
    return Outcome(data, "\n\n".join(text))


def serve_command(arguments: argparse.Namespace, progress: BarProgress) -> Outcome:
    """MONAI Label's server with this project's app; ends when it is stopped."""
    import subprocess
    import sys

    from autoweak.server.serve import plan

    del progress
    named = ("task", "policy", "promptable", "checkpoint", "device", "precision", "seed")
    conf = {key: str(getattr(arguments, key)) for key in named if getattr(arguments, key) is not None}
    conf |= dict(arguments.conf)
    planned = plan(arguments.studies, conf, host=arguments.host, port=arguments.port)
    sys.stderr.write(f"{planned.notice}\n")
    ended = subprocess.run(planned.command, env=planned.environment, check=False)  # noqa: S603  # our own command line
    if ended.returncode > 0:
        raise WorkspaceError(
            f"The server ended with exit code {ended.returncode}; the lines above say why. "
            f"If the port {arguments.port} is taken, choose another with --port."
        )
    return Outcome({"served": str(arguments.studies)}, "The server has ended.")


COMMANDS: dict[str, Command] = {
    "demo": demo_command,
    "run": run_command,
    "train": train_command,
    "label": label_command,
    "predict": predict_command,
    "synthesise": synthesise_command,
    "evaluate": evaluate_command,
    "status": status_command,
    "experiment": experiment_command,
    "export": export_command,
    "models": models_command,
    "serve": serve_command,
}


def _context(arguments: argparse.Namespace, progress: BarProgress) -> Context:
    if arguments.seed < 0:
        raise WorkspaceError(f"--seed must be 0 or more, got {arguments.seed}.")
    return Context.open(
        arguments.studies,
        _task(getattr(arguments, "task", None), arguments.studies),
        seed=arguments.seed,
        promptable=getattr(arguments, "promptable", None),
        checkpoint=getattr(arguments, "checkpoint", None),
        device=getattr(arguments, "device", "auto"),
        precision=getattr(arguments, "precision", "auto"),
        policy_name=getattr(arguments, "policy", None),
        progress=progress,
    )


def _promptable(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that say which promptable model, with which weights, where."""
    return {name: getattr(arguments, name) for name in ("promptable", "checkpoint", "device", "precision")}


def _task(name: str | None, studies: Path) -> Task:
    if name is not None:
        return load_task(name)
    if not (studies / FOLDER_NAME / "task.json").is_file():
        raise TaskError(
            f"{studies} has no workspace that knows its task yet: name one with --task, e.g. --task breast_ultrasound."
        )
    return Workspace(studies / FOLDER_NAME).recorded_task()


def _model_row(name: str, record: dict[str, Any]) -> list[object]:
    return [name, record.get("gold"), record.get("weak"), record.get("mean_cv_dice")]


def _run_text(summary: dict[str, Any], report: Path) -> str:
    models = summary["models"]
    rows: list[list[object]] = [["gold only", summary["gold"], 0, models["coarse"]["held_out_gold_dice"]]]
    if models["retrained"] is not None:
        used = models["retrained"]["weak_labels_used"]
        rows.append(["gold + weak", summary["gold"], used, models["retrained"]["held_out_gold_dice"]])
    counts = summary["weak_labels"]
    parts = [
        format_table(list(counts), [list(counts.values())]) + _synthetic_text(summary["synthetic"]["weak_labels"]),
        format_table(["model", "gold", "weak", "Dice on held-out gold"], rows),
        f"Final model: {models['final']['version']} ({models['final']['reason']})",
        f"Report: {report}",
    ]
    return _with_notes("\n\n".join(parts), summary["notes"])


def _synthetic_text(counts: dict[str, int]) -> str:
    """A line on the weak labels of synthetic images, which the table does not count; nothing where there are none."""
    if not sum(counts.values()):
        return ""
    return "\nOf synthetic images: " + ", ".join(f"{count} {name}" for name, count in counts.items()) + "."


def _with_notes(text: str, notes: list[str]) -> str:
    if not notes:
        return text
    shown = [f"- {note}" for note in notes[:10]]
    more = [f"- and {len(notes) - 10} more, in the report"] if len(notes) > 10 else []
    return "\n".join([text, "", "Notes:", *shown, *more])


def _plain(problems: list[Problem]) -> list[dict[str, str]]:
    return [vars(problem) for problem in problems]
