"""Finding a task file, reading its YAML safely, and turning every fault into one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from autoweak.errors import TaskError
from autoweak.resources import resource_path

_SUFFIXES = (".yaml", ".yml")
_MAX_BYTES = 64 * 1024
_Model = TypeVar("_Model", bound=BaseModel)


def names() -> tuple[str, ...]:
    """Return the names of the tasks that come with the project, in alphabetical order."""
    return tuple(sorted(path.stem for path in resource_path("configs").glob("*.yaml")))


def find(name_or_path: str | Path) -> Path:
    """Return the file of a task given by name or by path.

    Raises:
        TaskError: there is no such file; the sentence lists the tasks there are.
    """
    text = str(name_or_path)
    if text.lower().endswith(_SUFFIXES):
        path = Path(text)
        if path.is_file():
            return path
        msg = f"There is no task file {text}; give a file that exists, or one of the tasks {_listed(names())}."
        raise TaskError(msg)
    if text in names():
        return resource_path("configs") / f"{text}.yaml"
    msg = (
        f"There is no task {text!r}{_did_you_mean(text, names())}; "
        f"give one of {_listed(names())}, or the path of a .yaml file."
    )
    raise TaskError(msg)


def parse(path: Path, *, model: type[_Model]) -> _Model:
    """Read the YAML mapping in `path` and check it against `model`.

    Raises:
        TaskError: one sentence with the file, the key, what was got and what is allowed.
    """
    content = _read_mapping(path)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        msg = f"Task file {path}: {_sentence(error, model=model)}"
        raise TaskError(msg) from None


def _read_mapping(path: Path) -> dict[str, Any]:
    text = _read_text(path)
    try:
        _refuse_repeats(path, yaml.compose(text, Loader=yaml.SafeLoader))
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise TaskError(_yaml_sentence(path, error)) from None
    except (RecursionError, ValueError) as error:  # YAML dates such as 2024-99-99 raise ValueError
        msg = f"Task file {path} is not usable YAML; write it like the files in configs."
        raise TaskError(msg) from error
    if content is None:
        msg = f"Task file {path} is empty; start from a copy of one of the tasks {_listed(names())}."
        raise TaskError(msg)
    if not isinstance(content, dict):
        msg = f"Task file {path} must hold keys and values ('name: ...'), got a {type(content).__name__}."
        raise TaskError(msg)
    return content


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            msg = f"Task file {path} has more than {_MAX_BYTES // 1024} KiB; a task file is a page of text."
            raise TaskError(msg)
        return content.decode("utf-8-sig")
    except OSError as error:
        msg = f"Task file {path} cannot be read ({error.strerror}); check the path and its permissions."
        raise TaskError(msg) from None
    except UnicodeDecodeError:
        msg = f"Task file {path} is not UTF-8 text; save it as UTF-8."
        raise TaskError(msg) from None


def _refuse_repeats(path: Path, node: yaml.Node | None, *, seen: set[int] | None = None) -> None:
    """Refuse what YAML itself lets pass in silence: a key given twice, and aliases, which can grow without end."""
    seen = set() if seen is None else seen
    if node is None:
        return
    line = node.start_mark.line + 1
    if id(node) in seen:
        msg = f"Task file {path} repeats the part that starts in line {line} by a YAML alias ('*'); write it out."
        raise TaskError(msg)
    seen.add(id(node))
    keys: set[str] = set()
    for key, value in _pairs(node):
        if key is not None and key.value in keys:
            msg = f"Task file {path} has the key {key.value!r} twice (line {key.start_mark.line + 1}); keep one."
            raise TaskError(msg)
        if key is not None:
            keys.add(key.value)
        _refuse_repeats(path, value, seen=seen)


def _pairs(node: yaml.Node) -> Iterator[tuple[yaml.ScalarNode | None, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (key if isinstance(key, yaml.ScalarNode) else None), value
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield None, value


def _yaml_sentence(path: Path, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
    return f"Task file {path} is not valid YAML{where} ({problem}); correct that line."


def _sentence(error: ValidationError, *, model: type[BaseModel]) -> str:
    """Say the most telling of pydantic's errors in one sentence; the others show up once it is mended."""
    errors = error.errors(include_url=False)
    # A misspelt key shows up twice: as unknown and, under its true name, as missing. The first one helps.
    first = next((entry for entry in errors if entry["type"] == "extra_forbidden"), errors[0])
    location = [str(part) for part in first["loc"] if part != "[key]"]
    key = ".".join(location)
    if first["type"] == "extra_forbidden":
        allowed = tuple(_model_at(model, location[:-1]).model_fields)
        return f"unknown key {key!r}{_did_you_mean(location[-1], allowed)}; the keys are {_listed(allowed)}."
    if first["type"] == "missing":
        return f"the key {key!r} is missing; add it (configs/breast_ultrasound.yaml explains each key)."
    prefix = f"{key}: " if key else ""
    return f"{prefix}{_reason(first)}."


def _reason(entry: Any) -> str:
    if entry["type"] == "value_error":
        return str(entry["ctx"]["error"])
    reason = str(entry["msg"]).rstrip(".").removeprefix("Input ")
    return f"{reason}, got {_short(entry['input'])}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _model_at(model: type[BaseModel], location: list[str]) -> type[BaseModel]:
    for part in location:
        annotation = model.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        model = annotation
    return model


def _did_you_mean(word: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(words)
