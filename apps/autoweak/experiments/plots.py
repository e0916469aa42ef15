"""The report's plots, as SVG with a clear background and dark ink."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autoweak.errors import AutoweakError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from autoweak.experiments.metrics import Summary

_SMALL = (5.4, 3.3)  # inches; as SVG a matter of proportion
_BINS = 20
# Okabe and Ito again: green, orange and vermillion also differ in lightness.
_VERDICT_COLOURS = {"accept": "#009E73", "review": "#E69F00", "reject": "#D55E00"}
_OTHER_COLOUR = "#7F8894"
_CYCLE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8A7A00")
_LINES = ("-", "--", ":")
_INK, _GRID = "#2B3038", "#D5D9DF"


class PlotError(AutoweakError):
    """Values that cannot be drawn together."""


def quality_histogram(values: Sequence[float], verdicts: Sequence[str]) -> bytes:
    """How many weak labels have which quality, stacked by verdict; SVG.

    Args:
        values: quality of each weak label, 0..1.
        verdicts: its verdict; "accept", "review" or "reject" have colours of their own.

    Raises:
        PlotError: there is not one verdict for each value.
    """
    from matplotlib.ticker import MaxNLocator

    _same_length("verdicts", verdicts, "qualities", values)
    named = [str(getattr(verdict, "value", verdict)) for verdict in verdicts]
    figure, axes = _figure(x="quality (expected Dice)", y="weak labels")
    edges = np.linspace(0, 1, _BINS + 1)
    base = np.zeros(_BINS)
    for verdict in _in_order(named):
        chosen = [value for value, name in zip(values, named, strict=True) if name == verdict]
        counts, _ = np.histogram(np.clip(chosen, 0, 1), edges)
        style: dict[str, Any] = {
            "color": _VERDICT_COLOURS.get(verdict, _OTHER_COLOUR),
            "label": f"{verdict} ({len(chosen)})",
        }
        axes.bar(edges[:-1], counts, width=0.9 / _BINS, align="edge", bottom=base, **style)
        base += counts
    axes.set_xlim(0, 1)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(axes)
    return _svg(figure)


def learning_curves(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> bytes:
    """Dice on the held-out gold labels as training goes on, one line a fold; SVG.

    Args:
        histories: name of the fold or model to its history, one mapping an epoch with `epoch` and, where the
            held-out gold was scored, `dice`; as `FoldResult.history` keeps them.
    """
    figure, axes = _figure(x="epoch", y="Dice on held-out gold")
    for (name, history), colour in zip(histories.items(), _repeat(_CYCLE, len(histories)), strict=True):
        scored = [(entry["epoch"], entry["dice"]) for entry in history if "dice" in entry]
        if not scored:
            continue
        epochs, dice = zip(*scored, strict=True)
        axes.plot(epochs, dice, color=colour, label=_plain(name), linewidth=1.6, marker=".", markersize=4)
        best = int(np.argmax(dice))
        axes.plot(epochs[best], dice[best], "o", color=colour, markersize=7, markeredgecolor="white")
    axes.set_ylim(0, 1)
    _legend(axes)
    return _svg(figure)


def calibration_plot(expected: Sequence[float], measured: Sequence[float]) -> bytes:
    """Quality (expected Dice) against the Dice measured on gold labels, with the line where both agree; SVG.

    Args:
        expected: quality of each weak label whose truth is known, 0..1.
        measured: its Dice, 0..1.

    Raises:
        PlotError: there is not one measured value for each expected one.
    """
    _same_length("measured values", measured, "expected ones", expected)
    figure, axes = _figure(x="quality (expected Dice)", y="measured Dice", size=(3.9, 3.6))
    axes.plot((0, 1), (0, 1), color=_OTHER_COLOUR, linewidth=1, linestyle="--")
    axes.scatter(expected, measured, s=26, color=_CYCLE[0], alpha=0.75, edgecolors="white", linewidths=0.6)
    if len(expected):
        error = float(np.mean(np.abs(np.subtract(expected, measured))))
        axes.text(0.03, 0.95, f"mean error {error:.2f}, n = {len(expected)}", color=_INK, fontsize=9)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    return _svg(figure)


def dice_plot(arms: Mapping[str, Sequence[float]]) -> bytes:
    """Dice of every image, one row an arm, with quartiles and the mean; SVG.

    Args:
        arms: name of the arm to the Dice of each image, 0..1.
    """
    figure, axes = _figure(x="Dice", size=(_SMALL[0], max(_SMALL[1] - 0.3, 0.9 + 0.42 * len(arms))))
    rng = np.random.default_rng(0)
    labels = []
    for place, ((name, values), (colour, _)) in enumerate(zip(arms.items(), _styles(len(arms)), strict=True)):
        labels.append(f"{_plain(name)}\nmean {np.mean(values):.3f}" if len(values) else f"{_plain(name)}\nno images")
        if len(values):
            _draw_arm(axes, place, np.asarray(values, np.float64), colour, rng)
    axes.set_yticks(range(len(arms)), labels)
    axes.set_ylim(len(arms) - 0.4, -0.6)  # the first one on top
    axes.set_xlim(-0.02, 1.02)
    return _svg(figure)


def count_curves(
    curves: Mapping[str, Sequence[tuple[int, Summary]]], *, x: str, order: Sequence[str] | None = None
) -> bytes:
    """Mean Dice with its confidence interval over a number of labels, one line an arm; SVG.

    Args:
        curves: name of the arm to (number of labels, summary of the Dice), in ascending order.
        x: what is counted.
        order: all arms of a report, so that each has one colour in all of its plots; None takes those of `curves`.
    """
    figure, axes = _figure(x=x, y="Dice", size=(6.6, 4.6))
    every = sorted({count for points in curves.values() for count, _ in points})
    # Side by side, so that intervals which overlap can be told apart.
    step = 0.012 * (every[-1] - every[0] or 1) if every else 0.0
    names = list(curves if order is None else order)
    styles = dict(zip(names, _styles(len(names)), strict=True))
    for place, (name, points) in enumerate(curves.items()):
        colour, line = styles[name]
        aside = step * (place - (len(curves) - 1) / 2)
        means = np.array([one.mean for _, one in points])
        reach = np.abs([[one.low for _, one in points], [one.high for _, one in points]] - means)
        style: dict[str, Any] = {"color": colour, "linestyle": line, "label": _plain(name)}
        axes.errorbar(
            [count + aside for count, _ in points],
            means,
            yerr=reach,
            marker="o",
            markersize=4,
            linewidth=1.5,
            elinewidth=0.8,
            capsize=2,
            **style,
        )
    axes.set_xticks(every)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9, labelcolor=_INK)
    return _svg(figure)


def _draw_arm(axes: Axes, place: int, values: Any, colour: str, rng: np.random.Generator) -> None:
    """Every value as a dot; a box over the quartiles, whiskers as far as values within 1.5 of its length, the mean."""
    spread = rng.uniform(-0.16, 0.16, values.size)
    axes.scatter(values, place + spread, s=14, color=colour, alpha=0.5, edgecolors="none")
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    near = values[(values >= low - 1.5 * (high - low)) & (values <= high + 1.5 * (high - low))]
    line: dict[str, Any] = {"color": _INK, "linewidth": 1.1}
    axes.plot((low, high, high, low, low), place + np.array((-0.25, -0.25, 0.25, 0.25, -0.25)), **line)
    axes.plot((middle, middle), (place - 0.25, place + 0.25), **line)
    axes.plot((near.min(), low), (place, place), **line)
    axes.plot((high, near.max()), (place, place), **line)
    axes.plot(values.mean(), place, "D", color=_INK, markersize=5)


def _figure(*, x: str = "", y: str = "", size: tuple[float, float] = _SMALL) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure  # not pyplot: no global list of figures, no display

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x, color=_INK)
    axes.set_ylabel(y, color=_INK)
    axes.tick_params(colors=_INK, labelsize=9)
    axes.grid(visible=True, axis="both" if x else "y", color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_GRID)
    return figure, axes


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9, labelcolor=_INK)


def _svg(figure: Figure) -> bytes:
    import matplotlib

    stream = io.BytesIO()
    # A salt of our own and no date: the same values give the same bytes.
    with matplotlib.rc_context({"svg.hashsalt": "autoweak"}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def _same_length(name: str, values: Sequence[Any], other_name: str, others: Sequence[Any]) -> None:
    if len(values) != len(others):
        msg = f"There are {len(values)} {name} for {len(others)} {other_name}; give one of each for every image."
        raise PlotError(msg)


def _in_order(verdicts: Sequence[str]) -> list[str]:
    """The verdicts that occur, best first, others after them by name."""
    known = list(_VERDICT_COLOURS)
    return sorted(set(verdicts), key=lambda name: (known.index(name) if name in known else len(known), name))


def _repeat(colours: Sequence[str], count: int) -> list[str]:
    return [colours[index % len(colours)] for index in range(count)]


def _styles(count: int) -> list[tuple[str, str]]:
    """A colour and a line style for each of many lines; colours repeat with another style."""
    return [(_CYCLE[index % len(_CYCLE)], _LINES[index // len(_CYCLE) % len(_LINES)]) for index in range(count)]


def _plain(name: str) -> str:
    """The name as matplotlib draws it unread: a dollar sign would start a formula, a leading _ hide the line."""
    return name.replace("$", r"\$").lstrip("_")
