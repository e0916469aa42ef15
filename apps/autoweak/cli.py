"""The `autoweak` command: arguments in, one call to the loop, a short table or JSON out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoweak import __version__
from autoweak.errors import AutoweakError
from autoweak.progress import BarProgress

if TYPE_CHECKING:
    from autoweak.outcome import Outcome

DONE, DONE_WITH_FAILURES, WRONG_REQUEST, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 done with failures (listed), 2 wrong request."""
    arguments = build_parser().parse_args(argv)
    progress = BarProgress()
    try:
        # Inside: a sentence must not end up on the line of a bar.
        try:
            outcome = _command(arguments.command)(arguments, progress)
        finally:
            progress.close()
    except AutoweakError as error:
        return _fail(str(error), WRONG_REQUEST)
    except KeyboardInterrupt:
        return _fail("Stopped. Nothing is half-written: the same command goes on where this one was.", INTERRUPTED)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return _fail(f"The system refused: {error.strerror or error}{where}.", WRONG_REQUEST)
    _show(outcome, as_json=arguments.json)
    return DONE_WITH_FAILURES if outcome.problems else DONE


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; every flag says what it does."""
    parser = argparse.ArgumentParser(
        prog="autoweak",
        description="From a handful of gold labels to a large, trustworthy labelled data set. Not for clinical use.",
    )
    parser.add_argument("--version", action="version", version=f"autoweak {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_demo(commands)
    for name, text in (
        ("run", "train coarse, make weak labels, retrain, report: everything"),
        ("train", "train a model: coarse (gold labels), retrained (gold + weak labels), or learned prompts (boxes)"),
        ("label", "make weak labels with the best model there is"),
    ):
        command = _add(commands, name, text)
        _add_studies(command)
        _add_task(command)
        _add_promptable(command)
        if name == "train":
            command.add_argument(
                "--model",
                choices=["coarse", "retrained", "learned"],
                default="coarse",
                help="which model to train (coarse); learned needs tight boxes only, from gold labels or boxes.csv",
            )
    _add_predict(commands)
    _add_synthesise(commands)
    _add_evaluate(commands)
    status = _add(commands, "status", "what is gold, weak and unlabelled; quality; models", seed=False)
    _add_studies(status)
    _add_experiment(commands)
    _add_export(commands)
    _add_models(commands)
    _add_serve(commands)
    return parser


def _add(commands: Any, name: str, text: str, *, seed: bool = True) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:])
    command.add_argument("--json", action="store_true", help="print machine-readable results alone")
    if seed:
        command.add_argument("--seed", type=int, default=0, help="seed of everything random (0)")
    return command


def _add_studies(command: argparse.ArgumentParser) -> None:
    command.add_argument("studies", type=Path, help="folder with images at the top and gold labels in labels/final")


def _add_task(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--task", help="name of a task (breast_ultrasound, ...) or a .yaml file; needed the first time only"
    )
    command.add_argument("--policy", help="prompt policy instead of the task's, e.g. s1_box_published")


def _add_promptable(command: argparse.ArgumentParser) -> None:
    command.add_argument("--promptable", help="promptable model instead of the task's, e.g. small or medsam")
    command.add_argument(
        "--checkpoint", type=Path, help="weights of that model (.pth, .safetensors); alone, the model is recognised"
    )
    command.add_argument("--device", default="auto", help="where it runs: auto (the GPU where there is one), cpu, cuda")
    command.add_argument(
        "--precision",
        choices=["auto", "float32", "bfloat16"],
        default="auto",
        help="of SAM's and MedSAM's encoders; auto is bfloat16 where the processor has it",
    )


def _add_demo(commands: Any) -> None:
    command = _add(commands, "demo", "the whole loop on phantoms made on the spot, in minutes on a CPU")
    command.add_argument("--out", type=Path, default=Path("autoweak-demo"), help="folder to make (autoweak-demo)")


def _add_predict(commands: Any) -> None:
    command = _add(commands, "predict", "write a mask for each image with a trained model")
    command.add_argument("images", type=Path, help="studies, a folder of images, or one image")
    command.add_argument("--workspace", type=Path, help="where the models are (default: the studies' own)")
    command.add_argument(
        "--model", choices=["coarse", "retrained", "learned", "final"], default="final", help="which model (final)"
    )
    _add_promptable(command)
    command.add_argument("--out", type=Path, required=True, help="folder for the masks")


def _add_synthesise(commands: Any) -> None:
    command = _add(commands, "synthesise", "draw synthetic images like the unlabelled ones, as more images to label")
    _add_studies(command)
    command.add_argument(
        "--task", help="name of a task (breast_ultrasound, ...) or a .yaml file; needed the first time only"
    )
    command.add_argument("--count", type=int, required=True, help="how many images to draw")
    command.add_argument("--size", type=int, default=64, help="longer side of the images in pixels (64)")
    command.add_argument("--epochs", type=int, help="passes of the training over the unlabelled images (400)")
    command.add_argument(
        "--sampler", choices=["ddim", "ddpm"], default="ddim", help="ddim (fast) or ddpm (all 1000 steps)"
    )
    command.add_argument("--steps", type=int, default=50, help="steps of ddim (50)")


def _add_evaluate(commands: Any) -> None:
    command = _add(commands, "evaluate", "measure gold-only, weak labels and gold + weak against the truth")
    _add_studies(command)
    command.add_argument("--images", type=Path, help="images with known truth that are not in the studies")
    command.add_argument("--labels", type=Path, help="their labels, named like the images")
    command.add_argument("--out", type=Path, help="folder for report and metrics (default: in the workspace)")
    command.add_argument("--policy", help="prompt policy instead of the task's")
    _add_promptable(command)


def _add_experiment(commands: Any) -> None:
    command = _add(
        commands, "experiment", "compare papers' methods as arms of one experiment, in one report", seed=False
    )
    command.add_argument("file", help="an experiment file (.yaml), or the name of one in configs/experiments")
    command.add_argument("--studies", type=Path, help="studies folder, instead of the file's")
    command.add_argument("--truth", type=Path, help="labels of unlabelled images, for arms that simulate a person")
    command.add_argument("--images", type=Path, help="images to evaluate on, instead of the file's")
    command.add_argument("--labels", type=Path, help="their labels, named like the images")
    command.add_argument("--out", type=Path, help="folder for cells and report (default: in the studies' workspace)")
    command.add_argument("--seed", type=int, help="this seed alone, instead of the file's")
    _add_promptable(command)


def _add_export(commands: Any) -> None:
    command = _add(commands, "export", "turn a trained model into a MONAI bundle that runs without the studies")
    _add_studies(command)
    command.add_argument(
        "--model",
        choices=["coarse", "retrained", "final", "weak", "learned"],
        default="final",
        help="a trained model; weak: coarse model, prompt policy and promptable model in one; learned prompts (final)",
    )
    command.add_argument("--out", type=Path, required=True, help="folder of the bundle; its name is the bundle's")
    command.add_argument("--policy", help="of weak: prompt policy instead of the task's")
    _add_promptable(command)


def _add_models(commands: Any) -> None:
    command = _add(commands, "models", "promptable models: what there is, get their weights, check them", seed=False)
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION", help="what to do; see below")
    name, known = "name of a model, see `autoweak models list`", "all whose weights are here"
    _add_action(actions, "list", "the models, with the size and terms of their weights")
    _add_action(actions, "fetch", "download weights, going on where a download ended").add_argument("name", help=name)
    verify = _add_action(actions, "verify", "compare weights with their checksums and check that they load")
    verify.add_argument("name", nargs="?", help=f"{name} (default: {known})")
    brought = _add_action(actions, "import", "take over weights that you downloaded elsewhere, after checking them")
    brought.add_argument("name", nargs="?", help=f"{name} (default: recognised from the file)")
    brought.add_argument("file", type=Path, help="the downloaded file (.pth or .safetensors)")


def _add_action(actions: Any, name: str, text: str) -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text[0].upper() + text[1:])
    # Without a default: it would undo a --json before the action.
    action.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print machine-readable results alone"
    )
    return action


def _add_serve(commands: Any) -> None:
    command = _add(commands, "serve", "MONAI Label server for 3D Slicer and OHIF, for this machine alone")
    command.add_argument("studies", help="folder with images at the top and gold labels in labels/final")
    _add_task(command)
    _add_promptable(command)
    command.add_argument("--host", default="127.0.0.1", help="address to listen at (127.0.0.1: this machine alone)")
    command.add_argument("--port", type=int, default=8000, help="port to listen at (8000)")
    command.add_argument(
        "--conf",
        nargs=2,
        action="append",
        default=[],
        metavar=("KEY", "VALUE"),
        help="a setting of the server, e.g. modality CT,MR; may be given several times",
    )


def _command(name: str) -> Callable[[argparse.Namespace, BarProgress], Outcome]:
    from autoweak import commands

    return commands.COMMANDS[name]


def _show(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(outcome.data, indent=2) + "\n")
    else:
        sys.stdout.write(outcome.text + "\n")
    for problem in outcome.problems:
        sys.stderr.write(f"not done: {problem.image_id}: {problem.reason}\n")


def _fail(sentence: str, code: int) -> int:
    sys.stderr.write(f"autoweak: {sentence}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
