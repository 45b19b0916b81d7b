"""The results of a run: every system on the same problems, gains, calls, rounds, data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from recipes.report import Result, by_problem, interval, points, results, scores
from recipes.stages import Pipeline
from start_sdk.batch import Row, read_rows
from start_sdk.grading.statistics import avg_at_k, paired_difference

HINTED = "Hint-infer: "
SYSTEMS = {
    "base": "base",
    "text-rft": "text RFT",
    "start-0": "START-0",
    "start": "START",
    "unselected": "START-0, unselected data",
    "masked": "START-0, hints without loss",
}
"""Names of the systems, by the stage `eval-...` that ran them; Hint-infer has one for each hint."""
DATA = ("plain", "hinted", "d-seed", "start-0", "text", "sampled", "d-start", "start", "d-text",
        "text-rft", "d-unselected", "unselected", "masked")  # fmt: skip
"""Stages that make data and models, in the order of the report."""
Systems = dict[str, list[Result]]


def collect(pipelines: Sequence[Pipeline]) -> dict[str, Any]:
    """All that the report says, JSON. It holds no times: equal seeds give equal reports.

    Several runs are several seeds of one config: what they did on a problem counts as samples of
    it, so that intervals are over problems.
    """
    systems = _systems(pipelines)
    groups = _groups(systems["base"], pipelines)
    best = best_hint(systems)
    config = pipelines[0].config
    return {
        "base model": config.base,
        "seeds": [pipeline.config.seed for pipeline in pipelines],
        "suites": list(config.evaluation.suites),
        "problems": len({sample.asked for sample in systems["base"]}),
        "best hint": best,
        "groups": {name: sorted(families) for name, families in groups.items()},
        "systems": {name: _scored(samples, groups) for name, samples in systems.items()},
        "by seed": {name: _by_seed(samples, pipelines) for name, samples in systems.items()},
        "gains": gains(systems, groups, best),
        "calls": {name: calls_by_base(systems["base"], rs) for name, rs in systems.items()},
        "rounds": {
            SYSTEMS[name]: _rounds(pipelines, name)
            for name in ("base", "start")
            if f"rounds-{name}" in pipelines[0].stages
        },
        "data": {
            name: [pipeline.report(name) for pipeline in pipelines]
            for name in DATA
            if name in pipelines[0].stages
        },
    }


def _systems(pipelines: Sequence[Pipeline]) -> Systems:
    found: Systems = {}
    for number, pipeline in enumerate(pipelines):
        for stage in (name for name in pipeline.stages if name.startswith("eval-")):
            for name, samples in _named(pipeline, stage):
                many = pipeline.config.evaluation.samples
                moved = [replace(s, sample=s.sample + number * many) for s in samples]
                found.setdefault(name, []).extend(moved)
    return found


def _by_seed(samples: Sequence[Result], pipelines: Sequence[Pipeline]) -> list[float]:
    """pass@1 of each seed, in percent: how much trainings and draws differ."""
    many = pipelines[0].config.evaluation.samples
    return [
        scores([s for s in samples if s.sample // many == number])["pass@1"]["value"]
        for number in range(len(pipelines))
    ]


def _named(pipeline: Pipeline, stage: str) -> Iterator[tuple[str, list[Result]]]:
    """The systems that a stage evaluated."""
    rows = list(_light(read_rows(pipeline.path(stage))))
    if stage == "eval-hinted":
        for hint in pipeline.config.hinted.hints:
            yield HINTED + hint, results(row for row in rows if row.job.policy == hint)
    else:
        yield SYSTEMS[stage.removeprefix("eval-")], results(rows)


def _light(rows: Iterator[Row]) -> Iterator[Row]:
    """Rows without the segments of their traces: all of them may not fit into the memory."""
    for row in rows:
        if row.result:
            row.result["trace"].pop("segments", None)
        yield row


def _groups(samples: Sequence[Result], pipelines: Sequence[Pipeline]) -> dict[str, set[str]]:
    """Families that were trained on, those that were not, and all."""
    trained = {str(row.job.input.get("family")) for row in read_rows(pipelines[0].path("plain"))}
    families = {sample.family for sample in samples}
    found = {"trained on": families & trained, "kept from training": families - trained}
    if not all(found.values()):
        found = {}
    return {**found, "all": families}


def _of(samples: Sequence[Result], families: set[str]) -> list[Result]:
    return [sample for sample in samples if sample.family in families]


def _scored(samples: Sequence[Result], groups: dict[str, set[str]]) -> dict[str, Any]:
    families = sorted(groups["all"])
    return {
        "families": {name: _rates(samples, {name}) for name in families},
        "groups": {name: _rates(samples, some) for name, some in groups.items()},
    }


def _rates(samples: Sequence[Result], families: set[str]) -> dict[str, Any]:
    found = scores(_of(samples, families))
    names = ("problems", "pass@1", "with calls", "calls per problem", "tokens per sample")
    return {
        **{name: found[name] for name in names},
        "per right answer": found["model tokens per right answer"],
    }


def best_hint(systems: Systems) -> str | None:
    """The system of Hint-infer that is right most often on these very problems: a hard rival."""
    hinted = [name for name in systems if name.startswith(HINTED)]
    return max(hinted, key=lambda name: sum(s.correct for s in systems[name]), default=None)


def gains(
    systems: Systems, groups: dict[str, set[str]], best: str | None
) -> dict[str, dict[str, dict[str, float]]]:
    """Differences that are claimed, in points, paired by problem, with 95 % intervals."""
    start, seed = SYSTEMS["start"], SYSTEMS["start-0"]
    pairs = [(start, other) for other in (SYSTEMS["base"], SYSTEMS["text-rft"], best, seed)]
    pairs += [(seed, SYSTEMS[other]) for other in ("base", "unselected", "masked")]
    found = {}
    for one, other in pairs:
        if other in systems:
            found[f"{one} - {other}"] = {
                name: _gain(_of(systems[other], some), _of(systems[one], some))
                for name, some in groups.items()
            }
    return found


def _gain(before: Sequence[Result], after: Sequence[Result]) -> dict[str, float]:
    one, other = by_problem(before), by_problem(after)
    both = [problem for problem in one if problem in other]
    share = [
        [avg_at_k([s.correct for s in side[problem]]) for problem in both] for side in (one, other)
    ]
    same = [one[problem][0].asked for problem in both]
    return points(paired_difference(*share, clusters=same))


def calls_by_base(base: Sequence[Result], samples: Sequence[Result]) -> dict[str, Any]:
    """How often a system runs code where the base model is wrong, and where it is right, in percent
    of the problems (a problem counts as right where the base's first sample is)."""
    right = {problem: found[0].correct for problem, found in by_problem(base).items()}
    made: dict[str, Any] = {}
    for name, wanted in (("base wrong", False), ("base right", True)):
        some = [found for p, found in by_problem(samples).items() if right[p] == wanted]
        shares = [avg_at_k([s.calls > 0 for s in found]) for found in some]
        same = [found[0].asked for found in some]
        called = interval(shares, same) if shares else None
        made[name] = {"problems": len(set(same)), "with calls": called}
    return made


def _rounds(pipelines: Sequence[Pipeline], name: str) -> list[dict[str, Any]]:
    """Right answers and tokens behind each round; a thought that ended early keeps its last one."""
    steps: dict[str, list[list[dict[str, Any]]]] = {}
    for pipeline in pipelines:
        for row in read_rows(pipeline.path(f"rounds-{name}")):
            if row.result:
                steps.setdefault(row.job.problem, []).append(row.result["rounds"])
    made = []
    for number in range(pipelines[0].config.evaluation.rounds + 1):
        at = [[each[min(number, len(each) - 1)] for each in found] for found in steps.values()]
        made.append(
            {
                "round": number,
                "problems": len(at),
                "correct": interval([avg_at_k([s["correct"] for s in found]) for found in at]),
                "calls": _mean([s["calls"] for found in at for s in found]),
                "tokens": _mean(
                    [
                        sum(step["tokens"] for step in each[: number + 1])
                        for found in steps.values()
                        for each in found
                    ]
                ),
            }
        )
    return made


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 2)
