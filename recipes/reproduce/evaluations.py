"""The stages after those of `recipes.rft`: every model on held-out problems, and rounds."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from recipes import experiment
from recipes.config import Config
from recipes.experiment import Judge, held_out, model_name, problem_of
from recipes.rft import model_of
from recipes.rollout import rollout
from recipes.rollout_worker import Bases
from recipes.settings import RolloutConfig
from recipes.stages import Pipeline, Stage
from recipes.suites import Problem
from start_sdk import (
    Backend,
    Interpreter,
    ReasoningSession,
    Sampling,
    open_backend,
    plugins,
)
from start_sdk.batch import Job, Work, config_hash, read_rows, sample_seed
from start_sdk.hints import round_hints, sampled, think_in_rounds

MODELS = {"text-rft": "text", "start-0": None, "start": None, "unselected": "unselected",
          "masked": "masked"}  # fmt: skip
"""Training stages whose models are evaluated, and the control that each is of."""


def stages(config: Config) -> list[Stage]:
    """The evaluations of a run, and the rounds of hints."""
    reads = ("evaluation",)
    found = [
        Stage("eval-base", "the base model on held-out problems", reads, (), _base),
        Stage("eval-hinted", "Hint-infer on them", (*reads, "hinted"), ("eval-base",), _hinted),
    ]
    for name, control in MODELS.items():
        if control is None or control in config.controls:
            about = f"{name} on held-out problems"
            found.append(Stage(f"eval-{name}", about, reads, (name,), _evaluation_of(name)))
    for name, needs in (("base", ()), ("start", ("start",))) if config.evaluation.rounds else ():
        about = f"rounds of hints, {name}"
        needed = (*needs, f"eval-{name}")
        found.append(Stage(f"rounds-{name}", about, reads, needed, _rounds_of(name)))
    return found


def _base(pipeline: Pipeline) -> dict[str, Any]:
    return _evaluated(pipeline, "base", pipeline.config.base)


def _evaluation_of(name: str) -> Any:
    return lambda pipeline: _evaluated(pipeline, name, model_of(pipeline, name))


def _evaluated(pipeline: Pipeline, name: str, model: str) -> dict[str, Any]:
    folder = pipeline.path(f"eval-{name}")
    return rollout(
        pipeline.config, folder, _part(pipeline.config), model=model, problems=_problems(pipeline)
    )


def _hinted(pipeline: Pipeline) -> dict[str, Any]:
    """Greedy, each hint goes into the trace of the base model; else each sample thinks anew."""
    part = _part(pipeline.config).model_copy(update={"hints": pipeline.config.hinted.hints})
    after = pipeline.path("eval-base") if pipeline.config.evaluation.samples == 1 else None
    folder = pipeline.path("eval-hinted")
    return rollout(pipeline.config, folder, part, problems=_problems(pipeline), after=after)


def _part(config: Config) -> RolloutConfig:
    """How held-out problems are pipeline, whoever thinks."""
    evaluation = config.evaluation
    return RolloutConfig(samples=evaluation.samples, temperature=evaluation.temperature)


def _problems(pipeline: Pipeline) -> list[Problem]:
    return held_out(pipeline.config.evaluation, pipeline.config.problems.families)


def _rounds_of(name: str) -> Any:
    def work(pipeline: Pipeline) -> dict[str, Any]:
        model = pipeline.config.base if name == "base" else model_of(pipeline, name)
        return rounds(
            pipeline.config, pipeline.path(f"rounds-{name}"), model, pipeline.path(f"eval-{name}")
        )

    return work


def rounds(config: Config, folder: Path, model: str, after: Path) -> dict[str, Any]:
    """Rounds of hints behind the traces of an evaluation (START, figure 5), for some problems.

    Args:
        config: the run.
        folder: gets the rows: of each problem, of round 0 and each behind it, whether it is right,
            its calls, and the tokens that were sampled for it.
        model: who thinks.
        after: the evaluation of that model.

    Returns:
        how many problems are right in the last round.
    """
    problems = _first(held_out(config.evaluation, config.problems.families), config)
    python = plugins.load("interpreters", "python")()
    model = model_name(model)
    with ExitStack() as stack:
        bases = Bases(after, stack)
        backend = open_backend(
            model, config.backend, servers=config.servers, **config.backend_options
        )
        scaling = _Rounds(config, backend, python, bases)
        jobs = scaling.jobs(problems, model)
        experiment.compute_rows(
            folder, config.max_concurrency, jobs, backend, python, scaling.work_of
        )
    results = [row.result for row in read_rows(folder)]
    return {"problems": len(results), "correct": sum(bool(r and r["correct"]) for r in results)}


def _first(problems: Sequence[Problem], config: Config) -> list[Problem]:
    """The first ones of each family."""
    taken = Counter[str]()
    found = []
    for problem in problems:
        taken[problem.family] += 1
        if taken[problem.family] <= config.evaluation.rounds_n:
            found.append(problem)
    return found


class _Rounds:
    """Rounds for one problem at a time."""

    def __init__(self, config: Config, backend: Backend, python: Interpreter, bases: Bases) -> None:
        self._config = config
        self._bases = bases
        rounds, limits = config.evaluation.rounds, config.limits
        self._hints = round_hints(rounds)
        self._limits = limits.model_copy(update={"max_tokens": limits.max_tokens * (rounds + 1)})
        self._session = ReasoningSession(
            backend,
            interpreter=python,
            limits=self._limits,
            sampling=Sampling(temperature=config.evaluation.temperature),
        )

    def jobs(self, problems: Sequence[Problem], model: str) -> list[Job]:
        hints = [hint.model_dump() for hint in self._hints]
        key = config_hash(model, after=self._bases.config, limits=self._limits, hints=hints)
        options = argparse.Namespace(seed=self._config.seed)
        return [experiment.job_of(problem, options, key, "rounds") for problem in problems]

    def work_of(self, judge: Judge) -> Work:
        async def work(job: Job) -> dict[str, Any]:
            problem = problem_of(job)
            _, gold = experiment.asked(problem, self._config.prompt, job.seed)
            first = self._bases.trace(job.problem)
            traces = think_in_rounds(self._session, first, self._hints, seed=sample_seed(job))
            steps = []
            async for trace in traces:
                graded = await judge.judge(trace, problem, gold)
                kept = {name: graded[name] for name in ("answer", "correct", "calls")}
                steps.append({**kept, "tokens": sampled(trace)})
            return {**steps[-1], "rounds": steps}

        return work
