"""The report: everything inside one file, nothing of it executable, the worst cases first."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from autoweak.experiments.pictures import CaseLayers, draw_case
from autoweak.experiments.plots import dice_plot
from autoweak.experiments.report import (
    KeyFigure,
    NextStep,
    PictureCase,
    Plot,
    Problem,
    Report,
    ReportError,
    Table,
    data_uri,
    is_number,
    render_report,
    shown_cases,
    write_report,
)

PICTURE = draw_case(CaseLayers(view=np.zeros((1, 8, 8, 1), np.uint8)), long_side=16)
EVIL = "<script>alert('1')</script>\"' onerror=x &amp;"


class Page(HTMLParser):
    """Tags, attributes and text of a page, as a browser would find them."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def full(text: str = "plain") -> Report:
    return Report(
        title=text,
        subtitle=text,
        summary=(text,),
        key_figures=(KeyFigure(text, text, text),),
        tables=(Table(text, (text, text), ((text, "0.5"),), text),),
        plots=(Plot(text, dice_plot({text: [0.5]}), text),),
        cases=(PictureCase(text, PICTURE, text, 0.4, text, 0.3), PictureCase("empty", PICTURE)),
        problems=(Problem(text, text),),
        next_steps=(NextStep(text, text),),
        provenance=((text, text),),
    )


def test_strings_from_strangers_stay_text() -> None:
    page = Page(render_report(full(EVIL)))
    assert "script" not in [tag for tag, _ in page.tags]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in Page(render_report(full())).tags]
    assert sum(part.strip() == EVIL for part in page.text) >= 14
    assert EVIL in [attributes.get("alt") for tag, attributes in page.tags if tag == "img"]


def test_nothing_is_loaded_from_elsewhere() -> None:
    content = render_report(full())
    page = Page(content)
    sources = [attributes["src"] for _, attributes in page.tags if "src" in attributes]
    assert len(sources) == 3
    assert all(str(source).startswith("data:image/") for source in sources)
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe", "object")]
    assert not re.search(r"url\(|@import|https?://", content)
    assert "default-src 'none'" in content


def test_pictures_come_through_byte_for_byte() -> None:
    page = Page(render_report(Report(title="t", cases=(PictureCase("a", PICTURE),))))
    source = next(str(attributes["src"]) for tag, attributes in page.tags if tag == "img")
    assert source.startswith("data:image/png;base64,")
    assert base64.b64decode(source.split(",", 1)[1]) == PICTURE


def test_worst_first_with_nothing_found_before_all_and_measured_dice_before_quality() -> None:
    cases = (
        PictureCase("good", PICTURE, quality=0.9, verdict="accept"),
        PictureCase("wrongly sure", PICTURE, quality=0.95, verdict="accept", dice=0.1),
        PictureCase("poor", PICTURE, quality=0.2, verdict="reject"),
        PictureCase("nothing", PICTURE),
    )
    order = [case.image_id for case in shown_cases(Report(title="t", cases=cases))]
    assert order == ["nothing", "wrongly sure", "poor", "good"]
    content = render_report(Report(title="t", cases=cases))
    assert [content.index(f"<h3>{name}</h3>") for name in order] == sorted(
        content.index(f"<h3>{n}</h3>") for n in order
    )


def test_the_page_says_how_many_cases_it_does_not_show() -> None:
    cases = tuple(PictureCase(f"i{k}", PICTURE, quality=k / 10, verdict="review") for k in range(10))
    report = Report(title="t", cases=cases, most_pictures=4)
    content = render_report(report)
    assert [case.image_id for case in shown_cases(report)] == ["i0", "i1", "i2", "i3"]
    assert "4 of 10 images are shown; the 6 best are not." in content
    assert "10 review" in content
    assert "are shown" not in render_report(replace(report, most_pictures=10))


def test_a_page_of_large_pictures_stays_below_15_megabytes() -> None:
    heavy = PICTURE + bytes(400_000)
    cases = tuple(PictureCase(f"i{k}", heavy, quality=k / 200, verdict="review") for k in range(125))
    report = Report(title="t", cases=cases, most_pictures=125)
    assert len(render_report(report)) < 15_000_000
    assert 0 < len(shown_cases(report)) < 125


def test_a_report_of_a_title_alone_has_no_empty_sections(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.html"
    write_report(path, Report(title="Only this"))
    page = Page(path.read_text(encoding="utf-8"))
    assert not [tag for tag, _ in page.tags if tag in ("h2", "section", "footer", "table")]
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_a_report_that_cannot_be_made_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, Report(title="old"))
    before = path.read_bytes()
    with pytest.raises(ReportError, match="SVG, PNG or JPEG"):
        write_report(path, Report(title="new", plots=(Plot("p", b"GIF89a"),)))
    assert path.read_bytes() == before


def test_a_table_row_that_does_not_fit_its_header_is_refused() -> None:
    with pytest.raises(ReportError, match="2 cells under 1 headings"):
        Table("c", ("one",), (("1", "2"),))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.5", True), ("+0.054", True), ("−0.02", True), ("<0.001", True), ("–", True), ("25 %", True), ("", True),
     ("gold", False), ("+ weak", False), ("-", False)],
)  # fmt: skip
def test_numbers_are_told_from_words(text: str, expected: bool) -> None:
    assert is_number(text) is expected


def test_jpeg_is_named_as_such() -> None:
    assert data_uri(b"\xff\xd8\xff\xe0rest").startswith("data:image/jpeg;base64,")
