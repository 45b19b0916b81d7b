"""`python -m benchmarks.grader [FILE.jsonl ...]`: see the package."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.table import Table

from benchmarks.grader import BIG, RULES, Case, Problem, big_cases, cases
from benchmarks.grader.answers import ANSWERS
from recipes.command import CommandLine
from start_sdk import ConfigError, StartError
from start_sdk.batch import read_json_lines
from start_sdk.cli import Terminal
from start_sdk.grading import Verdict, grade_all

SHARES = {True: 0.995, False: 0.999}
"""The least that has to be accepted of the right answers, and refused of the wrong ones."""


def read(path: Path) -> Iterator[Problem]:
    """The problems of a JSONL file.

    Raises:
        ConfigError: the file cannot be read, or a line is not such a problem.
    """
    for number, row in read_json_lines(path):
        try:
            yield Problem(str(row["id"]), str(row["problem"]), str(row["answer"]))
        except KeyError as error:
            message = f"{path}, line {number}: the columns id, problem and answer are required"
            raise ConfigError(message) from error


def correct(case: Case, verdict: Verdict) -> bool:
    return verdict.correct == case.accept


def table(title: str, rules: Iterable[str], graded: Sequence[tuple[Case, Verdict]]) -> Table:
    """A row per rule: cases, those graded right, their share."""
    found = Table("rule", "tried", title, "%", box=None)
    for name in (*rules, BIG, "all"):
        results = [correct(c, v) for c, v in graded if name in (c.rule, "all")]
        if results:
            share = f"{100 * sum(results) / len(results):.2f}"
            found.add_row(name, str(len(results)), str(sum(results)), share)
    for column in found.columns[1:]:
        column.justify = "right"
    return found


def check(tried: Sequence[Case], console: Terminal) -> bool:
    """Grades the cases, shows what came out, and says whether that is enough.

    Raises:
        MissingExtra: math-verify is not installed.
    """
    began, ok = time.monotonic(), True
    graded = list(zip(tried, grade_all((c.variant, c.problem.answer) for c in tried), strict=True))
    for accept, title in ((True, "accepted"), (False, "refused")):
        part = [(c, v) for c, v in graded if c.accept == accept]
        console.print(table(title, RULES[accept], part))
        misses = [(c, v) for c, v in part if not correct(c, v)]
        for c, v in misses:
            line = f"  miss: {c.problem.id}, {c.rule}: {c.variant!r} for {c.problem.answer!r}"
            console.show(f"{line}: {v.how} {v.note}")
        ok &= len(misses) <= (1 - SHARES[accept]) * len(part)
        ok &= accept or all(c.rule != BIG for c, _ in misses)
    console.print(f"{len(tried)} variants, {time.monotonic() - began:.0f} s")
    return ok


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 if enough was accepted and refused, 1 if not, 2 for bad files."""
    parser = CommandLine(prog="python -m benchmarks.grader", description="Checks the grader.")
    add = parser.add_argument
    add("files", nargs="*", type=Path, metavar="FILE.jsonl", help="default: answers of our own")
    add("--half", choices=("open", "sealed", "both"), default="both", help="rules and problems")
    add("--big", type=int, default=0, help="wrong neighbours of big numbers to try")
    options = parser.parse_args(arguments)
    try:
        problems = [problem for path in options.files for problem in read(path)]
        if options.files and not problems:
            raise ConfigError("the files contain no problems")
        problems = problems or [Problem(f"own-{a}", "What?", a) for a in ANSWERS]
        tried = [*cases(problems, options.half), *big_cases(options.big)]
        return 0 if check(tried, Terminal(soft_wrap=True)) else 1
    except StartError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    sys.exit(main())
