"""Checks the grader on gold answers: `python -m recipes.check_grader [FILE.jsonl ...]`.

The files contain one problem per line, with the columns `id`, `problem` and `answer`; without
files, answers of our own are used (`own.py`). The grader must accept each answer as rewritten by
every rule of `rewritings.py`, `notations.py` and `wrappings.py` that applies to it, and must reject
its wrong neighbours (`neighbours.py`), and those of big numbers (`--big N`, `big.py`). Prints a
table and every miss; exits with 1 if less than 99.5 % of the rewritings were accepted, less than
99.9 % of the neighbours refused, or a wrong big number accepted.

Rules and problems are in one of two halves, by a hash of their names. A rule or a problem of the
sealed half is not looked at while the grader is changed (`--half open` leaves both out), so that
its figures (`--half sealed`) say how the grader does on what nobody has tuned it on.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.table import Table

from recipes.check_grader.big import right_big_numbers, wrong_big_numbers
from recipes.check_grader.neighbours import NEIGHBOURS
from recipes.check_grader.notations import NOTATIONS
from recipes.check_grader.own import ANSWERS
from recipes.check_grader.rewritings import REWRITINGS
from recipes.check_grader.wrappings import WRAPPINGS
from recipes.check_grader.writing import Rule
from start_sdk import ConfigError
from start_sdk.batch import read_json_lines
from start_sdk.cli import Terminal
from start_sdk.grading import Verdict, grade_all

Half = Literal["open", "sealed", "both"]
ACCEPTED, REFUSED = 0.995, 0.999
RULES: tuple[tuple[str, dict[str, Rule], bool], ...] = (
    ("accepted", {**REWRITINGS, **NOTATIONS, **WRAPPINGS}, True),
    ("refused", NEIGHBOURS, False),
)


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
    for number, row in read_json_lines(path):
        try:
            yield Problem(str(row["id"]), str(row["problem"]), str(row["answer"]))
        except KeyError as error:
            message = f"{path}, line {number}: the columns id, problem and answer are required"
            raise ConfigError(message) from error


def is_sealed(name: str) -> bool:
    """Whether a rule or a problem, by its name or id, is in the sealed half."""
    return hashlib.blake2b(name.encode(), digest_size=1).digest()[0] % 2 == 1


def cases(problems: Iterable[Problem], half: Half = "both") -> Iterator[Case]:
    """Every variant of every answer, each text once per rule."""
    for problem in problems:
        for _, rules, accept in RULES:
            for name, rule in rules.items():
                sealed = is_sealed(problem.id) or is_sealed(name)
                if half != "both" and sealed != (half == "sealed"):
                    continue
                for variant in dict.fromkeys(rule(problem.answer, problem.text)):
                    if variant != problem.answer:
                        yield Case(name, problem, variant, accept)


def correct(case: Case, verdict: Verdict) -> bool:
    return verdict.correct == case.accept


def table(title: str, rules: Iterable[str], graded: Sequence[tuple[Case, Verdict]]) -> Table:
    """A row per rule: cases, those graded right, their share."""
    found = Table("rule", "tried", title, "%", box=None)
    for name in (*rules, "all"):
        results = [correct(c, v) for c, v in graded if name in (c.rule, "all")]
        if results:
            share = f"{100 * sum(results) / len(results):.2f}"
            found.add_row(name, str(len(results)), str(sum(results)), share)
    for column in found.columns[1:]:
        column.justify = "right"
    return found


def main(files: Sequence[Path], *, half: Half = "both", big: int = 0, seed: int = 0) -> int:
    """Grades all variants of the answers in the files and prints what came out.

    Args:
        files: JSONL files of problems; without any, our own answers.
        half: which rules and problems.
        big: how many wrong neighbours of big numbers to try, and as many other forms of them.
        seed: of the big numbers.

    Returns:
        The exit code: 0 if enough rewritings were accepted and neighbours refused, else 1.

    Raises:
        ConfigError: a file that cannot be read, or holds no problem.
        MissingExtra: math-verify is not installed.
    """
    console = Terminal(soft_wrap=True)
    problems = [problem for path in files for problem in read(path)]
    if not files:
        problems = [Problem(f"own-{a}", "What?", a) for a in ANSWERS]
    if not problems:
        raise ConfigError("the files contain no problems")
    tried = [*cases(problems, half), *_big(big, seed)]
    began = time.monotonic()
    verdicts = grade_all((case.variant, case.problem.answer) for case in tried)
    wall = time.monotonic() - began
    graded = list(zip(tried, verdicts, strict=True))
    ok = True
    for title, rules, accept in RULES:
        part = [(c, v) for c, v in graded if c.accept == accept]
        console.print(table(title, (*rules, BIG), part))
        for case, v in part:
            if not correct(case, v):
                line = f"  miss: {case.problem.id}, {case.rule}: {case.variant!r}"
                console.show(f"{line} for {case.problem.answer!r}: {v.how} {v.note}")
        ok &= sum(correct(c, v) for c, v in part) >= (ACCEPTED if accept else REFUSED) * len(part)
        ok &= accept or all(correct(c, v) for c, v in part if c.rule == BIG)
    killed = sum("took" in v.note for v in verdicts)
    spent = os.times()
    cpu = spent.user + spent.system + spent.children_user + spent.children_system
    console.print(
        f"{len(problems)} answers, {len(tried)} variants, {killed} workers killed, "
        f"{wall:.0f} s, {cpu:.0f} s of processor time"
    )
    return 0 if ok else 1


BIG = "big numbers"


def _big(n: int, seed: int) -> Iterator[Case]:
    for pairs, accept in ((wrong_big_numbers, False), (right_big_numbers, True)):
        for i, (variant, gold) in enumerate(pairs(n, seed)):
            yield Case(BIG, Problem(f"big-{i}", "", gold), variant, accept)
