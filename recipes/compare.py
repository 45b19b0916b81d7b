"""Compares two evaluations problem by problem: `python -m recipes.evaluate compare A B`.

A and B are folders of `recipes.evaluate`, or files of their rows, with the same problems: the gain
with its paired 95 % interval, McNemar's exact test (first samples), and every problem that flipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from recipes.command import CommandLine
from recipes.report import Result, by_problem, results
from start_sdk import ConfigError, StartError
from start_sdk.batch import read_rows
from start_sdk.cli import Terminal
from start_sdk.grading.statistics import avg_at_k, mcnemar, paired_difference

Problems = dict[str, list[Result]]


def read(path: Path) -> Problems:
    """The samples of an evaluation, by problem.

    Raises:
        ConfigError: no rows are there, or they are not an evaluation's.
    """
    try:
        found = by_problem(results(read_rows(path)))
    except ConfigError as error:
        raise ConfigError(f"{path} does not contain rows of an evaluation: {error}") from error
    if not found:
        raise ConfigError(f"{path} contains no rows")
    return found


def paired(first: Problems, second: Problems) -> list[str]:
    """The problems that both have.

    Raises:
        ConfigError: there are none.
    """
    both = [problem for problem in first if problem in second]
    if not both:
        raise ConfigError("the two evaluations share no problems: use the same suite and seed")
    return both


def table(first: Problems, second: Problems) -> Table:
    """The gain by family and in all."""
    shown = Table(title="pass@1 in percent; gain in points, with its paired 95 % interval")
    for name in ("family", "problems", "A", "B", "gain", "A alone", "B alone", "McNemar p"):
        shown.add_column(name, justify="left" if name == "family" else "right")
    both = paired(first, second)
    families = sorted({first[p][0].family for p in both} - {""})
    for family in [*families, "all"]:
        some = [p for p in both if family in (first[p][0].family, "all")]
        a, b = ([avg_at_k([s.correct for s in side[p]]) for p in some] for side in (first, second))
        gain = paired_difference(a, b, clusters=[first[p][0].asked for p in some])
        test = mcnemar(*([side[p][0].correct for p in some] for side in (first, second)))
        shown.add_row(
            family,
            str(len({first[p][0].asked for p in some})),
            f"{100 * sum(a) / len(a):.1f}",
            f"{100 * sum(b) / len(b):.1f}",
            f"{100 * gain.value:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]",
            str(test.only_first),
            str(test.only_second),
            f"{test.p_value:.3g}",
        )
    return shown


def flips(first: Problems, second: Problems) -> list[str]:
    """A line for each problem whose first sample is right on one side alone."""
    lines = []
    for problem in paired(first, second):
        a, b = first[problem][0], second[problem][0]
        if a.correct != b.correct:
            what = "wrong -> right" if b.correct else "right -> wrong"
            question = " ".join(a.question.split())[:100]
            lines.append(f"{what}  {a.answer!r} -> {b.answer!r}  {question}")
    return sorted(lines)


def main(arguments: Sequence[str]) -> int:
    """The comparison, on standard output; 2 for bad input."""
    parser = CommandLine(prog="python -m recipes.evaluate compare")
    parser.add_argument("first", type=Path, metavar="A", help="folder of an evaluation")
    parser.add_argument("second", type=Path, metavar="B", help="another, of the same problems")
    args = parser.parse_args(arguments)
    console = Terminal()
    try:
        first, second = read(args.first), read(args.second)
        left_out = len(first) + len(second) - 2 * len(paired(first, second))
        console.print(table(first, second))
    except StartError as error:
        parser.exit(2, f"error: {error}\n")
    if left_out:
        console.print(f"{left_out} problems are in only one evaluation and were left out")
    for line in flips(first, second):
        console.show(line)
    return 0
