"""Scores judged samples that `run_batch` stored: by system, by family, and pair by pair.

    samples = results(read_rows("runs/a"))
    for policy, some in grouped(samples, "policy").items():
        print(policy, scores(some)["pass@1"])

A system is a model with a policy. Scores are means over problems, in percent, with 95 % bootstrap
intervals: samples of a problem are not independent, and problems with the same question are drawn
together. Intervals need the extra `grading`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from statistics import fmean
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from start_sdk.batch._rows import Row
from start_sdk.errors import ConfigError
from start_sdk.grading import statistics
from start_sdk.values import Frozen

Score = dict[str, float]
"""A value with its interval: `value`, `low`, `high`."""


Count = Annotated[int, Field(ge=0, lt=2**63)]


class Result(Frozen):
    """One judged sample, as far as a report needs it."""

    problem: str
    question: str
    family: str
    policy: str
    sample: int
    correct: bool
    how: str
    """How the judge decided; "failed" where the row failed."""
    calls: Count
    """Calls that were run for it, not those that were only replayed."""
    tokens: Count
    """Tokens of the model, those that were dropped for a hint included."""
    finish: str
    """Why the run ended; "failed" where the row failed."""
    right_by: str
    """Which graders say so, as in `GRADERS`; empty where there is only one."""
    rounds: tuple[Result, ...]
    """What it was after each of several rounds, with the calls so far and that round's tokens."""
    answer: str | None = None
    gold: str = ""
    hints: Count = 0
    sampled: Count = 0
    """Tokens that were sampled for this trace: without those of a trace that it continues."""

    @property
    def asked(self) -> str:
        """What makes a problem distinct: its question, which a suite may draw more than once."""
        return " ".join(self.question.split()) or self.problem


GRADERS = {
    (True, True): "both",
    (True, False): "only ours",
    (False, True): "only upstream's",
    (False, False): "neither",
}
"""Who says that a sample is right: (our judge, the second grader)."""
Systems = dict[str, list[Result]]
"""The samples of each system that is compared, by its name."""
Problem = Sequence[Result]
"""What a system did on a problem: the samples of it."""
Problems = Sequence[Problem]
Parts = dict[str, dict[str, Any]]
"""The scores of a system on parts of the problems, and on all of them."""


def results(rows: Iterable[Row], *, upstream: bool = False) -> list[Result]:
    """The samples of some rows: all that are done or failed; a failed one is wrong.

    These keys of a row's `result` are read, and only `correct` is required:

    - `correct`: whether the answer is right, and `how` the judge decided; for a program, `outcome`
      of its tests instead of `how`.
    - `answer`: a text or None, for votes; `gold`: the right one.
    - `trace`: of it, `usage` and `finish`.
    - `calls`: cells of the trace; `replayed`: how many of them ran in an earlier trace that it
      continues; `hints`: how many were inserted; `sampled`: tokens that were sampled for it.
    - `upstream`: whether a second grader, such as the suite's own, finds the answer right; or
      `scored`, the score that it gives, of which 1 is right.
    - `steps`: a list of what the sample was after each of several rounds, with the same keys.

    Of the job, `problem`, `policy` and `sample` are read, and if its `input` has them, `question`
    and `family`.

    Args:
        rows: of a store, or of `read_rows`.
        upstream: go by the verdicts of the second grader.

    Raises:
        ConfigError: a result has no verdict, or a key is of another type.
    """
    return [_result(row, upstream) for row in rows if row.state in ("done", "failed")]


def _result(row: Row, by_upstream: bool) -> Result:
    failed, job = row.state == "failed" or row.result is None, row.job
    found = _FAILED if failed or row.result is None else row.result
    try:
        ours, upstream = found.get("correct"), _upstream(found)
        correct = upstream if by_upstream and not failed else ours
        if correct is None:
            wanted = "upstream or scored" if by_upstream else "correct"
            raise ConfigError(f"row {job.key} has no verdict: its result needs {wanted}")
        if not (isinstance(ours, bool | None) and isinstance(upstream, bool | None)):
            raise TypeError("a verdict is true or false")
        trace = found.get("trace", {})
        usage = trace.get("usage", {})
        steps = [replace(row, result={**s, "replayed": 0}) for s in found.get("steps", ())]
        derived = {
            "question": str(job.input.get("question") or ""),
            "family": str(job.input.get("family") or ""),
            "correct": correct,
            "right_by": "" if upstream is None else GRADERS[bool(ours), bool(upstream)],
            "how": found.get("outcome") or found.get("how", ""),
            "calls": found.get("calls", 0) - found.get("replayed", 0),
            "tokens": usage.get("model", 0) + usage.get("dropped", 0),
            "finish": trace.get("finish", ""),
            "rounds": [_result(step, by_upstream) for step in steps],
        }
        return Result(**{**found, **job.parts, **derived})
    except (AttributeError, TypeError, ValidationError, RecursionError) as error:
        raise ConfigError(f"row {job.key} is not a judged sample") from error


