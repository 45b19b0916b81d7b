"""Checks the grader on gold answers: `python -m recipes.check_grader FILE.jsonl ...`.

The files contain one problem per line, with the columns `id`, `problem` and `answer`. The grader
must accept each answer as rewritten by every rule of `rewritings.py` that applies to it, and must
reject its wrong neighbours (`neighbours.py`). Prints a table and every miss; exits with 1 if less
than 99 % of either were graded correctly.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from recipes.check_grader.neighbours import NEIGHBOURS
from recipes.check_grader.rewritings import REWRITINGS
from recipes.check_grader.writing import Rule
from start_sdk import ConfigError
from start_sdk.cli import Terminal
from start_sdk.grading import Verdict, grade_all

TARGET = 0.99


@dataclass(frozen=True)
class Problem:
    """A line of a file."""

    id: str
    text: str
    answer: str


@dataclass(frozen=True)
class Case:
    """One variant of one answer; the grader has to accept it, or to refuse it."""

    rule: str
    problem: Problem
    variant: str
    accept: bool


def read(path: Path) -> Iterator[Problem]:
    """The problems of a JSONL file.

    Raises:
        ConfigError: the file cannot be read, or a line is not such a problem.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            yield Problem(str(row["id"]), str(row["problem"]), str(row["answer"]))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            message = f"{path}, line {number}: the columns id, problem and answer are required"
            raise ConfigError(message) from error


def cases(problems: Iterable[Problem]) -> Iterator[Case]:
    """Every variant of every answer, each text once per rule."""
    for problem in problems:
        for rules, accept in ((REWRITINGS, True), (NEIGHBOURS, False)):
            for name, rule in rules.items():
                for variant in dict.fromkeys(rule(problem.answer, problem.text)):
                    if variant != problem.answer:
                        yield Case(name, problem, variant, accept)


def correct(case: Case, verdict: Verdict) -> bool:
    return verdict.correct == case.accept


def table(title: str, rules: dict[str, Rule], graded: Sequence[tuple[Case, Verdict]]) -> Table:
    """A row per rule: cases, those graded right, their share."""
    found = Table("rule", "tried", title, "%", box=None)
    for name in (*rules, "all"):
        results = [correct(c, v) for c, v in graded if name in (c.rule, "all")]
        share = f"{100 * sum(results) / len(results):.1f}" if results else ""
        found.add_row(name, str(len(results)), str(sum(results)), share)
    for column in found.columns[1:]:
        column.justify = "right"
    return found


def main(files: Sequence[Path]) -> int:
    """Grades all variants of the answers in the files and prints what came out.

    Returns:
        The exit code: 0 if at least 99 % of the rewritings were accepted and 99 % of the
        neighbours refused, else 1.

    Raises:
        ConfigError: a file that cannot be read, or holds no problem.
        MissingExtra: math-verify is not installed.
    """
    console = Terminal(soft_wrap=True)
    problems = [problem for path in files for problem in read(path)]
    if not problems:
        raise ConfigError("the files contain no problems")
    tried = list(cases(problems))
    began = time.monotonic()
    verdicts = grade_all((case.variant, case.problem.answer) for case in tried)
    wall = time.monotonic() - began
    spent = os.times()
    graded = list(zip(tried, verdicts, strict=True))
    ok = True
    for title, rules, accept in (
        ("accepted", REWRITINGS, True),
        ("refused", NEIGHBOURS, False),
    ):
        part = [(c, v) for c, v in graded if c.accept == accept]
        console.print(table(title, rules, part))
        for case, v in part:
            if not correct(case, v):
                line = f"  miss: {case.problem.id}, {case.rule}: {case.variant!r}"
                console.show(f"{line} for {case.problem.answer!r}: {v.how} {v.note}")
        ok &= sum(correct(c, v) for c, v in part) >= TARGET * len(part)
    killed = sum("took" in v.note for v in verdicts)
    cpu = spent.user + spent.system + spent.children_user + spent.children_system
    console.print(
        f"{len(problems)} answers, {len(tried)} variants, {killed} workers killed, "
        f"{wall:.0f} s, {cpu:.0f} s of processor time"
    )
    return 0 if ok else 1
