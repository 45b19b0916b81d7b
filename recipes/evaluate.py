"""Evaluates a model on a suite, with or without hints.

    python -m recipes.evaluate --suite tiny --hints none end --n 30 --seed 7 --out runs/tiny
    python -m recipes.evaluate --suite aime24 --model Qwen/QwQ-32B-Preview --k 16 --out runs/aime24
    python -m recipes.evaluate --suite livecodebench --data test4.jsonl test5.jsonl \
        --since 2024-08-01 --until 2024-11-30 --k 10 --temperature 0.2 --out runs/lcb

Suites: tiny; reasoning_gym, of the kinds and levels of a config (recipes/reasoning_gym.py); aime24,
aime25, amc23, math500, gpqa, or a JSONL or Parquet file with their columns (recipes/suites.py);
livecodebench, from its files (recipes/problems.py). Programs are run against all tests. `--grader
upstream` reports the verdicts of LiveCodeBench's or reasoning-gym's own grader, faults included, on
the same samples. `--k 1` decodes greedily; larger values sample at the paper's temperature 0.6
and top-p 0.95. `--hints` takes any policies (recipes/policies.py); with `--staged`, hints are
inserted into the model's own trace without a hint instead of new thoughts.

The output folder contains every sample with its trace (rows.sqlite) and the report (report.md,
report.json, report.png); the same command resumes an interrupted run. The report contains no times,
so equal seeds give equal reports. `recipes.compare` compares policies, or folders.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipes import problems
from recipes.command import CommandLine, command_line, given, out_of, program
from recipes.config import Config
from recipes.policies import AGAIN, PLACES, parts
from recipes.questions import job_of
from recipes.report import markdown, picture, summary, write
from recipes.rollout import rollout
from recipes.settings import RolloutConfig
from recipes.suites import Problem
from start_sdk import ConfigError
from start_sdk.batch import Row, read_rows
from start_sdk.batch.scoring import results
from start_sdk.cli import say


def evaluate(
    config: Config, folder: Path, some: Sequence[Problem], part: RolloutConfig, *, staged: bool
) -> list[Row]:
    """Runs each policy on each problem, and reads the rows.

    Args:
        config: who thinks, and how.
        folder: gets the rows.
        some: the problems.
        part: the policies, how often, and at which temperature.
        staged: insert hints, and begin rounds, where the model's own trace without a hint ends:
            its first sample, so that such a policy has one sample of each problem.

    Returns:
        the rows of these policies; those without a hint that were only continued are left out.
    """
    after = [name for name in part.hints if staged and parts(name)[0] in (*PLACES, *AGAIN)]
    anew = [name for name in part.hints if name not in after]
    if after and "none" not in anew:
        anew.insert(0, "none")
    for hints, samples, base in ((anew, part.samples, None), (after, 1, folder)):
        if hints:
            now = RolloutConfig(hints=tuple(hints), samples=samples, temperature=part.temperature)
            rollout(config, folder, now, problems=some, after=base)
    asked = {job_of(problem).problem for problem in some}
    rows = (row for row in read_rows(folder) if row.job.sample < part.samples)
    return [row for row in rows if row.job.policy in part.hints and row.job.problem in asked]


def command(name: str, doc: str | None, **usual: Any) -> CommandLine:
    """The command line of a program that evaluates; `usual` has its own defaults."""
    parser = command_line(name, doc)
    problems.add_options(parser, **usual)
    return parser


def named(options: argparse.Namespace) -> tuple[Config, list[Problem], dict[str, Any]]:
    """The config and the problems that a command line names, and the title of the report."""
    prompt = problems.PROMPTS.get(options.suite, "boxed")
    config = given(options, {"prompt": prompt})
    some, about = problems.chosen(options, config)
    model = config.base or config.servers[0]  # the only one that it has
    return config, some, {**about, "model": model, "prompt": config.prompt, "seed": config.seed}


def run(options: argparse.Namespace) -> None:
    """The evaluation and its report."""
    k, staged, grader = options.k, options.staged, options.grader
    if k < 1:
        raise ConfigError("--k must be at least 1")
    if grader == "upstream" and options.suite not in ("livecodebench", "reasoning_gym"):
        raise ConfigError("--grader upstream is for livecodebench and reasoning_gym")
    if staged and k > 1:  # all samples would begin with the first one's thought
        raise ConfigError("--staged needs --k 1")
    config, some, title = named(options)
    usual = 0.0 if k == 1 else 0.6
    temperature = usual if options.temperature is None else options.temperature
    part = RolloutConfig(hints=tuple(options.hints), samples=k, temperature=temperature)
    folder = out_of(options)
    rows = evaluate(config, folder, some, part, staged=staged)
    samples = results(rows, upstream=grader == "upstream")
    title |= {"hint": config.hint, "k": k, "grader": grader}
    made = summary(samples, {name: value for name, value in title.items() if value})
    text = markdown(made)
    write(made, text, folder, figure=picture(made))
    say(text)


def options_of(name: str, doc: str | None) -> CommandLine:
    """The command line of an evaluation."""
    parser = command(name, doc)
    add = parser.add_argument
    add("--hints", nargs="+", default=["none"], metavar="POLICY", help="see recipes/policies.py")
    add("--staged", action="store_true", help="insert hints into the trace without a hint")
    add("--grader", choices=("ours", "upstream"), default="ours", help="whose verdicts count")
    add("--k", type=int, default=1, help="samples per problem")
    add("--temperature", type=float, help="(default: 0 with --k 1, else 0.6)")
    return parser


def main() -> int:
    """Evaluates; 2 for bad input, 130 for Ctrl-C."""
    parser = options_of("recipes.evaluate", __doc__)
    options = parser.parse_args()
    return program(parser, lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
