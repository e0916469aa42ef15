"""Finding a task or experiment file, reading its YAML safely, and turning every fault into one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from autoweak.errors import AutoweakError, ExperimentError, TaskError
from autoweak.resources import resource_path

_SUFFIXES = (".yaml", ".yml")
_MAX_BYTES = 64 * 1024
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class FileKind:
    """What a file of this project's YAML is for.

    Attributes:
        noun: what sentences call it.
        folder: below `configs`, where those that come with the project are; `example`: one that explains every key.
        error: what a fault raises.
    """

    noun: str
    folder: str
    example: str
    error: type[AutoweakError]


TASK = FileKind("task file", ".", "configs/breast_ultrasound.yaml", TaskError)
EXPERIMENT = FileKind("experiment file", "experiments", "docs/experiments.md", ExperimentError)


def names(kind: FileKind = TASK) -> tuple[str, ...]:
    """Return the names of the files of a kind that come with the project, in alphabetical order."""
    return tuple(sorted(path.stem for path in (resource_path("configs") / kind.folder).glob("*.yaml")))


def find(name_or_path: str | Path, *, kind: FileKind = TASK) -> Path:
    """Return the file of a task or an experiment given by name or by path.

    Raises:
        AutoweakError: there is no such file (the kind's own error); the sentence lists those there are.
    """
    noun = kind.noun.removesuffix(" file")
    text = str(name_or_path)
    if text.lower().endswith(_SUFFIXES):
        path = Path(text)
        if path.is_file():
            return path
        msg = f"There is no {kind.noun} {text}; give a file that exists, or one of the {noun}s {_listed(names(kind))}."
        raise kind.error(msg)
    if text in names(kind):
        return resource_path("configs") / kind.folder / f"{text}.yaml"
    msg = (
        f"There is no {noun} {text!r}{_did_you_mean(text, names(kind))}; "
        f"give one of {_listed(names(kind))}, or the path of a .yaml file."
    )
    raise kind.error(msg)


def parse(path: Path, *, model: type[_Model], kind: FileKind = TASK) -> _Model:
    """Read the YAML mapping in `path` and check it against `model`.

    Raises:
        AutoweakError: the kind's own error, one sentence with the file, the key, what was got and what is allowed.
    """
    content = _read_mapping(path, kind)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        msg = f"{_name(path, kind)}: {_sentence(error, model=model, kind=kind)}"
        raise kind.error(msg) from None


def _read_mapping(path: Path, kind: FileKind) -> dict[str, Any]:
    text = _read_text(path, kind)
    try:
        _refuse_repeats(_name(path, kind), kind, yaml.compose(text, Loader=yaml.SafeLoader))
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise kind.error(_yaml_sentence(_name(path, kind), error)) from None
    except (RecursionError, ValueError) as error:  # YAML dates such as 2024-99-99 raise ValueError
        msg = f"{_name(path, kind)} is not usable YAML; write it like the files in configs."
        raise kind.error(msg) from error
    if content is None:
        msg = f"{_name(path, kind)} is empty; start from a copy of one of {_listed(names(kind))}."
        raise kind.error(msg)
    if not isinstance(content, dict):
        msg = f"{_name(path, kind)} must hold keys and values ('name: ...'), got a {type(content).__name__}."
        raise kind.error(msg)
    return content


def _read_text(path: Path, kind: FileKind) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            msg = f"{_name(path, kind)} has more than {_MAX_BYTES // 1024} KiB; it should be a page of text."
            raise kind.error(msg)
        return content.decode("utf-8-sig")
    except OSError as error:
        msg = f"{_name(path, kind)} cannot be read ({error.strerror}); check the path and its permissions."
        raise kind.error(msg) from None
    except UnicodeDecodeError:
        msg = f"{_name(path, kind)} is not UTF-8 text; save it as UTF-8."
        raise kind.error(msg) from None


def _refuse_repeats(name: str, kind: FileKind, node: yaml.Node | None, *, seen: set[int] | None = None) -> None:
    """Refuse what YAML itself lets pass in silence: a key given twice, and aliases, which can grow without end."""
    seen = set() if seen is None else seen
    if node is None:
        return
    line = node.start_mark.line + 1
    if id(node) in seen:
        msg = f"{name} repeats the part that starts in line {line} by a YAML alias ('*'); write it out."
        raise kind.error(msg)
    seen.add(id(node))
    keys: set[str] = set()
    for key, value in _pairs(node):
        if key is not None and key.value in keys:
            msg = f"{name} has the key {key.value!r} twice (line {key.start_mark.line + 1}); keep one."
            raise kind.error(msg)
        if key is not None:
            keys.add(key.value)
        _refuse_repeats(name, kind, value, seen=seen)


def _pairs(node: yaml.Node) -> Iterator[tuple[yaml.ScalarNode | None, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (key if isinstance(key, yaml.ScalarNode) else None), value
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield None, value


def _yaml_sentence(name: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
    return f"{name} is not valid YAML{where} ({problem}); correct that line."


def _sentence(error: ValidationError, *, model: type[BaseModel], kind: FileKind) -> str:
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
        return f"the key {key!r} is missing; add it ({kind.example} explains each key)."
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
    """The model of the part that a location leads to; keys of mappings and places in lists lead to no other model."""
    for part in location:
        if part in model.model_fields:
            annotation: Any = model.model_fields[part].annotation
            inner = [one for one in (annotation, *get_args(annotation)) if _is_model(one)]
            model = inner[0] if inner else model
    return model


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _name(path: Path, kind: FileKind) -> str:
    return f"{kind.noun.capitalize()} {path}"


def _did_you_mean(word: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(words)
