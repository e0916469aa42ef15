"""The report: one HTML file with everything inside it, for looking before reading."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from autoweak import atomic
from autoweak.errors import AutoweakError

if TYPE_CHECKING:
    from jinja2 import Template

_TEMPLATES = Path(__file__).parent / "templates"
# Base64 makes a third more of it: a page of these pictures stays below 15 MB.
_PICTURE_BYTES = 10_000_000
_KINDS = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"<?xml", "image/svg+xml"),
    (b"<svg", "image/svg+xml"),
)


class ReportError(AutoweakError):
    """Something that a report cannot show."""


@dataclass(frozen=True)
class KeyFigure:
    """One number that the reader looks for first.

    Attributes:
        label: what it is, in a few words.
        value: the number as it is shown.
        note: what it is to be compared with or how sure it is, in a few words.
    """

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table of strings.

    Attributes:
        caption: what it shows.
        header: one string a column.
        rows: one string a column each.
        note: how to read it.
        words: whether its cells are words, which begin at the left, rather than figures.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    words: bool = False

    def __post_init__(self) -> None:
        """Refuse rows that do not fit the header."""
        for row in self.rows:
            if len(row) != len(self.header):
                msg = f"A row of table {self.caption!r} has {len(row)} cells under {len(self.header)} headings; "
                raise ReportError(msg + "give one cell for each heading.")


@dataclass(frozen=True)
class Plot:
    """A plot.

    Attributes:
        title: what it shows.
        image: SVG, PNG or JPEG.
        caption: how to read it.
    """

    title: str
    image: bytes
    caption: str = ""


@dataclass(frozen=True)
class PictureCase:
    """One image with its weak label.

    Attributes:
        image_id: the image.
        picture: PNG or JPEG, as `autoweak.experiments.pictures.draw_case` gives it.
        caption: what else there is to say.
        quality: expected Dice, 0..1; None where nothing was found.
        verdict: "accept", "review" or "reject"; None where nothing was found.
        dice: measured Dice, 0..1, where the truth is known.
    """

    image_id: str
    picture: bytes
    caption: str = ""
    quality: float | None = None
    verdict: str | None = None
    dice: float | None = None

    @property
    def rank(self) -> float:
        """What worst first is measured by: the Dice where known, else the quality; nothing found comes first."""
        known = [value for value in (self.dice, self.quality) if value is not None]
        return known[0] if known else -1.0


@dataclass(frozen=True)
class Exhibit:
    """A picture that stands for something, shown in the order given.

    Attributes:
        title: what it stands for.
        picture: PNG or JPEG.
        caption: what there is to say.
    """

    title: str
    picture: bytes
    caption: str = ""


@dataclass(frozen=True)
class Problem:
    """An image that was passed over, and why."""

    image: str
    reason: str


@dataclass(frozen=True)
class NextStep:
    """What the reader can do next, with the command that does it."""

    text: str
    command: str = ""


@dataclass(frozen=True)
class Report:
    """What the page says.

    Attributes:
        title: the page's heading.
        subtitle: task and date.
        summary: what was done, a sentence each.
        key_figures: shown large.
        tables: in order.
        plots: in order.
        cases: in any order; the page shows the worst first.
        exhibits: pictures in order.
        problems: images that were passed over.
        next_steps: what to do now.
        provenance: name and value pairs: versions, model hashes, the command line.
        sources: name and text of files that make this again.
        most_pictures: how many cases are shown at most; the page says how many are not.
    """

    title: str
    subtitle: str = ""
    summary: tuple[str, ...] = ()
    key_figures: tuple[KeyFigure, ...] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    cases: tuple[PictureCase, ...] = ()
    exhibits: tuple[Exhibit, ...] = ()
    problems: tuple[Problem, ...] = ()
    next_steps: tuple[NextStep, ...] = ()
    provenance: tuple[tuple[str, str], ...] = ()
    sources: tuple[tuple[str, str], ...] = ()
    most_pictures: int = 60


def write_report(path: Path, report: Report) -> None:
    """Write the report to `path` as one HTML file that needs neither network nor script, atomically.

    Raises:
        ReportError: a picture is in a format that a page cannot show.
    """
    atomic.write_text(path, render_report(report))


def render_report(report: Report) -> str:
    """The report as HTML. Every string in it is escaped: names of images come from strangers."""
    shown = shown_cases(report)
    return _template().render(report=report, shown=shown, left_out=len(report.cases) - len(shown))


def shown_cases(report: Report) -> tuple[PictureCase, ...]:
    """The cases whose pictures the page shows, worst first: as many as were asked for and as fit in the file."""
    ranked = sorted(report.cases, key=lambda case: (case.rank, case.image_id))
    shown, room = [], _PICTURE_BYTES
    for case in ranked[: report.most_pictures]:
        room -= len(case.picture)
        if room < 0:
            break
        shown.append(case)
    return tuple(shown)


def data_uri(image: bytes) -> str:
    """An SVG, PNG or JPEG as a `data:` address.

    Raises:
        ReportError: the image is in another format.
    """
    for start, kind in _KINDS:
        if image.startswith(start):
            return f"data:{kind};base64,{base64.b64encode(image).decode('ascii')}"
    msg = f"A picture for the report starts with {image[:8]!r}; give it as SVG, PNG or JPEG."
    raise ReportError(msg)


def two_decimals(value: float | None) -> str:
    """The value as the page shows scores: two decimals, a dash for none."""
    return "–" if value is None else f"{value:.2f}"


def is_number(text: str) -> bool:
    """Whether a table cell belongs to the right: a number, perhaps with a sign, a unit or an interval."""
    return text[:1].isdigit() or (text[:1] in "+-−±<" and text[1:2].isdigit()) or text in ("", "–")


def count_verdicts(cases: Sequence[PictureCase]) -> dict[str, int]:
    """How many cases have which verdict, in the order the page names them; those that do not occur are left out."""
    found = [case.verdict or "nothing found" for case in cases]
    names = ("accept", "review", "reject", "nothing found")
    return {name: found.count(name) for name in names if name in found}


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(data_uri=data_uri, two_decimals=two_decimals, count_verdicts=count_verdicts)
    environment.tests["number"] = is_number
    return environment.get_template("report.html")