_FAILED: Mapping[str, Any] = {"correct": False, "how": "failed", "trace": {"finish": "failed"}}
"""What a failed row counts as."""


def _upstream(found: Mapping[str, Any]) -> Any:
    """The second grader's verdict, if there is one; not checked yet."""
    scored = found.get("scored")
    return found.get("upstream") if scored is None else scored >= 1


def grouped(samples: Iterable[Result], by: Literal["policy", "family", "problem"]) -> Systems:
    """The samples of each policy, family or problem, in the order in which they came."""
    found: Systems = {}
    for sample in samples:
        found.setdefault(getattr(sample, by), []).append(sample)
    return found


def by_problem(samples: Iterable[Result]) -> dict[str, list[Result]]:
    """The samples of each problem, in the order of their numbers."""
    return grouped(sorted(samples, key=lambda s: s.sample), "problem")


def shared(
    before: Iterable[Result], after: Iterable[Result], families: Collection[str] | None = None
) -> tuple[Problems, Problems]:
    """What two systems did on the problems that both were asked, in the same order.

    Args:
        before: the samples of the first.
        after: the samples of the second.
        families: leave out other families.
    """
    one, other = by_problem(before), by_problem(after)
    both = [p for p in one if p in other and (families is None or one[p][0].family in families)]
    return [one[problem] for problem in both], [other[problem] for problem in both]


def states(samples: Iterable[Result]) -> list[Result]:
    """One sample after the other, or one round after the other, as if it were a single thought:
    each with the tokens that were sampled so far."""
    steps = [step for sample in samples for step in sample.rounds or (sample,)]
    spent = accumulate(step.sampled for step in steps)
    return [
        s.model_copy(update={"sampled": so_far}) for s, so_far in zip(steps, spent, strict=True)
    ]


def right(problem: Problem) -> float:
    """Share of right samples: pass@1."""
    return fmean(s.correct for s in problem)


def called(problem: Problem) -> float:
    """Share of samples that ran code."""
    return fmean(s.calls > 0 for s in problem)


def vote(problem: Problem) -> float:
    """Whether most samples agree on the right answer."""
    return statistics.maj_at_k([s.answer for s in problem], [s.correct for s in problem])


def distinct(problems: Iterable[Problem]) -> int:
    """How many different questions there are."""
    return len({samples[0].asked for samples in problems})


def mean(problems: Problems, of: Callable[[Problem], float]) -> Score:
    """The mean of something between 0 and 1 over problems, in percent; raises as `gain`."""
    values, same = [of(p) for p in problems], [p[0].asked for p in problems]
    return _points(statistics.mean_interval(values, clusters=same))


def gain(before: Problems, after: Problems) -> Score:
    """How many points more the second system is right, on the same problems (`shared`).

    Raises:
        ConfigError: there are no problems.
        MissingExtra: scipy or statsmodels is not installed.
    """
    shares, same = [[*map(right, side)] for side in (before, after)], [p[0].asked for p in before]
    return _points(statistics.paired_difference(*shares, clusters=same))


def _points(found: statistics.Interval) -> Score:
    return {name: round(100 * share, 2) for name, share in found}


def scores(samples: Sequence[Result]) -> dict[str, Any]:
    """All scores of a system, or of a part of its samples, and what they cost: JSON.

    Raises:
        ConfigError: there are no samples.
        MissingExtra: scipy or statsmodels is not installed.
    """
    if not samples:
        raise ConfigError("there are no samples to score")
    problems = list(by_problem(samples).values())
    k, hits = min(map(len, problems)), sum(s.correct for s in samples)
    several: dict[str, Callable[[Problem], float]] = {
        f"pass@{k}": lambda p: statistics.pass_at_k(len(p), sum(s.correct for s in p), k),
        f"maj@{k}": lambda p: vote(p[:k]),
    }
    return {
        "problems": distinct(problems),
        "drawn": len(problems),
        "samples": len(samples),
        "k": k,
        "pass@1": mean(problems, right),
        **{name: mean(problems, of) for name, of in several.items() if k > 1},
        "calls per problem": fmean(s.calls for s in samples),
        "with calls": called(samples),
        "tokens per sample": fmean(s.tokens for s in samples),
        "tokens per right answer": sum(s.tokens for s in samples) / hits if hits else None,
        "verdicts": dict(sorted(Counter(s.how for s in samples).items())),
        "finish": dict(sorted(Counter(s.finish for s in samples).items())),
    }


def by_part(samples: Sequence[Result], groups: Mapping[str, Collection[str]]) -> Parts:
    """The scores of each family, then those of each group of families."""
    families = {family: {family} for family in sorted({s.family for s in samples} - {""})}
    return {
        name: scores([s for s in samples if s.family in some])
        for name, some in {**families, **groups}.items()
    }


def across(systems: Mapping[str, Parts]) -> dict[str, dict[str, Score | None]]:
    """pass@1 on each part, system by system."""
    names = dict.fromkeys(part for parts in systems.values() for part in parts)
    return {
        part: {name: parts.get(part, {}).get("pass@1") for name, parts in systems.items()}
        for part in names
    }
