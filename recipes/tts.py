"""Sequential test-time scaling: accuracy against rounds of hints, and against tokens.

    python -m recipes.tts --n 10 --seeds 1 2 3 --rounds 0..4 --out runs/tts

START's figure 5 repeats hints before the end of thinking. This program compares that with two
baselines that start from the same first thought and sample at most as many tokens per problem:
longer thinking without a tool ("Wait" in place of the end: budget forcing, s1, arXiv 2501.19393),
and a majority vote over independent thoughts. All are sampled at temperature 0.6. Rounds and votes
that exceed the token budget are left out.

The output folder contains every trace and the curves (tts.md, tts.json, tts.png); the same command
resumes an interrupted run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from recipes import experiment
from recipes.experiment import Judge, asked, problem_of
from recipes.report import asked_in, inline, interval, row, shown
from recipes.suites import Problem
from start_sdk import (
    ConfigError,
    HintLibrary,
    Limits,
    ReasoningSession,
    Sampling,
    Trace,
    plugins,
)
from start_sdk.batch import Job, Row, Work, config_hash, sample_seed
from start_sdk.cli import say
from start_sdk.grading.statistics import maj_at_k
from start_sdk.hints import StopWhen, round_hints, sampled, spent, think_in_rounds

WAYS = {"hints": "hints, with Python", "wait": "longer thinking, no tool", "votes": "majority vote"}
MAX_STEPS = 24
"""Rounds of "Wait", or votes, that are tried at most."""
Step = dict[str, Any]


class Scaling:
    """The three ways to spend tokens on a problem."""

    def __init__(self, tool: ReasoningSession, plain: ReasoningSession, judge: Judge, rounds: int):
        self._tool = tool
        self._plain = plain
        self._judge = judge
        self._rounds = rounds

    async def steps(self, problem: Problem, question: Any, gold: str, seed: int) -> dict[str, Any]:
        """Of each way its steps: right or not, tokens so far."""

        async def graded(traces: Sequence[Trace]) -> list[Step]:
            spent_so_far = accumulate(map(sampled, traces))
            return [
                {**await self._judge.judge(trace, problem, gold), "tokens": tokens}
                for trace, tokens in zip(traces, spent_so_far, strict=True)
            ]

        hinted = await self._rounds_of(self._tool, question, seed, round_hints(self._rounds))
        budget = sum(map(sampled, hinted))
        waits = [HintLibrary.load().get("wait")] * MAX_STEPS
        waited, votes = await asyncio.gather(
            self._rounds_of(self._plain, hinted[0], seed, waits, spent(budget)),
            self._votes(question, seed, hinted[0], budget),
        )
        return {
            "hints": await graded(hinted),
            "wait": await graded(waited),
            "votes": await graded(votes),
        }

    @staticmethod
    async def _rounds_of(
        session: ReasoningSession,
        start: Any,
        seed: int,
        hints: Sequence[Any],
        stop: StopWhen | None = None,
    ) -> list[Trace]:
        rounds = think_in_rounds(session, start, hints, seed=seed, stop_when=stop)
        return [trace async for trace in rounds]

    async def _votes(self, question: Any, seed: int, first: Trace, budget: int) -> list[Trace]:
        """Thoughts of their own; the first is that of the other ways."""
        traces = [first]
        while sum(map(sampled, traces)) < budget and len(traces) < MAX_STEPS:
            traces.append(await self._plain.run(question, seed=seed + len(traces)))
        return traces


def right_within(way: str, steps: Sequence[Step], tokens: int) -> tuple[float, int]:
    """How right a way is with what fits into so many tokens, and how many it used.

    The first step is always there; it is the same thought for all ways.
    """
    fitting = [step for step in steps if step["tokens"] <= tokens] or list(steps[:1])
    used = int(fitting[-1]["tokens"])
    if way == "votes":
        return maj_at_k([s["answer"] for s in fitting], [s["correct"] for s in fitting]), used
    return float(fitting[-1]["correct"]), used


def curves(rows: Sequence[Row], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """For each way and round: accuracy with its interval, and mean tokens.

    The tokens of a round are, for each problem, those that the hints had used by then. A thought
    that a limit ended early counts with its last round.
    """
    results = [row.result for row in rows if row.result]
    same = [asked_in(row) for row in rows if row.result]
    made: dict[str, list[dict[str, Any]]] = {}
    for way in WAYS:
        made[way] = []
        for number in range(rounds + 1):
            budgets = [r["hints"][min(number, len(r["hints"]) - 1)]["tokens"] for r in results]
            pairs = zip(results, budgets, strict=True)
            found = [right_within(way, r[way], budget) for r, budget in pairs]
            made[way].append(
                {
                    "round": number,
                    "accuracy": interval([right for right, _ in found], same),
                    "tokens": sum(used for _, used in found) / len(found),
                }
            )
    return made


def markdown(made: dict[str, Any]) -> str:
    """The curves as text."""
    lines = [inline(f"# Test-time scaling: {made['model']} on {made['suite']}"), ""]
    names = ("families", "seeds", "rounds", "problems", "drawn")
    lines += [f"- {name}: {inline(made[name])}" for name in names]
    lines += ["", "Percent right with 95 % intervals (mean tokens that were sampled).", ""]
    head = ["round", *WAYS.values()]
    lines += [row(head), row(["---:"] * len(head))]
    for number in range(made["rounds"] + 1):
        points = [made["curves"][way][number] for way in WAYS]
        lines.append(
            row([str(number), *(f"{shown(p['accuracy'])} ({p['tokens']:.0f})" for p in points)])
        )
    return "\n".join(lines) + "\n"


def picture(made: dict[str, Any], path: Path) -> None:
    """Accuracy against rounds, and against tokens."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, across in zip(figure.subplots(1, 2, sharey=True), ("round", "tokens"), strict=True):
        for way, label in WAYS.items():
            points = made["curves"][way]
            values = [p["accuracy"]["value"] for p in points]
            errors = [
                [p["accuracy"]["value"] - p["accuracy"]["low"] for p in points],
                [p["accuracy"]["high"] - p["accuracy"]["value"] for p in points],
            ]
            xs = [p[across] for p in points]
            axes.errorbar(xs, values, yerr=errors, marker="o", capsize=3, label=label)
        axes.set_xlabel("rounds" if across == "round" else "tokens sampled, mean")
        axes.set_ylim(0, 100)
    figure.axes[0].set_ylabel("percent right, 95 % intervals")
    figure.axes[0].legend(fontsize=8)
    figure.savefig(path, metadata={"Software": None})


