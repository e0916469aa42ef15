"""What `autoweak models` does with promptable models and their weights."""

from __future__ import annotations

import argparse

from autoweak.loop.context import Problem
from autoweak.outcome import Outcome
from autoweak.progress import BarProgress
from autoweak.tables import format_table


def models_command(arguments: argparse.Namespace, progress: BarProgress) -> Outcome:
    """List promptable models, or fetch, import or verify their weights."""
    if arguments.action == "list":
        return _list_models()
    if arguments.action == "verify":
        return _verify_models(arguments.name)
    from autoweak.promptable import store

    if arguments.action == "fetch":
        stored = store.fetch(arguments.name, progress=progress)
    else:
        stored = store.import_file(arguments.file, name=arguments.name)
    entry = stored.entry
    what = "came into" if stored.fresh else "were there already, in order:"
    text = f"The weights of {entry.name} {what} {stored.path}\nTheir terms: {entry.terms}"
    if stored.published is not True:
        what = "of the published file no checksum is known" if stored.published is None else "not the published file"
        text += f"\nTheir checksum was recorded ({what}): sha256 {stored.sha256}"
    data = {"name": entry.name, "path": str(stored.path), "sha256": stored.sha256, "terms": entry.terms}
    return Outcome({**data, "fresh": stored.fresh, "published": stored.published}, text)


def _list_models() -> Outcome:
    from autoweak.promptable import store

    listed, folder = store.list_models(), store.folder()
    rows: list[list[object]] = []
    models = []
    for model in listed:
        entry = model.entry
        size = "-" if model.bytes is None else f"{model.bytes / 1e6:.1f} MB"
        rows.append([entry.name, size, "yes" if model.path else "no", entry.terms, entry.summary])
        models.append(
            {
                "name": entry.name,
                "architecture": entry.architecture,
                "bytes": model.bytes,
                "path": str(model.path) if model.path else None,
                "terms": entry.terms,
                "summary": entry.summary,
                "source": entry.source or None,
                "url": entry.url,
                "checksum": entry.checksum,
            }
        )
    table = format_table(["name", "size", "here", "terms of the weights", "summary"], rows)
    text = f"{table}\n\nFetched and imported weights go to {folder} (the setting {store.SETTING} names another folder)."
    return Outcome({"folder": str(folder), "models": models}, text)


def _verify_models(name: str | None) -> Outcome:
    from autoweak.promptable import store

    verified = store.verify(name)
    rows: list[list[object]] = [
        [model.entry.name, "not in order" if model.problems else "in order", str(model.path)] for model in verified
    ]
    models = [
        {"name": model.entry.name, "path": str(model.path), "problems": list(model.problems)} for model in verified
    ]
    problems = tuple(Problem(model.entry.name, reason) for model in verified for reason in model.problems)
    return Outcome({"models": models}, format_table(["name", "weights", "in"], rows), problems)
