"""Runs a model on problems: model x policy x problems -> judged traces, all of them kept.

    python -m recipes.rollout --config recipes/configs/tiny.toml --part plain --out runs/x/plain
    python -m recipes.rollout --config recipes/configs/tiny.toml --part hinted \
        --after runs/x/plain --out runs/x/hinted
    python -m recipes.rollout --config recipes/configs/tiny.toml --part sampled \
        --model runs/x/start-0/model --out runs/x/sampled

All other programs run models with this one. Run directly, it uses the training problems of a
config, whose tables are the parts: `plain` (greedy, no hints), `hinted`, `sampled`, `text` (no
tool). With `--after`, hints are inserted into the problem's trace from the rollout without hints,
which is not sampled again (START, section 3). Otherwise the model begins a new thought.

The output folder contains every sample, correct or wrong, with its trace or the reason why there is
none (rows.sqlite), and counts (report.json). The same command resumes, and tries failed rows again.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from recipes import policies
from recipes.bases import Bases
from recipes.command import command_line, given, out_of, program
from recipes.config import Config
from recipes.data import training_problems
from recipes.questions import Judge, asked, conclusion, job_of, problem_of, requested
from recipes.settings import RolloutConfig
from recipes.suites import Problem
from start_sdk import (
    Backend,
    ConfigError,
    Interpreter,
    ReasoningSession,
    StartError,
    Trace,
    batch,
    plugins,
)
from start_sdk.batch import Job, RowStore, config_hash, in_rounds, read_rows, sample_seed
from start_sdk.cli import say
from start_sdk.formats import detect
from start_sdk.grading import Grader
from start_sdk.hints import sampled, think_in_rounds

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
    """Computes the rows that are missing, and writes the folder.

    Args:
        config: the run.
        folder: gets rows and report; several rollouts may share one.
        part: which policies, how often, at which temperature.
        model: the model to run; the config's base by default.
        problems: those of the config by default.
        after: the folder of a rollout without hints, of the same model: hints are inserted into its
            first samples.

    Returns:
        the report: samples, right answers, calls and tokens, by policy.

    Raises:
        ConfigError: a policy, a folder or an option that cannot be used.
    """
    problems = training_problems(config) if problems is None else problems
    policies.check(part.hints, config, problems, staged=after is not None)
    if part.only_wrong and after is None:
        raise ConfigError("only_wrong needs an existing rollout: give --after")
    with ExitStack() as stack:
        bases = Bases(after, config.seed, stack) if after else None
        backend = config.opened(model)
        try:
            solver = Solver(config, part, backend, bases)
            # Computed only now: opening a model of the hub downloads it.
            key = solver.key(model or config.base)
            keys = {name: policies.key_of(name, key) for name in part.hints}
            jobs = jobs_of(config, part, problems, keys, bases)
            check_folder(folder, keys, config.seed)
        except StartError:
            asyncio.run(backend.aclose())
            raise
        compute(folder, jobs, solver, config.max_concurrency)
    report = counted(folder, keys)
    about = {"model": model or config.base, **part.model_dump(), "by policy": report}
    (folder / "report.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return report


def jobs_of(
    config: Config,
    part: RolloutConfig,
    problems: Sequence[Problem],
    keys: Mapping[str, str],
    bases: Bases | None,
) -> list[Job]:
    """The jobs of a rollout, the first sample of every problem before the second of any."""
    jobs = [
        job_of(problem, policy=name, seed=config.seed, config=key)
        for problem in problems
        for name, key in keys.items()
        if policies.fits(name, problem)
    ]
    if part.only_wrong and bases:
        jobs = [job for job in jobs if job.problem not in bases.correct]
    return in_rounds(jobs, part.samples)


def check_folder(folder: Path, keys: Mapping[str, str], seed: int) -> None:
    """Raises ConfigError if a folder has rows of these policies of another config or seed."""
    if (folder / "rows.sqlite").exists() and any(
        row.job.policy in keys and (row.job.config, row.job.seed) != (keys[row.job.policy], seed)
        for row in read_rows(folder)
    ):
        raise ConfigError(
            f"{str(folder)!r} contains rows made with other options: give another --out"
        )


class Solver:
    """Has the model think about one problem at a time, as a policy says."""

    def __init__(
        self, config: Config, part: RolloutConfig, backend: Backend, bases: Bases | None = None
    ) -> None:
        self.backend = backend
        self.python: Interpreter = plugins.load("interpreters", "python")()
        self._config = config
        self._bases = bases
        self._sampling = config.sampled_at(part.temperature)
        if config.template:  # refuses options that the template does not read
            backend.tokenizer.render([{"role": "user", "content": "2 + 2?"}], config.template)

    def key(self, model: str) -> str:
        """A hash of what rows depend on beside problem, policy and seed."""
        config, bases = self._config, self._bases
        return config_hash(
            model or self.backend.capabilities.model,
            backend=config.backend,
            options=config.backend_options,
            sampling=self._sampling,
            limits=config.limits,
            format=detect(self.backend.tokenizer),
            interpreter=self.python,
            asked=[config.prompt, config.template, config.conclude, config.hint],
            library=policies.library(config),
            after=bases.config if bases else None,
        )

    async def solve(self, job: Job, judge: Judge) -> dict[str, Any]:
        """A row's result: the verdict, what was spent, and the trace.

        For a policy of several rounds these are the last round's, with the tokens of all of them,
        and `steps` has every round's.
        """
        problem = problem_of(job)
        _, gold = asked(problem, self._config.prompt, job.seed)
        traces = await self._traces(job, problem)
        steps = [
            {
                **await judge.judge(trace, problem, gold),
                "calls": len(trace.calls),
                "replayed": sum(bool(call.replay) for call in trace.calls),
                "hints": len(trace.hints),
                "sampled": sampled(trace),
            }
            for trace in traces
        ]
        row = {**steps[-1], "trace": traces[-1].model_dump(mode="json")}
        if policies.parts(job.policy)[0] in policies.AGAIN:
            row |= {"sampled": sum(step["sampled"] for step in steps), "steps": steps}
        return row

    async def _traces(self, job: Job, problem: Problem) -> list[Trace]:
        """The finished trace; of a policy of several rounds, that of each."""
        config, bases, seed = self._config, self._bases, sample_seed(job)
        kind, what = policies.parts(job.policy)
        session = self._session(job.policy, problem, seed)
        question, _ = asked(problem, config.prompt, job.seed)
        if kind == "prompt":
            question = requested(what, question)
        if kind in policies.AGAIN:
            start = bases.trace(job.problem) if bases else question
            rounds = think_in_rounds(session, start, policies.again(job.policy, config), seed=seed)
            return [trace async for trace in rounds]
        if kind in policies.PLACES and bases:
            base = bases.trace(job.problem)
            words = policies.connectives(problem, config)
            point = policies.point_of(job.policy, base, self.backend.tokenizer, seed, words)
            hint = policies.hint_of(job.policy, problem, config, seed)
            return [await session.resume_hinted(base, point, hint, seed=seed)]
        return [await session.run(question, seed=seed)]

    def _session(self, name: str, problem: Problem, seed: int) -> ReasoningSession:
        """A session of its own for each problem, which is cheap: each may have its own hint."""
        config, (kind, what) = self._config, policies.parts(name)
        limits = config.limits
        if kind in policies.AGAIN:  # each round may spend as much as one thought
            more = limits.max_tokens * (int(what) + 1)
            limits = limits.model_copy(update={"max_tokens": more})
        inserted = self._bases is not None and kind in policies.PLACES
        return ReasoningSession(
            self.backend,
            interpreter=None if kind in ("no-tool", "wait") else self.python,
            hints=None if inserted else policies.policy_of(name, problem, config, seed),
            limits=limits,
            sampling=self._sampling,
            conclude=conclusion(problem, config),
            template=config.template or None,
        )


def compute(folder: Path, jobs: list[Job], solver: Solver, max_concurrency: int) -> None:
    """Computes the jobs that are not done yet, under a live table, and closes the backend."""

    async def run(store: RowStore) -> None:
        try:
            async with Grader() as grader:
                judge = Judge(grader, solver.python)
                with batch.LiveTable(store.rows(jobs), len(jobs)) as table:
                    await batch.run_batch(
                        store,
                        jobs,
                        lambda job: solver.solve(job, judge),
                        max_concurrency=max_concurrency,
                        retry_failed=True,  # a server may have been down
                        on_row=table.add,
                    )
        finally:
            await solver.backend.aclose()

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot create folder {str(folder)!r}: {error.strerror}") from error
    with RowStore(folder / "rows.sqlite") as store:
        asyncio.run(run(store))


def counted(folder: Path, keys: Mapping[str, str]) -> dict[str, Any]:
    """Counts of a rollout's rows, by policy; calls that were only replayed do not count."""
    found: dict[str, Counter[str]] = {}
    for row in read_rows(folder):
        if keys.get(row.job.policy) != row.job.config:
            continue
        counts = found.setdefault(row.job.policy, Counter(samples=0, failed=0, correct=0))
        counts["samples"] += 1
        if row.result is None:
            counts["failed"] += 1
            continue
        counts["correct"] += row.result["correct"]
        calls = row.result["calls"] - row.result["replayed"]
        counts["with calls"] += calls > 0
        counts["calls"] += calls
        counts["sampled tokens"] += row.result["sampled"]
    return {name: dict(counts) for name, counts in found.items()}


def main() -> int:
    """A rollout; 2 for bad input, 130 for Ctrl-C."""
    parser = command_line("recipes.rollout", __doc__, needs_config=True)
    parser.add_argument("--part", choices=PARTS, required=True)
    about = "folder of the rollout without hints to insert hints into"
    parser.add_argument("--after", type=Path, metavar="FOLDER", help=about)
    options = parser.parse_args()

    def body() -> None:
        config, folder = given(options), out_of(options)
        report = rollout(config, folder, getattr(config, options.part), after=options.after)
        say(json.dumps(report, indent=1))

    return program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