def run(config: argparse.Namespace) -> None:
    """The curves of a suite."""
    experiment.settle(config)
    problems = experiment.drawn(config)
    limits = Limits(max_calls=config.max_calls, max_repeats=4)
    sampling = Sampling(temperature=0.6)
    python = plugins.load("interpreters", "python")()
    backend = experiment.opened(config)
    tool = ReasoningSession(backend, interpreter=python, limits=limits, sampling=sampling)
    plain = ReasoningSession(backend, limits=limits, sampling=sampling)
    hints = [*round_hints(config.rounds), HintLibrary.load().get("wait")]
    key = config_hash(
        config.model, **config.runs_on, sampling=sampling, limits=limits,
        format=tool.format, interpreter=python, hints=[h.model_dump() for h in hints],
    )  # fmt: skip
    jobs = [experiment.job_of(p, one, key, "tts") for one, p in problems]

    def work_of(judge: Judge) -> Work:
        scaling = Scaling(tool, plain, judge, config.rounds)

        async def work(job: Job) -> dict[str, Any]:
            problem = problem_of(job)
            prompt = "plain" if config.suite == "tiny" else "boxed"
            question, gold = asked(problem, prompt, job.seed)
            steps = await scaling.steps(problem, question, gold, sample_seed(job))
            last = steps["hints"][-1]
            return {**steps, "correct": last["correct"], "calls": last["calls"]}

        return work

    rows = experiment.compute(config, jobs, backend, python, work_of)
    if not any(row.result for row in rows):
        raise ConfigError("there are no rows to report: `start-sdk rows` shows what went wrong")
    names = ("suite", "model", "families", "seeds", "rounds")
    made = {name: getattr(config, name) for name in names}
    made["problems"] = len({asked_in(row) for row in rows if row.result})
    made["drawn"] = sum(row.result is not None for row in rows)
    made["curves"] = curves(rows, config.rounds)
    text = markdown(made)
    (config.out / "tts.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    (config.out / "tts.md").write_text(text, encoding="utf-8")
    picture(made, config.out / "tts.png")
    say(text)


def last_round(text: str) -> int:
    """Round 0 is the thought without a hint, and always there: "0..4" means what "4" does."""
    first, dots, last = text.rpartition("..")
    if (dots and first != "0") or not last.isdecimal() or int(last) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number above 0 nor 0..NUMBER")
    return int(last)


def main() -> int:
    """The curves; 2 for bad input, 130 for Ctrl-C."""
    parser = experiment.command_line("python -m recipes.tts", __doc__)
    parser.set_defaults(
        suite="tiny", families="math", n=10, max_concurrency=16, out=Path("runs/tts")
    )
    add = parser.add_argument
    add("--rounds", type=last_round, default=4, help="the last round of hints: 4, or 0..4")
    add("--seeds", type=int, nargs="+", default=[1, 2, 3], help="seeds, replaces --seed")
    config = experiment.checked(parser)
    return experiment.program(parser, lambda: run(config))


if __name__ == "__main__":
    sys.exit(main())
