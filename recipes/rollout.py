"""Rolls out a model on the training problems: problems -> traces, graded, every one kept.

    python -m recipes.rollout --config recipes/configs/tiny.toml --part plain --out runs/x/plain
    python -m recipes.rollout --config recipes/configs/tiny.toml --part hinted \
        --after runs/x/plain --out runs/x/hinted
    python -m recipes.rollout --config recipes/configs/tiny.toml --part sampled \
        --model runs/x/start-0/model --out runs/x/sampled

The parts are tables of the config: `plain` (greedy, no hints), `hinted`, `sampled`. With `--after`
a hint is put into the trace that the rollout without hints has for the problem: the thought up to
there is not sampled again (START, section 3). Without, the model thinks anew. How hints are named
stands in recipes/hint_names.py.

The folder holds every sample, right or wrong, with its trace or why there is none (rows.sqlite,
rows.jsonl), and counts (report.json). The same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from recipes import experiment
from recipes.config import Config, Rollout, parsed_changes, read_config
from recipes.data import training_problems
from recipes.experiment import Judge, asked, model_name, problem_of
from recipes.hint_names import check_hints, fits, hint_of, policy_of, spot_of
from recipes.suites import Problem
from start_sdk import (
    Backend,
    ConfigError,
    HintPolicy,
    Interpreter,
    ReasoningSession,
    Sampling,
    Trace,
    open_backend,
    plugins,
)
from start_sdk.batch import Work, config_hash, in_rounds
from start_sdk.rows import Job, Row, sample_seed
from start_sdk.scaling import sampled
from start_sdk.store import RowStore

PARTS = ("plain", "hinted", "sampled")


def rollout(
    config: Config,
    folder: Path,
    part: Rollout,
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
    python = plugins.load("interpreters", "python")()
    with ExitStack() as stack:
        bases = Bases(after, stack) if after else None
        backend = open_backend(model, config.backend, **config.backend_options)
        roller = Roller(config, part, backend, python, bases)
        jobs = roller.jobs(problems, model)
        experiment.compute_rows(folder, config.at_once, jobs, backend, python, roller.work_of)
    report = counted(read_rows(folder))
    text = json.dumps({"model": model, **part.model_dump(), "by hint": report}, indent=1)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    return report


class Bases:
    """The traces of an earlier rollout without hints, by problem; looked up when they are needed.

    Raises:
        ConfigError: the folder holds no such rollout.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._jobs: dict[str, Job] = {}
        self.right: set[str] = set()
        for row in read_rows(folder):
            if row.result is None or row.job.sample or row.job.policy != "none":
                continue
            self._jobs[row.job.problem] = row.job
            if row.result["correct"]:
                self.right.add(row.job.problem)
        if not self._jobs:
            raise ConfigError(f"{str(folder)!r} holds no traces without hints to put hints into")
        self._store = stack.enter_context(RowStore(folder / "rows.sqlite"))

    @property
    def config(self) -> str:
        """Hash of how they were made."""
        return next(iter(self._jobs.values())).config

    def trace(self, problem: str) -> Trace:
        """The trace of a problem.

        Raises:
            ConfigError: there is none.
        """
        job = self._jobs.get(problem)
        row = next(self._store.rows([job]), None) if job else None
        if row is None or row.result is None:
            raise ConfigError("there is no trace without hints for this problem")
        return Trace.model_validate(row.result["trace"])


