"""The jobs of a rollout and the work on one of them, in this process or in an actor."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from recipes import experiment
from recipes.config import Config
from recipes.experiment import Judge, asked, problem_of
from recipes.hint_names import fits, hint_of, point_of, policy_of
from recipes.settings import RolloutConfig
from recipes.suites import Problem
from start_sdk import (
    Backend,
    ConfigError,
    HintPolicy,
    Interpreter,
    ReasoningSession,
    Sampling,
    Tokenizer,
    Trace,
)
from start_sdk.batch import Job, RowStore, Work, config_hash, in_rounds, read_rows, sample_seed
from start_sdk.formats import detect


class Bases:
    """The traces of an earlier rollout without hints, by problem; looked up when they are needed.

    Raises:
        ConfigError: the folder holds no such rollout.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._jobs: dict[str, Job] = {}
        self.correct: set[str] = set()
        for row in read_rows(folder):
            if row.result is None or row.job.sample or row.job.policy != "none":
                continue
            self._jobs[row.job.problem] = row.job
            if row.result["correct"]:
                self.correct.add(row.job.problem)
        if not self._jobs:
            raise ConfigError(f"{str(folder)!r} contains no traces without hints")
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
            raise ConfigError("this problem has no trace without hints")
        return Trace.model_validate(row.result["trace"])


def jobs_of(
    config: Config,
    part: RolloutConfig,
    problems: Sequence[Problem],
    model: str,
    tokenizer: Tokenizer,
    python: Interpreter,
    bases: Bases | None = None,
) -> list[Job]:
    """The jobs of a rollout, the first sample of every problem before the second of any.

    Raises:
        ConfigError: the problems that were wrong are wanted, and no rollout before is given.
    """
    key = config_hash(
        model,
        backend=config.backend,
        options=config.backend_options,
        sampling=sampling_of(part),
        limits=config.limits,
        format=detect(tokenizer),
        interpreter=python if part.python else None,
        prompt=config.prompt,
        after=bases.config if bases else None,
    )
    options = argparse.Namespace(seed=config.seed)
    jobs = [
        experiment.job_of(problem, options, key, name)
        for problem in problems
        for name in part.hints
        if fits(name, problem)
    ]
    if part.only_wrong:
        if bases is None:
            raise ConfigError("only_wrong needs an existing rollout: give --after")
        jobs = [job for job in jobs if job.problem not in bases.correct]
    return in_rounds(jobs, part.samples)


def sampling_of(part: RolloutConfig) -> Sampling:
    """How a rollout draws its tokens."""
    return Sampling(temperature=part.temperature, top_p=part.top_p)


class RolloutWorker:
    """Rolls out one problem at a time; its `work_of` is what a batch, here or elsewhere, runs."""

    def __init__(
        self,
        config: Config,
        part: RolloutConfig,
        backend: Backend,
        python: Interpreter,
        bases: Bases | None = None,
    ) -> None:
        self._config = config
        self._part = part
        self._backend = backend
        self._python = python
        self._bases = bases
        self._sampling = sampling_of(part)

    def work_of(self, judge: Judge) -> Work:
        """The work of a batch: a job's trace and its verdict."""

        async def work(job: Job) -> dict[str, Any]:
            problem = problem_of(job)
            question, gold = asked(problem, self._config.prompt, job.seed)
            seed = sample_seed(job)
            if self._bases and job.policy != "none":
                base = self._bases.trace(job.problem)
                point = point_of(job.policy, base, self._backend.tokenizer, seed)
                hint = hint_of(job.policy, problem, seed)
                session = self._session(None)
                trace = await session.resume_hinted(base, point, hint, seed=seed)
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
