"""How each hint at each position changes correct and wrong answers: the rescue/break matrix.

    python -m recipes.hint_matrix --n 20 --seed 1 --out runs/matrix

The model solves every problem once without a hint. Then each hint is inserted into that trace: at a
connective drawn by the seed, after the last "wait", and where the thought ends. For comparison, the
problem is also asked with a request for Python in its prompt. Decoding is greedy, so any difference
is caused by the hint. A hint rescues some of the wrong answers and breaks some of the correct ones
(33.0 % and 10.4 % for the paper's models: START, EMNLP version, table 5).

The output folder contains every trace (rows.sqlite) and the matrix (matrix.md, matrix.json,
matrix.png); the same command resumes an interrupted run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes import experiment
from recipes.experiment import Judge, asked, problem_of
from recipes.report import asked_in, inline, interval, points, row, shown
from recipes.tiny.prompts import with_prompt
from start_sdk import (
    ConfigError,
    Hint,
    HintLibrary,
    HintRefused,
    InsertionPoint,
    Limits,
    ReasoningSession,
    Sampling,
    Trace,
    draw_insertion_point,
    find_insertion_points,
    last_insertion_point,
    plugins,
)
from start_sdk.batch import Job, Row, Work, config_hash
from start_sdk.cli import say
from start_sdk.grading.statistics import mcnemar, paired_difference
from start_sdk.hints import sampled

PLACES = ("connective", "last wait", "end")
WISHES = ("direct", "designed", "few-shot")
PAPER = {"rescued": 33.0, "broken": 10.4}
"""START, EMNLP version, table 5, in percent: of other models, measured by its authors."""


@dataclass(frozen=True)
class Arm:
    """What one hint at one place, or one prompt, did to the problems in which it could be tried."""

    name: str
    problems: int
    before: dict[str, float]
    """Right without it, in percent, with its interval; so are the others."""
    after: dict[str, float]
    gain: dict[str, float]
    rescued: dict[str, float] | None
    """Of the wrong answers; None if there were none."""
    broken: dict[str, float] | None
    """Of the right answers."""
    p_value: float
    triggered: float
    """Share of traces with a call after the hint."""
    tokens: float
    """Mean of the tokens that the model sampled in going on, or for the prompt."""


def chosen_hints(ids: Sequence[str], path: Path | None) -> list[Hint]:
    """The hints of these ids; without ids the paper's six for math, or all of another library.

    Raises:
        ConfigError: one is unknown, or can stand at none of the places as it is.
    """
    library = HintLibrary.load(path)
    hints = [library.get(i) for i in ids] or [*(library if path else library.select(domain="math"))]
    for hint in hints:
        if hint.fields or not {"connective", "end"} & {*hint.positions}:
            raise ConfigError(f"hint {hint.id!r} cannot be inserted at a connective or at the end")
    return hints


def points_of(trace: Trace, session: ReasoningSession, seed: int) -> dict[str, InsertionPoint]:
    """The places of a trace; not all have one of each."""
    points = find_insertion_points(trace, session.tokenizer, session.format)
    words = find_insertion_points(trace, session.tokenizer, session.format, words=("Wait", "wait"))
    found: dict[str, InsertionPoint] = {}
    if connectives := [point for point in points if point.position == "connective"]:
        found["connective"] = draw_insertion_point(connectives, seed=seed, trace_id=trace.id)
    if last := last_insertion_point(words):
        found["last wait"] = last
    if points and points[-1].position == "end":
        found["end"] = points[-1]
    return found


async def arms_of(
    session: ReasoningSession, base: Trace, question: str, hints: Sequence[Hint], seed: int
) -> dict[str, Trace]:
    """Every trace beside the base: `hint @ place`, and `prompt: kind`. A hint that cannot be
    inserted there, for lack of room or calls, gives no arm."""
    runs: dict[str, Coroutine[Any, Any, Trace]] = {
        f"{hint.id} @ {place}": session.resume_hinted(base, point, hint)
        for place, point in points_of(base, session, seed).items()
        for hint in hints
        if point.position in hint.positions
    }
    for wish in WISHES:
        runs[f"prompt: {wish}"] = session.run(with_prompt(wish, question))
    tried = await asyncio.gather(*map(_unless_refused, runs.values()))
    return {name: trace for name, trace in zip(runs, tried, strict=True) if trace}


async def _unless_refused(run: Coroutine[Any, Any, Trace]) -> Trace | None:
    try:
        return await run
    except HintRefused:
        return None


def tally(rows: Sequence[Row]) -> list[Arm]:
    """The arms of all rows, in the order in which they were tried."""
    names = dict.fromkeys(name for row in rows if row.result for name in row.result["arms"])
    return [
        arm_of(name, [row for row in rows if row.result and name in row.result["arms"]])
        for name in names
    ]


def arm_of(name: str, rows: Sequence[Row]) -> Arm:
    """One arm over the problems in which it was tried."""
    results = [row.result for row in rows if row.result]
    before = [bool(result["correct"]) for result in results]
    arms = [result["arms"][name] for result in results]
    after = [bool(arm["correct"]) for arm in arms]
    same = [asked_in(row) for row in rows]
    wrong = [i for i, right in enumerate(before) if not right]
    right = [i for i, right in enumerate(before) if right]
    gain = paired_difference(before, after, clusters=same)

    def share(hits: Sequence[bool], some: Sequence[int]) -> dict[str, float]:
        return interval([float(hits[i]) for i in some], [same[i] for i in some])

    return Arm(
        name=name,
        problems=len(set(same)),
        before=share(before, range(len(arms))),
        after=share(after, range(len(arms))),
        gain=points(gain),
        rescued=share(after, wrong) if wrong else None,
        broken=share([not hit for hit in after], right) if right else None,
        p_value=mcnemar(before, after).p_value,
        triggered=sum(arm["called"] for arm in arms) / len(arms),
        tokens=sum(arm["sampled"] for arm in arms) / len(arms),
    )


def markdown(arms: Sequence[Arm], title: dict[str, Any]) -> str:
    """The matrix as text."""
    head = ["", "problems", "before", "after", "gain", "rescued", "broken", "McNemar p"]
    head += ["with calls", "tokens"]
    lines = [inline(f"# Rescue/break matrix: {title['model']} on {title['suite']}"), ""]
    lines += [f"- {name}: {inline(value)}" for name, value in title.items()]
    lines += ["", "Percent with 95 % intervals; gain in points, paired.", ""]
    lines += [row(head), row(["---", *["---:"] * (len(head) - 1)])]
    for arm in arms:
        parts = [shown(part) if part else "-" for part in (arm.gain, arm.rescued, arm.broken)]
        lines.append(
            row([arm.name, str(arm.problems), shown(arm.before), shown(arm.after), *parts,
                 f"{arm.p_value:.2g}", f"{arm.triggered:.0%}", f"{arm.tokens:.0f}"])
        )  # fmt: skip
    lines += ["", "The paper's, over its own hints, models and problems (START, EMNLP version,"]
    lines += [f"table 5): {PAPER['rescued']} % rescued, {PAPER['broken']} % broken."]
    return "\n".join(lines) + "\n"


def picture(arms: Sequence[Arm], path: Path) -> None:
    """Rescued and broken by arm, with their intervals, and the paper's beside them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 1.5 + 0.34 * len(arms)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for shift, kind, colour in ((-0.2, "rescued", "#4f9d69"), (0.2, "broken", "#c8553d")):
        some = [(i, getattr(arm, kind)) for i, arm in enumerate(arms) if getattr(arm, kind)]
        values = [part["value"] for _, part in some]
        errors = [
            [part["value"] - part["low"] for _, part in some],
            [part["high"] - part["value"] for _, part in some],
        ]
        axes.barh([i + shift for i, _ in some], values, 0.38, xerr=errors, color=colour, label=kind)
        axes.axvline(PAPER[kind], color=colour, linestyle=":", label=f"{kind}, the paper's models")
    axes.set_yticks(range(len(arms)), [arm.name for arm in arms])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    figure.supxlabel("percent of the wrong (rescued) or right (broken) answers", fontsize=9)
    figure.legend(fontsize=8, loc="outside upper center", ncols=2)
    figure.savefig(path, metadata={"Software": None})


