"""The results of a run: every system on the same problems, gains, calls, rounds and data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from recipes.config import Config
from recipes.report import Result, Systems, by_policy, by_problem, interval, points, results, scores
from recipes.reproduce import names
from recipes.reproduce.steps import report_of
from start_sdk.batch import Row, read_rows
from start_sdk.grading.statistics import avg_at_k, paired_difference

HINTED = "Hint-infer: "
SYSTEMS = {
    "base": "base",
    "no-tool": "base without a tool",
    "text-rft": "text RFT",
    "start-0": "START-0",
    "start": "START",
    "unselected": "START-0, unselected data",
    "masked": "START-0, hints without loss",
    "longer": "START-0, trained for longer",
}
"""Names of the systems, by the step `eval-...` that ran them; Hint-infer has one for each hint."""
Run = tuple[Config, Path]
"""A config, and the folder of its steps."""
Found = dict[str, Any]


def collect(runs: Sequence[Run]) -> Found:
    """All that the report says, JSON. It holds no times: equal seeds give equal reports.

    Several runs are several seeds of one config: what they did on a problem counts as samples of
    it, so that intervals are over problems.
    """
    config, folder = runs[0]
    steps = names(config)
    systems: Systems = {}
    for number, one in enumerate(runs):
        for step in (name for name in steps if name.startswith("eval-")):
            for name, samples in _systems(one, step):
                moved = [replace(s, sample=s.sample + number * _many(config)) for s in samples]
                systems.setdefault(name, []).extend(moved)
    trained = {str(row.job.input.get("family")) for row in read_rows(folder / "plain")}
    groups = _groups({s.family for s in systems["base"]}, trained)
    hinted = [name for name in systems if name.startswith(HINTED)]
    # Chosen on these very problems: a hard rival.
    best = max(hinted, key=lambda name: sum(s.correct for s in systems[name]), default=None)
    return {
        "base model": config.base,
        "seeds": [config.seed for config, _ in runs],
        "suites": list(config.evaluation.suites),
        "problems": len({sample.asked for sample in systems["base"]}),
        "best hint": best,
        "groups": {name: sorted(families) for name, families in groups.items()},
        "systems": {name: _scored(samples, groups) for name, samples in systems.items()},
        "by seed": {name: _by_seed(samples, runs) for name, samples in systems.items()},
        "gains": _gains(systems, groups, best),
        "calls": {name: _calls(systems["base"], some) for name, some in systems.items()},
        "rounds": {
            SYSTEMS[name]: _rounds(runs, name)
            for name in ("base", "start")
            if f"rounds-{name}" in steps
        },
        "data": {
            name: [report_of(folder / name) for _, folder in runs]
            for name in steps
            if not name.startswith(("eval-", "rounds-"))
        },
    }


def _many(config: Config) -> int:
    return config.evaluation.samples


def _systems(run: Run, step: str) -> Iterator[tuple[str, list[Result]]]:
    """The systems that a step evaluated."""
    config, folder = run
    found = by_policy(results(_light(read_rows(folder / step))))
    if step == "eval-hinted":
        for hint in config.hinted.hints:
            yield HINTED + hint, found.get(hint, [])
        return
    for policy, samples in found.items():
        yield SYSTEMS["no-tool" if policy == "no-tool" else step.removeprefix("eval-")], samples


def _light(rows: Iterator[Row]) -> Iterator[Row]:
    """Rows without the segments of their traces: all of them may not fit into the memory."""
    for row in rows:
        if row.result:
            row.result["trace"].pop("segments", None)
        yield row


def _groups(families: set[str], trained: set[str]) -> dict[str, set[str]]:
    """Families that were trained on, those that were not, and all."""
    found = {"trained on": families & trained, "kept from training": families - trained}
    return {**(found if all(found.values()) else {}), "all": families}


def _of(samples: Sequence[Result], families: set[str]) -> list[Result]:
    return [sample for sample in samples if sample.family in families]


def _scored(samples: Sequence[Result], groups: Mapping[str, set[str]]) -> Found:
    def of(families: set[str]) -> Found:
        found = scores(_of(samples, families))
        del found["verdicts"], found["finish"]
        return found

    return {
        "families": {name: of({name}) for name in sorted(groups["all"])},
        "groups": {name: of(some) for name, some in groups.items()},
    }


def _by_seed(samples: Sequence[Result], runs: Sequence[Run]) -> list[float]:
    """pass@1 of each seed, in percent: how much trainings and draws differ."""
    many = _many(runs[0][0])
    return [
        scores([s for s in samples if s.sample // many == number])["pass@1"]["value"]
        for number in range(len(runs))
    ]


def _gains(systems: Systems, groups: Mapping[str, set[str]], best: str | None) -> Found:
    """Differences that are claimed, in points, paired by problem, with 95 % intervals."""
    start, seed = SYSTEMS["start"], SYSTEMS["start-0"]
    rivals = (SYSTEMS["base"], SYSTEMS["no-tool"], SYSTEMS["text-rft"], best, seed)
    controls = (SYSTEMS[name] for name in ("base", "unselected", "masked", "longer"))
    pairs = [*((start, other) for other in rivals), *((seed, other) for other in controls)]
    return {
        f"{one} - {other}": {
            name: _gain(_of(systems[other], some), _of(systems[one], some))
            for name, some in groups.items()
        }
        for one, other in pairs
        if other in systems
    }


def _gain(before: Sequence[Result], after: Sequence[Result]) -> dict[str, float]:
    one, other = by_problem(before), by_problem(after)
    both = [problem for problem in one if problem in other]
    share = [[avg_at_k([s.correct for s in side[p]]) for p in both] for side in (one, other)]
    same = [one[problem][0].asked for problem in both]
    return points(paired_difference(*share, clusters=same))


def _calls(base: Sequence[Result], samples: Sequence[Result]) -> Found:
    """How often a system runs code where the base model is wrong, and where it is right, in percent
    of the problems (a problem counts as right where the base's first sample is)."""
    right = {problem: found[0].correct for problem, found in by_problem(base).items()}
    made: Found = {}
    for name, wanted in (("base wrong", False), ("base right", True)):
        some = [found for p, found in by_problem(samples).items() if right[p] == wanted]
        shares = [avg_at_k([s.calls > 0 for s in found]) for found in some]
        same = [found[0].asked for found in some]
        called = interval(shares, same) if shares else None
        made[name] = {"problems": len(set(same)), "with calls": called}
    return made


def _rounds(runs: Sequence[Run], name: str) -> list[Found]:
    """Right answers and tokens after each round; a thought that ended early keeps its last one."""
    steps: dict[str, list[list[Found]]] = {}
    asked: dict[str, str] = {}
    for _, folder in runs:
        for row in read_rows(folder / f"rounds-{name}"):
            if row.result:
                steps.setdefault(row.job.problem, []).append(row.result["steps"])
                asked[row.job.problem] = str(row.job.input.get("question"))
    every = [each for found in steps.values() for each in found]
    made = []
    for number in range(runs[0][0].evaluation.rounds + 1):
        at = [[each[min(number, len(each) - 1)] for each in found] for found in steps.values()]
        tokens = fmean(sum(step["sampled"] for step in each[: number + 1]) for each in every)
        made.append(
            {
                "round": number,
                "problems": len(at),
                "correct": interval(
                    [avg_at_k([s["correct"] for s in found]) for found in at], [*asked.values()]
                ),
                "calls": round(fmean(s["calls"] for found in at for s in found), 2),
                "tokens": round(tokens, 2),
            }
        )
    return made
