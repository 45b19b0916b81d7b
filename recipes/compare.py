"""Compares policies or models problem by problem: what each rescues and breaks.

    python -m recipes.compare runs/tiny-none runs/tiny-end
    python -m recipes.compare runs/policies --against end

Takes folders of `recipes.evaluate` with the same problems, or one folder with several policies, and
compares each with the first, or with `--against`: the gain with its paired 95 % interval, the share
of the wrong answers that become right (rescued) and of the right ones that become wrong (broken),
and McNemar's exact test (first samples). Of two it also lists the families, and every problem that
flipped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from recipes.command import CommandLine, program
from recipes.markup import grid
from start_sdk import ConfigError
from start_sdk.batch import read_rows, scoring
from start_sdk.batch.scoring import Result, Score, Systems, grouped, shared
from start_sdk.cli import Terminal, say
from start_sdk.grading.statistics import mcnemar

Arm = dict[str, Any]
"""How one system did on the problems that it shares with the one it is compared with."""
FORMATS = {"McNemar p": ".2g", "hinted": ".0%", "with calls": ".0%", "calls": ".2f",
           "tokens": ".0f"}  # fmt: skip
"""Of the numbers of an arm, those that are not counts."""


def arm(name: str, before: Sequence[Result], after: Sequence[Result]) -> Arm:
    """Compares the samples of two systems; problems of only one are left out.

    Raises:
        ConfigError: they share no problem.
    """
    sides = shared(before, after)
    if not sides[0]:
        raise ConfigError(f"{name}: no problem in common: use the same suite and seed")
    first = [[problem[0].correct for problem in side] for side in sides]

    def turned(was: bool) -> Score | None:
        """Of the first samples that were right, or wrong, those that became the other."""
        some = [other for one, other in zip(*sides, strict=True) if one[0].correct == was]
        return scoring.mean(some, lambda problem: problem[0].correct != was) if some else None

    samples = [sample for problem in sides[1] for sample in problem]
    return {
        "problems": scoring.distinct(sides[0]),
        "before": scoring.mean(sides[0], scoring.right),
        "after": scoring.mean(sides[1], scoring.right),
        "gain": scoring.gain(*sides),
        "rescued": turned(False),
        "broken": turned(True),
        "McNemar p": mcnemar(*first).p_value,
        "hinted": fmean(s.hints > 0 for s in samples),
        "with calls": scoring.called(samples),
        "calls": fmean(s.calls for s in samples),
        "tokens": fmean(s.sampled for s in samples),
    }


def arms(systems: Systems, against: str) -> dict[str, Arm]:
    """Every other system compared with one.

    Raises:
        ConfigError: there is none of that name, or nothing beside it.
    """
    if against not in systems or len(systems) < 2:
        raise ConfigError(f"compare {against!r} with what? There are: {', '.join(systems)}")
    others = (name for name in systems if name != against)
    return {name: arm(name, systems[against], systems[name]) for name in others}


def markdown(found: Iterable[tuple[str, Arm]]) -> str:
    """The comparison as a table."""
    return grid(
        (name, {**one, **{kind: format(one[kind], form) for kind, form in FORMATS.items()}})
        for name, one in found
    )


def read(paths: Sequence[Path]) -> Systems:
    """The systems of some folders: policies, models, or both."""
    found: Systems = {}
    for path in paths:
        policies = grouped(scoring.results(read_rows(path)), "policy")
        if not policies:
            raise ConfigError(f"{str(path)!r} contains no rows")
        if len(paths) == 1:
            return policies
        name = path.name if [other.name for other in paths].count(path.name) == 1 else str(path)
        for policy, samples in policies.items():
            found[name if len(policies) == 1 else f"{name}: {policy}"] = samples
    return found


def families(before: Sequence[Result], after: Sequence[Result]) -> dict[str, Arm]:
    """A comparison of two, family by family."""
    one, other = grouped(before, "family"), grouped(after, "family")
    both = sorted({*one} & {*other} - {""})
    return {family: arm(family, one[family], other[family]) for family in both}


def flips(before: Sequence[Result], after: Sequence[Result]) -> list[str]:
    """A line for each problem whose first sample is right on one side alone."""
    sides = zip(*shared(before, after), strict=True)
    firsts = ((one[0], other[0]) for one, other in sides)
    return sorted(
        f"{'wrong -> right' if b.correct else 'right -> wrong'}  "
        f"{a.answer!r} -> {b.answer!r}  {a.asked[:100]}"
        for a, b in firsts
        if a.correct != b.correct
    )


def show(systems: Systems, against: str) -> None:
    """Prints the comparison."""
    found = arms(systems, against)
    say(f"Compared with {against}; percent, with 95 % intervals, gain in points.\n")
    if len(systems) > 2:
        say(markdown(found.items()))
        return
    sides = systems[against], systems[next(iter(found))]
    say(markdown([*families(*sides).items(), *found.items()]))
    missing = len({s.problem for s in sides[0]} ^ {s.problem for s in sides[1]})
    if missing:
        say(f"{missing} problems are in only one evaluation and were left out")
    console = Terminal()
    for line in flips(*sides):
        console.show(line)


def main() -> int:
    """The comparison; 2 for bad input."""
    parser = CommandLine(prog="python -m recipes.compare", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--against", metavar="NAME", help="a policy, or a folder's name")
    options = parser.parse_args()

    def body() -> None:
        systems = read(options.folders)
        show(systems, options.against or next(iter(systems), ""))

    return program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
