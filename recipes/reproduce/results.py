"""The results of a run: every system on the same problems, gains, calls, rounds and data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from recipes.config import Config
from recipes.report import disagreements
from recipes.reproduce import names
from recipes.reproduce.steps import report_of
from start_sdk.batch import read_rows, scoring
from start_sdk.batch.scoring import Result, Systems, by_problem

HINTED = "Hint-infer: "
KEPT = "kept from training"
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
    seeds = [_systems(folder, steps) for _, folder in runs]
    systems = {name: _together([seed[name] for seed in seeds]) for name in seeds[0]}
    base = systems["base"]
    trained = {str(row.job.input.get("family")) for row in read_rows(folder / "plain")}
    groups = _groups({sample.family for sample in base}, trained)
    hinted = [name for name in systems if name.startswith(HINTED)]
    # Chosen on these very problems: a hard rival.
    best = max(hinted, key=lambda name: sum(s.correct for s in systems[name]), default=None)
    made = [name for name in steps if not name.startswith(("eval-", "rounds-"))]
    return {
        "base model": config.base,
        "seeds": [config.seed for config, _ in runs],
        "suites": list(config.evaluation.suites),
        "problems": scoring.distinct(by_problem(base).values()),
        "best hint": best,
        "groups": {name: sorted(families) for name, families in groups.items()},
        "systems": {name: scoring.by_part(some, groups) for name, some in systems.items()},
        "by seed": {name: [_right(seed[name]) for seed in seeds] for name in systems},
        "gains": _gains(systems, groups, best),
        "calls": {name: _calls(base, samples) for name, samples in systems.items()},
        "disagreements": disagreements(systems),
        "rounds": {
            SYSTEMS[step.removeprefix("rounds-")]: _rounds(runs, step)
            for step in steps
            if step.startswith("rounds-")
        },
        "data": {name: [report_of(folder / name) for _, folder in runs] for name in made},
        "losses": {name: curve for name in made if (curve := _losses(folder / name))},
    }


def _systems(folder: Path, steps: Sequence[str]) -> Systems:
    """What each system did in one run."""
    found: Systems = {}
    for step in (name for name in steps if name.startswith("eval-")):
        samples = scoring.results(read_rows(folder / step))
        for policy, some in scoring.grouped(samples, "policy").items():
            model = "no-tool" if policy == "no-tool" else step.removeprefix("eval-")
            found[HINTED + policy if step == "eval-hinted" else SYSTEMS[model]] = some
    return found


def _together(seeds: Sequence[Sequence[Result]]) -> list[Result]:
    """The samples of several seeds, numbered as those of one."""
    return [
        sample.model_copy(update={"sample": sample.sample * len(seeds) + number})
        for number, samples in enumerate(seeds)
        for sample in samples
    ]


def _groups(families: set[str], trained: set[str]) -> dict[str, set[str]]:
    """Families that were trained on, those that were not, and all."""
    found = {"trained on": families & trained, KEPT: families - trained}
    return {**(found if all(found.values()) else {}), "all": families}


def _right(samples: Sequence[Result]) -> float:
    """pass@1 of a seed, in percent: how much trainings and draws differ."""
    return round(100 * fmean(map(scoring.right, by_problem(samples).values())), 2)


def _gains(systems: Systems, groups: Mapping[str, set[str]], best: str | None) -> Found:
    """Differences that are claimed, in points, paired by problem, with 95 % intervals."""
    base, no_tool, text, seed, start, *controls = SYSTEMS.values()
    against: dict[str, list[str | None]] = {
        start: [base, no_tool, text, best, seed],
        seed: [base, *controls],
    }
    return {
        f"{one} - {other}": {
            group: scoring.gain(*scoring.shared(systems[other], systems[one], families))
            for group, families in groups.items()
        }
        for one, others in against.items()
        for other in others
        if other in systems
    }


def _calls(base: Sequence[Result], samples: Sequence[Result]) -> Found:
    """How often a system runs code where the base model is wrong, and where it is right, in percent
    of the problems (a problem counts as right where the base's first sample is)."""
    made: Found = {}
    for name, wanted in (("base wrong", False), ("base right", True)):
        sides = zip(*scoring.shared(base, samples), strict=True)
        some = [after for before, after in sides if before[0].correct == wanted]
        share = scoring.mean(some, scoring.called) if some else None
        made[name] = {"problems": scoring.distinct(some), "with calls": share}
    return made


def _rounds(runs: Sequence[Run], step: str) -> list[Found]:
    """Right answers and tokens after each round; a thought that ended early keeps its last one."""
    rows = (row for _, folder in runs for row in read_rows(folder / step))
    thoughts = [scoring.states([sample]) for sample in scoring.results(rows) if sample.rounds]
    made = []
    for number in range(runs[0][0].evaluation.rounds + 1):
        at = [thought[: number + 1][-1] for thought in thoughts]
        tokens = round(fmean(sample.sampled for sample in at), 2)
        made.append({"round": number, **scoring.scores(at), "tokens": tokens})
    return made


def _losses(folder: Path) -> list[tuple[float, float]]:
    """Tokens so far, and the loss, of the steps of a training; nothing where the log is missing."""
    log = folder / "train.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [(s["num_tokens"], s["loss"]) for s in map(json.loads, lines) if "loss" in s]