class Roller:
    """Rolls out one problem at a time; its `work_of` is what a batch, here or elsewhere, runs."""

    def __init__(
        self,
        config: Config,
        part: Rollout,
        backend: Backend,
        python: Interpreter,
        bases: Bases | None = None,
    ) -> None:
        self._config = config
        self._part = part
        self._backend = backend
        self._python = python
        self._bases = bases
        self._sampling = Sampling(temperature=part.temperature, top_p=part.top_p)

    def jobs(self, problems: Sequence[Problem], model: str) -> list[Job]:
        """The jobs, the first sample of every problem before the second of any."""
        key = config_hash(
            model,
            backend=self._config.backend,
            options=self._config.backend_options,
            sampling=self._sampling,
            limits=self._config.limits,
            dialect=self._session(None).dialect,
            interpreter=self._python if self._part.python else None,
            prompt=self._config.prompt,
            after=self._bases.config if self._bases else None,
        )
        options = argparse.Namespace(seed=self._config.seed)
        jobs = [
            experiment.job_of(problem, options, key, name)
            for problem in problems
            for name in self._part.hints
            if fits(name, problem)
        ]
        if self._part.only_wrong:
            if self._bases is None:
                raise ConfigError("only_wrong needs the rollout before: give --after")
            jobs = [job for job in jobs if job.problem not in self._bases.right]
        return in_rounds(jobs, self._part.samples)

    def work_of(self, judge: Judge) -> Work:
        """The work of a batch: a job's trace and its verdict."""

        async def work(job: Job) -> dict[str, Any]:
            problem = problem_of(job)
            question, gold = asked(problem, self._config.prompt, job.seed)
            seed = sample_seed(job)
            if self._bases and job.policy != "none":
                base = self._bases.trace(job.problem)
                spot = spot_of(job.policy, base, self._backend.tokenizer, seed)
                hint = hint_of(job.policy, problem, seed)
                session = self._session(None)
                trace = await session.resume_hinted(base, spot, hint, seed=seed)
            else:
                policy = policy_of(job.policy, problem, self._config.seed)
                trace = await self._session(policy).run(question, seed=seed)
            return await judge.judge(trace, problem, gold)

        return work

    def _session(self, policy: HintPolicy | None) -> ReasoningSession:
        return ReasoningSession(
            self._backend,
            interpreter=self._python if self._part.python else None,
            hints=policy,
            limits=self._config.limits,
            sampling=self._sampling,
        )


def read_rows(folder: Path) -> Iterator[Row]:
    """The rows that a rollout wrote, one at a time: all of them may not fit into the memory.

    Raises:
        ConfigError: the folder has no rows.jsonl, or it is not one of ours.
    """
    for line in read_lines(folder):
        try:
            values = json.loads(line)
            state, result, error = (values.pop(k) for k in ("state", "result", "error"))
            row = Row(Job(**values), state, result, error)
        except (ValueError, TypeError, KeyError, AttributeError) as why:
            raise ConfigError(f"{str(folder / 'rows.jsonl')!r} holds no rows: {why}") from why
        yield row


def read_lines(folder: Path) -> Iterator[str]:
    """The lines of rows.jsonl; the same errors."""
    path = folder / "rows.jsonl"
    try:
        with path.open(encoding="utf-8") as lines:
            yield from lines
    except OSError as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error.strerror}") from error


def counted(rows: Iterator[Row]) -> dict[str, Any]:
    """Counts of rows, by hint."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        counts = found.setdefault(row.job.policy, Counter(samples=0, failed=0, right=0))
        counts["samples"] += 1
        if row.result is None:
            counts["failed"] += 1
            continue
        trace = Trace.model_validate(row.result["trace"])
        counts["right"] += row.result["correct"]
        counts["with calls"] += row.result["calls"] > 0
        counts["calls"] += row.result["calls"]
        counts["sampled tokens"] += sampled(trace)
        counts["tokens"] += len(trace.token_ids)
    return {name: dict(counts) for name, counts in found.items()}


def main() -> int:
    """A rollout; 2 for bad input, 130 for Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.rollout",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--config", type=Path, required=True)
    add("--set", nargs="*", default=[], metavar="NAME=VALUE", dest="changes")
    add("--part", choices=PARTS, required=True)
    add("--model", help="who thinks; default: the config's base")
    add("--after", type=Path, help="folder of the rollout without hints to put hints into")
    add("--out", type=Path, required=True)
    options = parser.parse_args()

    def body() -> None:
        config = read_config(options.config, parsed_changes(options.changes))
        report = rollout(
            config,
            options.out,
            getattr(config, options.part),
            model=options.model,
            after=options.after,
        )
        print(json.dumps(report, indent=1))

    return experiment.program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
