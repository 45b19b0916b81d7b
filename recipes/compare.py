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
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from recipes.command import CommandLine, program
from recipes.markup import table
from recipes.plots import Score
from recipes.report import Result, Systems, by_policy, by_problem, interval, points, results, shown
from start_sdk import ConfigError
from start_sdk.batch import read_rows
from start_sdk.cli import Terminal, say
from start_sdk.grading.statistics import avg_at_k, mcnemar, paired_difference

HEAD = ("", "problems", "before", "after", "gain", "rescued", "broken", "McNemar p", "hinted",
        "with calls", "calls", "tokens")  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """How one system did on the problems that it shares with the one it is compared with."""

    name: str
    problems: int
    before: Score
    """Right in the other system, in percent, with its interval."""
    after: Score
    gain: Score
    """In points, paired by problem."""
    rescued: Score | None
    """Of the wrong answers, in percent; None if there were none."""
    broken: Score | None
    """Of the right answers."""
    p_value: float
    hinted: float
    """Share of the samples with a hint."""
    called: float
    """Share with a call; calls that were replayed from an earlier trace do not count."""
    calls: float
    """Mean, as are the tokens that the model sampled."""
    tokens: float

    @property
    def cells(self) -> list[str]:
        """A row of the table."""
        some = [shown(s) for s in (self.before, self.after, self.gain, self.rescued, self.broken)]
        shares = [f"{self.p_value:.2g}", f"{self.hinted:.0%}", f"{self.called:.0%}"]
        means = [f"{self.calls:.2f}", f"{self.tokens:.0f}"]
        return [self.name, str(self.problems), *some, *shares, *means]


def arm(name: str, before: Sequence[Result], after: Sequence[Result]) -> Arm:
    """Compares the samples of two systems; problems of only one are left out.

    Raises:
        ConfigError: they share no problem.
    """
    sides = by_problem(before), by_problem(after)
    both = [problem for problem in sides[0] if problem in sides[1]]
    if not both:
        raise ConfigError(f"{name}: no problem in common: use the same suite and seed")
    same = [sides[0][problem][0].asked for problem in both]
    shares = [[avg_at_k([s.correct for s in side[p]]) for p in both] for side in sides]
    first = [[side[p][0].correct for p in both] for side in sides]

    def turned(was: bool) -> Score | None:
        """Of the first samples that were right, or wrong, those that became the other."""
        some = [i for i, right in enumerate(first[0]) if right == was]
        flipped = [float(first[1][i] != was) for i in some]
        return interval(flipped, [same[i] for i in some]) if some else None

    samples = [s for p in both for s in sides[1][p]]
    return Arm(
        name=name,
        problems=len(set(same)),
        before=interval(shares[0], same),
        after=interval(shares[1], same),
        gain=points(paired_difference(*shares, clusters=same)),
        rescued=turned(False),
        broken=turned(True),
        p_value=mcnemar(*first).p_value,
        hinted=fmean(s.hints > 0 for s in samples),
        called=fmean(s.calls > 0 for s in samples),
        calls=fmean(s.calls for s in samples),
        tokens=fmean(s.sampled for s in samples),
    )


def arms(systems: Systems, against: str) -> list[Arm]:
    """Every other system compared with one.

    Raises:
        ConfigError: there is none of that name, or nothing beside it.
    """
    if against not in systems or len(systems) < 2:
        raise ConfigError(f"compare {against!r} with what? There are: {', '.join(systems)}")
    before = systems[against]
    return [arm(name, before, after) for name, after in systems.items() if name != against]


def markdown(found: Iterable[Arm]) -> str:
    """The comparison as a table."""
    return table(HEAD, [one.cells for one in found])


def read(paths: Sequence[Path]) -> Systems:
    """The systems of some folders: policies, models, or both."""
    found: Systems = {}
    for path in paths:
        policies = by_policy(results(read_rows(path)))
        if not policies:
            raise ConfigError(f"{str(path)!r} contains no rows")
        name = path.name if [other.name for other in paths].count(path.name) == 1 else str(path)
        for policy, samples in policies.items():
            if len(paths) == 1:
                found[policy] = samples
            else:
                found[name if len(policies) == 1 else f"{name}: {policy}"] = samples
    return found


def families(before: Sequence[Result], after: Sequence[Result]) -> list[Arm]:
    """A comparison of two, family by family."""
    return [
        arm(name, *([s for s in side if s.family == name] for side in (before, after)))
        for name in sorted({s.family for s in before} & {s.family for s in after} - {""})
    ]


def flips(before: Sequence[Result], after: Sequence[Result]) -> list[str]:
    """A line for each problem whose first sample is right on one side alone."""
    one, other = by_problem(before), by_problem(after)
    lines = []
    for a, b in ((one[p][0], other[p][0]) for p in one if p in other):
        if a.correct != b.correct:
            what = "wrong -> right" if b.correct else "right -> wrong"
            lines.append(f"{what}  {a.answer!r} -> {b.answer!r}  {a.asked[:100]}")
    return sorted(lines)


def show(systems: Systems, against: str) -> None:
    """Prints the comparison."""
    say(f"Compared with {against}; percent, with 95 % intervals, gain in points.\n")
    found = arms(systems, against)
    if len(systems) > 2:
        say(markdown(found))
        return
    sides = systems[against], systems[found[0].name]
    say(markdown([*families(*sides), *found]))
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
