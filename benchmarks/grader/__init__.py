"""How often the grader accepts right answers in other notations, and refuses wrong neighbours.

    python -m benchmarks.grader [FILE.jsonl ...] [--half open|sealed] [--big N]

The files contain one problem per line, with the columns `id`, `problem` and `answer`; without
files, answers of our own are used (`answers.py`). The grader must accept each answer as rewritten
by every rule of `notations.py` and `wrappings.py` that applies to it, and must reject its wrong
neighbours (`neighbours.py`), and those of big numbers (`--big N`). Prints a table and every miss;
exits with 1 if less than 99.5 % of the rewritings were accepted, less than 99.9 % of the neighbours
refused, or a wrong big number accepted.

Rules and problems are in one of two halves, by a hash of their names. A rule or a problem of the
sealed half is not looked at while the grader is changed (`--half open` leaves both out), so that
its figures (`--half sealed`) say how the grader does on what nobody has tuned it on. So a rule
keeps its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from benchmarks.grader.answers import right_big_numbers, wrong_big_numbers
from benchmarks.grader.neighbours import NEIGHBOURS
from benchmarks.grader.notations import NOTATIONS
from benchmarks.grader.wrappings import WRAPPINGS

Half = Literal["open", "sealed", "both"]
BIG = "big numbers"
RULES = {True: {**NOTATIONS, **WRAPPINGS}, False: NEIGHBOURS}
"""By whether the grader has to accept what they give."""


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


def is_sealed(name: str) -> bool:
    """Whether a rule or a problem, by its name or id, is in the sealed half."""
    return hashlib.blake2b(name.encode(), digest_size=1).digest()[0] % 2 == 1


def cases(problems: Iterable[Problem], half: Half = "both") -> Iterator[Case]:
    """Every variant of every answer, each text once per rule."""
    rules = [(accept, name, rule) for accept, some in RULES.items() for name, rule in some.items()]
    for problem in problems:
        for accept, name, rule in rules:
            sealed = is_sealed(problem.id) or is_sealed(name)
            if half == "both" or sealed == (half == "sealed"):
                for variant in dict.fromkeys(rule(problem.answer, problem.text)):
                    if variant != problem.answer:
                        yield Case(name, problem, variant, accept)


def big_cases(n: int) -> Iterator[Case]:
    """`n` wrong neighbours of big numbers, and as many other forms of them."""
    for pairs, accept in ((wrong_big_numbers, False), (right_big_numbers, True)):
        for i, (variant, gold) in enumerate(pairs(n, seed=0)):
            yield Case(BIG, Problem(f"big-{i}", "", gold), variant, accept)
