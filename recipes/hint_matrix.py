"""How each hint at each position changes correct and wrong answers: the rescue/break matrix.

    python -m recipes.hint_matrix --n 20 --seed 1 --out runs/matrix

The model solves every problem once without a hint. Then each hint is inserted into that trace:
after a connective drawn by the seed, after the last "wait", and where the thought ends. For
comparison, the problem is also asked with a request for Python in its prompt. Decoding is greedy,
so any difference is caused by the hint. A hint rescues some of the wrong answers and breaks some of
the correct ones (33.0 % and 10.4 % for the paper's models: START, EMNLP version, table 5).

This is `recipes.evaluate --staged` with these policies and a picture: the output folder contains
every trace (rows.sqlite) and the matrix (matrix.md, matrix.json, matrix.png). `--ids` chooses
other hints, `--library` another file of them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recipes import plots
from recipes.command import out_of, program
from recipes.compare import Arm, arms, markdown
from recipes.evaluate import command, evaluate, named
from recipes.markup import heading
from recipes.report import write
from recipes.settings import RolloutConfig
from start_sdk import ConfigError, HintLibrary
from start_sdk.batch.scoring import grouped, results
from start_sdk.cli import say

PLACES = {"connective": "connective", "last-wait": "connective", "end": "end"}
"""Where hints are inserted, and the position that a hint has to be for."""
WISHES = ("prompt:direct", "prompt:designed", "prompt:few-shot")
PAPER = {"rescued": 33.0, "broken": 10.4}
"""START, EMNLP version, table 5, in percent: of other models, measured by its authors."""


def policies(ids: Sequence[str], path: Path | None) -> tuple[str, ...]:
    """The policies of a matrix: without ids the paper's six hints for math, or all of another
    library.

    Raises:
        ConfigError: a hint is unknown, or can be inserted at none of the places.
    """
    library = HintLibrary.load(path)
    hints = [library.get(i) for i in ids] or [*(library if path else library.select(domain="math"))]
    for hint in hints:
        if hint.fields or not {*PLACES.values()} & {*hint.positions}:
            raise ConfigError(f"hint {hint.id!r} cannot be inserted at a connective or at the end")
    placed = [
        f"{place}:{hint.id}"
        for place, position in PLACES.items()
        for hint in hints
        if position in hint.positions
    ]
    return ("none", *placed, *WISHES)


def text_of(found: Mapping[str, Arm], title: Mapping[str, Any]) -> str:
    """The matrix as text."""
    return f"""{heading(f"Rescue/break matrix: {title['model']} on {title['suite']}", title)}
Percent with 95 % intervals; gain in points, paired.

{markdown(found.items())}
The paper's, over its own hints, models and problems (START, EMNLP version,
table 5): {PAPER["rescued"]} % rescued, {PAPER["broken"]} % broken.
"""


def picture(found: Mapping[str, Arm]) -> Any:
    """Rescued and broken by policy, with the paper's for comparison."""
    figure = plots.figure(7.5, 1.5 + 0.34 * len(found))
    axes = figure.add_subplot()
    plots.bars(axes, {name: {kind: arm[kind] for kind in PAPER} for name, arm in found.items()})
    for colour, (kind, value) in zip(plots.COLOURS, PAPER.items(), strict=False):
        axes.axvline(value, color=colour, linestyle=":", label=f"{kind}, the paper's models")
    axes.legend(fontsize=7)
    axes.set_xlabel("percent of the wrong (rescued) or right (broken) answers", fontsize=9)
    return figure


def main() -> int:
    """The matrix; 2 for bad input, 130 for Ctrl-C."""
    parser = command("recipes.hint_matrix", __doc__, suite="tiny", families="math")
    about = "ids of hints (default: the paper's six for math)"
    parser.add_argument("--ids", nargs="*", default=[], metavar="HINT", help=about)
    options = parser.parse_args()

    def body() -> None:
        config, problems, title = named(options)
        folder, part = out_of(options), RolloutConfig(hints=policies(options.ids, config.library))
        samples = results(evaluate(config, folder, problems, part, staged=True))
        # Where a thought has no such place, the hint was not tried.
        found = arms(grouped((s for s in samples if s.how != "failed"), "policy"), "none")
        text = text_of(found, title)
        write({**title, "paper": PAPER, "arms": found}, text, folder, "matrix", picture(found))
        say(text)

    return program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
