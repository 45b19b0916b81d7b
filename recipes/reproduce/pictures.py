"""Plots a run: correct answers by system, rounds of hints, calls against difficulty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

GROUP_COLOURS = ("#2f5d7c", "#d08c4a", "#7aa6c2")


def picture(found: dict[str, Any], path: Path) -> None:
    """Draws the three panels into a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    bars, rounds, calls = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
    _bars(bars, found)
    _rounds(rounds, found)
    _calls(calls, found)
    figure.savefig(path, metadata={"Software": None})


def _bars(axes: Any, found: dict[str, Any]) -> None:
    """Percent right of every system, in each group of families."""
    groups, systems = list(found["groups"]), list(found["systems"])
    height = 0.8 / len(groups)
    for number, group in enumerate(groups):
        scores = [found["systems"][name]["groups"][group]["pass@1"] for name in systems]
        at = [i + (number - (len(groups) - 1) / 2) * height for i in range(len(systems))]
        axes.barh(
            at,
            [score["value"] for score in scores],
            height=height,
            xerr=_errors(scores),
            color=GROUP_COLOURS[number],
            label=group,
            error_kw={"elinewidth": 0.8},
        )
    axes.set_yticks(range(len(systems)), systems, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("percent right, 95 % intervals")
    axes.legend(fontsize=7)


def _rounds(axes: Any, found: dict[str, Any]) -> None:
    """Percent right against rounds of hints (START, figure 5)."""
    for name, points in found["rounds"].items():
        scores = [point["correct"] for point in points]
        axes.errorbar(
            [point["round"] for point in points],
            [score["value"] for score in scores],
            yerr=_errors(scores),
            marker="o",
            capsize=3,
            label=name,
        )
    axes.set_ylim(0, 100)
    axes.set_xlabel("rounds of hints")
    axes.set_ylabel("percent right")
    if found["rounds"]:
        axes.legend(fontsize=8)


def _calls(axes: Any, found: dict[str, Any]) -> None:
    """START's calls in each family, the hardest for the base model on top."""
    base, start = (found["systems"][name]["families"] for name in ("base", "START"))
    names = sorted(base, key=lambda name: (base[name]["pass@1"]["value"], name))
    labels = [f"{name}, {base[name]['pass@1']['value']:.0f} %" for name in names]
    axes.barh(labels, [start[n]["calls per problem"] for n in names], color=GROUP_COLOURS[0])
    axes.tick_params(axis="y", labelsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("START's calls (base: percent right)")


def _errors(scores: list[dict[str, float]]) -> list[list[float]]:
    return [
        [score["value"] - score["low"] for score in scores],
        [score["high"] - score["value"] for score in scores],
    ]
