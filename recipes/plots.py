"""Pictures of measurements with their intervals, without a display."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from start_sdk.batch.scoring import Score

COLOURS = ("#2f5d7c", "#d08c4a", "#7aa6c2", "#4f9d69", "#c8553d")


def figure(width: float, height: float) -> Any:
    """An empty figure."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(made: Any, path: Path) -> None:
    """As PNG; equal figures give equal bytes."""
    made.savefig(path, metadata={"Software": None})


def bars(axes: Any, found: Mapping[str, Mapping[str, Score | None]]) -> None:
    """Horizontal bars in percent: a line for each name, in it a bar for each kind of score."""
    kinds = list(dict.fromkeys(kind for scores in found.values() for kind in scores))
    height = 0.8 / len(kinds)
    for number, kind in enumerate(kinds):
        shift = (number - (len(kinds) - 1) / 2) * height
        some = {i + shift: score for i, of in enumerate(found.values()) if (score := of.get(kind))}
        axes.barh(
            list(some),
            [score["value"] for score in some.values()],
            height=height,
            xerr=errors(some.values()),
            color=COLOURS[number],
            label=kind,
            error_kw={"elinewidth": 0.8},
        )
    axes.set_yticks(range(len(found)), found, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    if len(kinds) > 1:
        axes.legend(fontsize=7)


def curve(axes: Any, across: Sequence[float], scores: Sequence[Score], label: str) -> None:
    """Percent right against rounds or tokens."""
    values = [score["value"] for score in scores]
    axes.errorbar(across, values, yerr=errors(scores), marker="o", capsize=3, label=label)
    axes.set_ylim(0, 100)


def errors(scores: Collection[Score]) -> list[list[float]]:
    """Distances from the values to the ends of their intervals."""
    below = [score["value"] - score["low"] for score in scores]
    return [below, [score["high"] - score["value"] for score in scores]]
