"""Evaluates a model on a suite, with or without hints.

    python -m recipes.evaluate --suite tiny --hints end --n 30 --seed 7 --out runs/tiny-end
    python -m recipes.evaluate --suite aime24 --model Qwen/QwQ-32B-Preview --k 16 --out runs/aime24
    python -m recipes.evaluate --suite livecodebench --data test4.jsonl test5.jsonl \
        --since 2024-08-01 --until 2024-11-30 --k 10 --temperature 0.2 --out runs/lcb
    python -m recipes.evaluate compare runs/tiny-none runs/tiny-end
    python -m recipes.evaluate --check-grader problems.jsonl

Suites: tiny, aime24, aime25, amc23, math500, gpqa, or a JSONL or Parquet file with their columns
(recipes/suites.py); livecodebench, from its files (recipes/livecodebench). Programs are run against
all tests; `--grader upstream` reports the verdicts of LiveCodeBench's own grader, faults included,
on the same samples. `--k 1` decodes greedily; larger values sample at the paper's temperature 0.6
and top-p 0.95. The output folder contains every sample with its trace (rows.sqlite) and the
report (report.md, report.json, report.png); the same command resumes an interrupted run. The report
contains no times, so equal seeds give equal reports.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from recipes import check_grader, compare, experiment, livecodebench
from recipes.experiment import Judge, asked, problem_of, selection
from recipes.hint_names import check_samples, policy_of
from recipes.report import results, write_report
from recipes.suites import Problem
from recipes.tiny.prompts import PROMPTS
from start_sdk import (
    BeforeEnd,
    ConfigError,
    HintPolicy,
    Limits,
    ReasoningSession,
    Sampling,
    plugins,
)
from start_sdk.batch import Job, Work, config_hash, in_rounds, sample_seed
from start_sdk.cli import load_policy, say
from start_sdk.formats import detect

DEFAULT_PROMPTS = {"tiny": "plain", "livecodebench": "livecodebench"}


def chosen_policy(hints: str, hint: str | None, seed: int) -> HintPolicy:
    """The policy by its name; `hint` says which text `end` takes. `debug` is no policy of its own:
    each problem has another (`policy_of`)."""
    if hints == "debug":
        hints = "none"
    if hint is None:
        return load_policy(hints, rounds=1, seed=seed)
    if hints != "end":
        raise ConfigError("--hint requires --hints end")
    return BeforeEnd(hints=(hint,))


def sampling_of(config: argparse.Namespace) -> Sampling:
    """Greedy for one sample, the paper's sampling for several."""
    chosen = config.temperature
    return Sampling(temperature=(0.0 if config.k == 1 else 0.6) if chosen is None else chosen)


def run(config: argparse.Namespace) -> None:
    """The evaluation and its report."""
    experiment.settle(config)
    policy = chosen_policy(config.hints, config.hint, config.seed)
    problems = experiment.problems_of(config)
    if config.hints == "debug":
        check_samples(problems)
    config.prompt = config.prompt or DEFAULT_PROMPTS.get(config.suite, "boxed")
    limits, sampling = Limits(max_calls=config.max_calls), sampling_of(config)
    python = plugins.load("interpreters", "python")()
    backend = experiment.opened(config)

    def session_of(problem: Problem) -> ReasoningSession:
        """A session, which costs nothing; the debug hint is another one for each problem."""
        hints = policy_of("debug", problem, config.seed) if config.hints == "debug" else policy
        return ReasoningSession(
            backend, interpreter=python, hints=hints, limits=limits, sampling=sampling
        )

    # After the model is opened: only then is a hub model on this machine, and its commit known.
    key = config_hash(
        config.model,
        **config.runs_on,
        sampling=sampling,
        limits=limits,
        format=detect(backend.tokenizer),
        hints="debug" if config.hints == "debug" else policy,
        interpreter=python,
        prompt=config.prompt,
    )
    name = f"{config.hints}:{config.hint}" if config.hint else config.hints
    jobs = in_rounds((experiment.job_of(p, config, key, name) for p in problems), config.k)

    def work_of(judge: Judge) -> Work:
        async def work(job: Job) -> dict[str, Any]:
            """One sample of a problem: its trace, its answer and the verdict."""
            problem = problem_of(job)
            question, gold = asked(problem, config.prompt, job.seed)
            trace = await session_of(problem).run(question, seed=sample_seed(job))
            return await judge.judge(trace, problem, gold)

        return work

    done = experiment.compute(config, jobs, backend, python, work_of)
    title = {"suite": config.suite, "model": config.model, "hints": config.hints}
    more = {"hint": config.hint, "prompt": config.prompt, "k": config.k, "seed": config.seed}
    if config.suite == "livecodebench":
        more |= {"grader": config.grader, **livecodebench.about(selection(config), len(problems))}
    graded = results(done, upstream=config.grader == "upstream")
    say(write_report(graded, {**title, **more}, config.out))


def command_line() -> argparse.ArgumentParser:
    """The options."""
    parser = experiment.command_line("python -m recipes.evaluate", __doc__)
    add = parser.add_argument
    add("--hints", default="none", help="none, end, connective, debug (for code), or a plugin")
    add("--hint", help="id of the hint that `end` inserts (default: general)")
    add(
        "--prompt",
        choices=(*PROMPTS, "boxed", "livecodebench"),
        help="default: plain for tiny, livecodebench for it, else boxed",
    )
    add("--grader", choices=("ours", "upstream"), default="ours", help="for livecodebench")
    add("--k", type=int, default=1, help="samples per problem")
    add("--temperature", type=float, help="sampling temperature (default: 0 with --k 1, else 0.6)")
    add("--check-grader", type=Path, nargs="+", metavar="FILE", help="check the grader instead")
    return parser


def main() -> int:
    """Evaluates, compares, or checks the grader; 2 for bad input, 130 for Ctrl-C."""
    if sys.argv[1:2] == ["compare"]:
        return compare.main(sys.argv[2:])
    parser = command_line()
    files = parser.parse_args().check_grader
    if files:
        return experiment.program(parser, lambda: check_grader.main(files))
    config = experiment.checked(parser)
    if config.k < 1:
        parser.error("--k must be at least 1")
    return experiment.program(parser, lambda: run(config))


if __name__ == "__main__":
    sys.exit(main())
