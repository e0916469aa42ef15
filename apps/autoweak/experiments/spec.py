"""What an experiment compares, read from its file: task, data, arms, how many gold and weak labels, seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, field_validator, model_validator

from autoweak import task_files
from autoweak.errors import ExperimentError
from autoweak.tasks import PlainName
from autoweak.training.prompt_recipe import Term

Footprint = Literal["square", "disk", "diamond"]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Length = Annotated[float, Field(ge=0.1, le=100, allow_inf_nan=False)]
Count = Annotated[StrictInt, Field(ge=0, le=100_000)]
FOLDERS = ("studies", "truth", "images", "labels")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArmEntry(_Part):
    """One arm of an experiment, with the options it takes; every arm is explained in `docs/experiments.md`.

    Attributes:
        arm: name of the arm in the registry.
        title: what the report calls it; needed where one arm is there twice with other options.
        policy: prompt policy, of arms that prompt from a coarse map.
        promptable: another promptable model than that of the experiment.
        drop_extreme: leave out weak labels of which one class, background included, covers more than this share of
            the image (S1: 0.97). Dangerous where objects are small: it takes small lesions for failures.
        drop_below: leave out weak labels whose foreground is a smaller share of the image; `drop_above`: a larger one.
        length: how many times as long as the coarse model it is trained; 1 where nothing says otherwise.
        keep_gold: train on gold beside the weak labels.
        per: simulated prompts for the whole class in a slice, or for each connected component.
        margin: simulated boxes are larger than tight by this share of the box on each side.
        jitter: simulated boxes move each side by up to this share of the box.
        keep: which component of a label S3 refines, the likeliest or the largest.
        grow: S3's kept component is dilated by so many pixels, eroded where below 0; `footprint`: by what.
        passes: of S3; 1 is the box alone, as it uses MedSAM.
        policy_options: what to change in the prompt policy, as in a task file.
        synthetic: how many synthetic images (`autoweak synthesise`) get weak labels beside those of patients.
        losses: the terms of the loss that prompts are learned with; all three where it is not given.
        published: weigh and count the size term as S4 does, not as this project does.
    """

    arm: StrictStr
    title: StrictStr = ""
    policy: StrictStr | None = None
    promptable: StrictStr | None = None
    drop_extreme: Annotated[float, Field(gt=0.5, lt=1, allow_inf_nan=False)] | None = None
    drop_below: Share | None = None
    drop_above: Share | None = None
    length: Length | None = None
    keep_gold: StrictBool | None = None
    per: Literal["class", "component"] | None = None
    margin: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    jitter: Annotated[float, Field(ge=0, le=0.5, allow_inf_nan=False)] | None = None
    keep: Literal["probability", "largest"] | None = None
    grow: Annotated[StrictInt, Field(ge=-32, le=32)] | None = None
    footprint: Footprint | None = None
    passes: Literal[1, 2] | None = None
    policy_options: dict[StrictStr, Any] | None = None
    synthetic: Annotated[StrictInt, Field(ge=1, le=100_000)] | None = None
    losses: Annotated[tuple[Term, ...], Field(min_length=1)] | None = None
    published: StrictBool | None = None

    @field_validator("losses")
    @classmethod
    def _each_once(cls, losses: tuple[Term, ...] | None) -> tuple[Term, ...] | None:
        if losses is not None and len(set(losses)) != len(losses):
            msg = f"losses lists {next(one for one in losses if losses.count(one) > 1)!r} twice"
            raise ValueError(msg)
        return None if losses is None else tuple(sorted(losses))

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.title or self.arm

    def options(self) -> dict[str, Any]:
        """The options that are set."""
        return self.model_dump(mode="json", exclude={"arm", "title"}, exclude_none=True)

    def label_options(self) -> dict[str, Any]:
        """Those that a weak label depends on: not how many others there are, nor how long is trained on them.

        The promptable model is told apart by its weights, not by its name.
        """
        others = ("synthetic", "length", "promptable")
        return {key: value for key, value in self.options().items() if key not in others}


class Data(_Part):
    """Where the images are; relative paths are relative to the experiment file.

    Attributes:
        studies: a studies folder; its gold labels are drawn from, and what is left of them is unlabelled to the arms.
        truth: labels of its unlabelled images, for arms that simulate a person and for bounds; never learned from
            otherwise.
        images: the images to evaluate on.
        labels: their truth, named like the images.
    """

    studies: Path | None = None
    truth: Path | None = None
    images: Path | None = None
    labels: Path | None = None


class Experiment(_Part):
    """One experiment file, checked; `docs/experiments.md` explains each key."""

    name: PlainName
    description: StrictStr = ""
    task: StrictStr
    data: Data = Data()
    arms: Annotated[tuple[ArmEntry, ...], Field(min_length=1)]
    gold: Annotated[tuple[Count, ...], Field(min_length=1)]
    weak: Annotated[tuple[Count, ...], Field(min_length=1)] = (0,)
    seeds: Annotated[tuple[Count, ...], Field(min_length=1)] = (0, 1, 2)
    subsets: Annotated[tuple[Count, ...], Field(min_length=1)] | None = None
    length: Length | None = None
    reference: StrictStr | None = None
    ground: StrictBool = True
    hd95: StrictBool = False
    promptable: StrictStr | None = None

    @field_validator("arms", mode="before")
    @classmethod
    def _names_alone(cls, arms: Any) -> Any:
        return [{"arm": one} if isinstance(one, str) else one for one in arms] if isinstance(arms, list) else arms

    @field_validator("gold", "weak", "seeds", "subsets", mode="before")
    @classmethod
    def _number_alone(cls, counts: Any) -> Any:
        return [counts] if isinstance(counts, int) else counts

    @model_validator(mode="after")
    def _once(self) -> Experiment:
        for key, values in (
            ("arms", [entry.name for entry in self.arms]),
            *((key, getattr(self, key) or ()) for key in ("gold", "weak", "seeds", "subsets")),
        ):
            twice = [value for index, value in enumerate(values) if value in values[:index]]
            if twice:
                hint = "; give each a title of its own" if key == "arms" else ""
                msg = f"{key} lists {twice[0]!r} twice{hint}"
                raise ValueError(msg)
        return self


def load_experiment(name_or_path: str | Path) -> tuple[Experiment, Path]:
    """Read and check an experiment; the folders of its `data` come out as they are to be opened.

    Args:
        name_or_path: the name of one of the project's experiments, or a path ending in `.yaml` or `.yml`.

    Returns:
        the experiment, and its file.

    Raises:
        ExperimentError: no such file, or it does not say what an experiment file must.
    """
    path = task_files.find(name_or_path, kind=task_files.EXPERIMENT)
    experiment = task_files.parse(path, model=Experiment, kind=task_files.EXPERIMENT)
    folders = {key: value for key in FOLDERS if (value := getattr(experiment.data, key)) is not None}
    data = Data(**{key: path.parent / Path(value).expanduser() for key, value in folders.items()})
    return experiment.model_copy(update={"data": data}), path


def with_folders(experiment: Experiment, **folders: Path | None) -> Experiment:
    """The experiment with those of its folders replaced that are given.

    Raises:
        ExperimentError: a folder that is needed is given neither here nor in the file.
    """
    given = {key: value for key, value in folders.items() if value is not None}
    data = experiment.data.model_copy(update=given)
    missing = [key for key in ("studies", "images", "labels") if getattr(data, key) is None]
    if missing:
        raise ExperimentError(
            f"Experiment {experiment.name} does not say where its data is: give "
            f"{' and '.join(f'--{key} FOLDER' for key in missing)}, or write {', '.join(missing)} below data in its "
            "file."
        )
    return experiment.model_copy(update={"data": data})
