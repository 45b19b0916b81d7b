"""Pictures of measurements with their intervals, without a display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COLOURS = ("#2f5d7c", "#d08c4a", "#7aa6c2", "#4f9d69", "#c8553d")
Score = dict[str, float]
"""A value with its interval: `value`, `low`, `high`."""


def figure(width: float, height: float) -> Any:
    """An empty figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def save(made: Any, path: Path) -> None:
    """As PNG; equal figures give equal bytes."""
    made.savefig(path, metadata={"Software": None})


def bars(axes: Any, names: Sequence[str], groups: Mapping[str, Sequence[Score | None]]) -> None:
    """Horizontal bars in percent: a line for each name, in it a bar for each group."""
    height = 0.8 / len(groups)
    for number, (label, scores) in enumerate(groups.items()):
        shift = (number - (len(groups) - 1) / 2) * height
        some = [(i + shift, score) for i, score in enumerate(scores) if score]
        axes.barh(
            [at for at, _ in some],
            [score["value"] for _, score in some],
            height=height,
            xerr=errors([score for _, score in some]),
            color=COLOURS[number],
            label=label,
            error_kw={"elinewidth": 0.8},
        )
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    if len(groups) > 1:
        axes.legend(fontsize=7)


def curve(axes: Any, across: Sequence[float], scores: Sequence[Score], label: str) -> None:
    """Percent right against rounds or tokens."""
    values = [score["value"] for score in scores]
    axes.errorbar(across, values, yerr=errors(scores), marker="o", capsize=3, label=label)
    axes.set_ylim(0, 100)


def errors(scores: Sequence[Score]) -> list[list[float]]:
    """Distances from the values to the ends of their intervals."""
    return [
        [score["value"] - score["low"] for score in scores],
        [score["high"] - score["value"] for score in scores],
    ]
