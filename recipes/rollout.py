"""Rolls out a model on the training problems: problems -> graded traces, all of them kept.

    python -m recipes.rollout --config recipes/configs/tiny.toml --part plain --out runs/x/plain
    python -m recipes.rollout --config recipes/configs/tiny.toml --part hinted \
        --after runs/x/plain --out runs/x/hinted
    python -m recipes.rollout --config recipes/configs/tiny.toml --part sampled \
        --model runs/x/start-0/model --out runs/x/sampled

The parts are tables of the config: `plain` (greedy, no hints), `hinted`, `sampled`, `text` (without
a tool). With `--after`, hints are inserted into the problem's trace from the rollout without hints;
the thought before the hint is not sampled again (START, section 3). Otherwise the model generates a
new thought. See recipes/hint_names.py for the names of hints.

The output folder contains every sample, correct or wrong, with its trace or the reason why there is
none (rows.sqlite), and counts (report.json). The same command resumes an interrupted run.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from recipes import experiment
from recipes.config import Config, command_line, given
from recipes.data import training_problems
from recipes.experiment import model_name
from recipes.hint_names import check_hints
from recipes.rollout_worker import Bases, RolloutWorker, jobs_of
from recipes.settings import RolloutConfig
from recipes.suites import Problem
from start_sdk import Trace, open_backend, plugins
from start_sdk.batch import Row, read_rows
from start_sdk.cli import say
from start_sdk.hints import sampled

PARTS = ("plain", "hinted", "sampled", "text")


def rollout(
    config: Config,
    folder: Path,
    part: RolloutConfig,
    *,
    model: str | None = None,
    problems: Sequence[Problem] | None = None,
    after: Path | None = None,
) -> dict[str, Any]:
    """Samples what is not sampled yet, and writes the folder.

    Args:
        config: the run.
        folder: where rows and report go.
        part: how problems are rolled out.
        model: who thinks; the config's base by default.
        problems: those of the config by default.
        after: the folder of a greedy rollout without hints, of the same model, which this one
            puts its hints into.

    Returns:
        the report: samples, right answers, calls and tokens, by hint.

    Raises:
        ConfigError: a hint, a folder or an option that cannot be used.
    """
    check_hints(part.hints, staged=after is not None)
    problems = training_problems(config) if problems is None else problems
    model = model_name(model or config.base)
    if config.engine == "ray":
        from recipes import ray_rollout

        ray_rollout.compute_rows(config, folder, part, model, problems, after)
    else:
        compute_rows(config, folder, part, model, problems, after)
    report = counted(read_rows(folder))
    text = json.dumps({"model": model, **part.model_dump(), "by hint": report}, indent=1)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    return report


def compute_rows(
    config: Config,
    folder: Path,
    part: RolloutConfig,
    model: str,
    problems: Sequence[Problem],
    after: Path | None,
) -> None:
    """Computes what is not done yet in this process."""
    python = plugins.load("interpreters", "python")()
    with ExitStack() as stack:
        bases = Bases(after, stack) if after else None
        backend = open_backend(
            model, config.backend, servers=config.servers, **config.backend_options
        )
        jobs = jobs_of(config, part, problems, model, backend.tokenizer, python, bases)
        worker = RolloutWorker(config, part, backend, python, bases)
        experiment.compute_rows(
            folder, config.max_concurrency, jobs, backend, python, worker.work_of
        )


def counted(rows: Iterator[Row]) -> dict[str, Any]:
    """Counts of rows, by hint."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        counts = found.setdefault(row.job.policy, Counter(samples=0, failed=0, correct=0))
        counts["samples"] += 1
        if row.result is None:
            counts["failed"] += 1
            continue
        trace = Trace.model_validate(row.result["trace"])
        counts["correct"] += row.result["correct"]
        counts["with calls"] += row.result["calls"] > 0
        counts["calls"] += row.result["calls"]
        counts["sampled tokens"] += sampled(trace)
        counts["tokens"] += len(trace.token_ids)
    return {name: dict(counts) for name, counts in found.items()}


def main() -> int:
    """A rollout; 2 for bad input, 130 for Ctrl-C."""
    parser = command_line("recipes.rollout", __doc__)
    add = parser.add_argument
    add("--part", choices=PARTS, required=True)
    add("--model", help="the model to roll out (default: the config's base)")
    add("--after", type=Path, help="folder of the rollout without hints to insert hints into")
    add("--engine", choices=("local", "ray"), help="where to run (default: the config's engine)")
    add("--out", type=Path, required=True)
    options = parser.parse_args()

    def body() -> None:
        if options.engine:
            options.changes.append(f"engine={options.engine}")
        config = given(options)
        report = rollout(
            config,
            options.out,
            getattr(config, options.part),
            model=options.model,
            after=options.after,
        )
        say(json.dumps(report, indent=1))

    return experiment.program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