def run(config: argparse.Namespace) -> None:
    """The matrix of a suite."""
    experiment.settle(config)
    problems = experiment.problems_of(config)
    hints = chosen_hints(config.hints, config.library)
    limits = Limits(max_calls=config.max_calls, max_repeats=4)
    sampling = Sampling(temperature=0, logprobs=True)
    python = plugins.load("interpreters", "python")()
    backend = experiment.opened(config)
    session = ReasoningSession(backend, interpreter=python, limits=limits, sampling=sampling)
    key = config_hash(
        config.model, **config.runs_on, sampling=sampling, limits=limits,
        format=session.format, hints=[hint.model_dump() for hint in hints], interpreter=python,
    )  # fmt: skip
    jobs = [experiment.job_of(p, config, key, "matrix") for p in problems]

    def work_of(judge: Judge) -> Work:
        async def work(job: Job) -> dict[str, Any]:
            problem = problem_of(job)
            prompt = "plain" if config.suite == "tiny" else "boxed"
            question, gold = asked(problem, prompt, job.seed)
            if not isinstance(question, str):
                raise ConfigError("the matrix needs problems whose prompt is text")
            base = await session.run(question)
            arms = {}
            for name, trace in (await arms_of(session, base, question, hints, job.seed)).items():
                calls = len(trace.calls) - len([c for c in trace.calls if c.replay])
                arms[name] = {
                    **await judge.judge(trace, problem, gold),
                    "called": calls > 0,
                    "sampled": sampled(trace),
                }
            return {**await judge.judge(base, problem, gold), "arms": arms}

        return work

    rows = experiment.compute(config, jobs, backend, python, work_of)
    arms = tally(rows)
    if not arms:
        raise ConfigError("there are no rows to report: `start-sdk rows` shows what went wrong")
    title = {"suite": config.suite, "model": config.model, "families": config.families}
    title |= {"n": config.n, "seed": config.seed}
    text = markdown(arms, title)
    made = {**title, "paper": PAPER, "arms": [vars(arm) for arm in arms]}
    (config.out / "matrix.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    (config.out / "matrix.md").write_text(text, encoding="utf-8")
    picture(arms, config.out / "matrix.png")
    say(text)


def main() -> int:
    """The matrix; 2 for bad input, 130 for Ctrl-C."""
    parser = experiment.command_line("python -m recipes.hint_matrix", __doc__)
    add = parser.add_argument
    add("--hints", nargs="*", default=[], metavar="ID", help="default: the paper's six for math")
    add("--library", type=Path, metavar="TOML", help="look up the ids here, not in our library")
    parser.set_defaults(suite="tiny", families="math", max_concurrency=8, out=Path("runs/matrix"))
    config = experiment.checked(parser)
    return experiment.program(parser, lambda: run(config))


if __name__ == "__main__":
    sys.exit(main())
