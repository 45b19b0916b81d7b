"""Runs a model on problems: model x policy x problems -> judged traces, all of them kept.

    python -m recipes.rollout --config recipes/configs/tiny.toml --part plain --out runs/x/plain
    python -m recipes.rollout --config recipes/configs/tiny.toml --part hinted \
        --after runs/x/plain --out runs/x/hinted
    python -m recipes.rollout --config recipes/configs/tiny.toml --part sampled \
        --model runs/x/start-0/model --out runs/x/sampled

All other programs run models with this one. Run directly, it uses the training problems of a
config, whose tables are the parts: `plain` (greedy, no hints), `hinted`, `sampled`, `text` (no
tool). With `--after`, policies that name a place, and rounds, continue the problem's trace from the
rollout without hints, which is not sampled again (START, section 3). Other policies begin a new
thought, as do all without `--after`.

The output folder contains every sample, correct or wrong, with its trace or the reason why there is
none (rows.sqlite), and counts (report.json). The same command resumes, and tries failed rows again.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recipes import policies
from recipes.bases import Bases
from recipes.command import command_line, created, given, out_of, program
from recipes.config import Config
from recipes.data import training_problems
from recipes.questions import Judge, asked, conclusion, job_of, problem_of, requested
from recipes.settings import RolloutConfig
from recipes.suites import Problem
from start_sdk import Backend, ConfigError, Interpreter, ReasoningSession, Trace, batch, plugins
from start_sdk.batch import Job, RowStore, config_hash, read_rows, sample_seed
from start_sdk.batch.scoring import grouped, results
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
        solver = Solver(config, part, model or config.base, config.opened(model), bases)
        keys = asyncio.run(solver.compute(folder, problems))
    report = counted(folder, keys)
    about = {"model": model or config.base, **part.model_dump(), "by policy": report}
    (folder / "report.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return report


@dataclass(frozen=True)
class Solver:
    """Has a model think about problems, as policies say."""

    config: Config
    part: RolloutConfig
    model: str
    backend: Backend
    bases: Bases | None
    python: Interpreter = field(default_factory=lambda: plugins.load("interpreters", "python")())

    async def compute(self, folder: Path, problems: Sequence[Problem]) -> dict[str, str]:
        """Computes the rows that are missing, under a live table, and closes the backend.

        Returns:
            the keys of the rows, by policy.
        """
        async with aclosing(self.backend), Grader() as grader:
            keys = self.keys()  # only now: opening a model of the hub has downloaded it
            jobs = self.jobs(problems, keys)
            check_folder(folder, keys, self.config.seed)
            judge = Judge(grader, self.python)
            with (
                RowStore(created(folder) / "rows.sqlite") as store,
                batch.LiveTable(store.rows(jobs), len(jobs)) as table,
            ):
                await batch.run_batch(
                    store,
                    jobs,
                    lambda job: self.solve(job, judge),
                    max_concurrency=self.config.max_concurrency,
                    retry_failed=True,  # a server may have been down
                    on_row=table.add,
                )
        return keys

    def keys(self) -> dict[str, str]:
        """Of each policy, a hash of what its rows depend on beside problem and seed."""
        config, tokenizer = self.config, self.backend.tokenizer
        if config.template:  # refuses options that the template does not read
            tokenizer.render([{"role": "user", "content": "2 + 2?"}], config.template)
        key = config_hash(
            self.model or self.backend.capabilities.model,
            backend=config.backend,
            options=config.backend_options,
            sampling=config.sampled_at(self.part.temperature),
            limits=config.limits,
            format=detect(tokenizer),
            interpreter=self.python,
            asked=[config.prompt, config.template, config.conclude, config.hint],
            library=policies.library(config),
            after=self.bases.config if self.bases else None,
        )
        return {name: policies.key_of(name, key) for name in self.part.hints}

    def jobs(self, problems: Sequence[Problem], keys: Mapping[str, str]) -> list[Job]:
        """The first sample of every problem before the second of any."""
        jobs = [
            job_of(problem, policy=name, seed=self.config.seed, config=key)
            for problem in problems
            for name, key in keys.items()
            if policies.fits(name, problem)
        ]
        if self.part.only_wrong and self.bases:
            jobs = [job for job in jobs if job.problem not in self.bases.correct]
        return batch.in_rounds(jobs, self.part.samples)

    async def solve(self, job: Job, judge: Judge) -> dict[str, Any]:
        """A row's result: the verdict, what was spent, and the trace.

        For a policy of several rounds these are the last round's, with the tokens of all of them,
        and `steps` has every round's.
        """
        problem = problem_of(job)
        _, gold = asked(problem, self.config.prompt, job.seed)
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
        config, name, seed = self.config, job.policy, sample_seed(job)
        kind, what = policies.parts(name)
        bases = self.bases if kind in (*policies.PLACES, *policies.AGAIN) else None
        base = bases.trace(job.problem) if bases else None
        limits = config.limits
        if kind in policies.AGAIN:  # each round may spend as much as one thought
            more = limits.max_tokens * (int(what) + 1)
            limits = limits.model_copy(update={"max_tokens": more})
        # A session of its own for each problem, which is cheap: each may have its own hint.
        session = ReasoningSession(
            self.backend,
            interpreter=None if kind in ("no-tool", "wait") else self.python,
            hints=None if base else policies.policy_of(name, problem, config, seed),
            limits=limits,
            sampling=config.sampled_at(self.part.temperature),
            conclude=conclusion(problem, config),
            template=config.template or None,
        )
        question, _ = asked(problem, config.prompt, job.seed)
        if kind in policies.AGAIN:
            hints = policies.again(name, config)
            rounds = think_in_rounds(session, base or question, hints, seed=seed)
            return [trace async for trace in rounds]
        if base:
            words = policies.connectives(problem, config)
            point = policies.point_of(name, base, session, seed, words)
            hint = policies.hint_of(name, problem, config, seed)
            return [await session.resume_hinted(base, point, hint, seed=seed)]
        if kind == "prompt":
            question = requested(what, question)
        return [await session.run(question, seed=seed)]


def check_folder(folder: Path, keys: Mapping[str, str], seed: int) -> None:
    """Raises ConfigError if a folder has rows of these policies of another config or seed."""
    if (folder / "rows.sqlite").exists() and any(
        row.job.policy in keys and (row.job.config, row.job.seed) != (keys[row.job.policy], seed)
        for row in read_rows(folder)
    ):
        raise ConfigError(
            f"{str(folder)!r} contains rows made with other options: give another --out"
        )


def counted(folder: Path, keys: Mapping[str, str]) -> dict[str, Any]:
    """Counts of a rollout's rows, by policy; calls that were only replayed do not count."""
    rows = (row for row in read_rows(folder) if keys.get(row.job.policy) == row.job.config)
    return {
        name: {
            "samples": len(some),
            "failed": sum(one.finish == "failed" for one in some),
            "correct": sum(one.correct for one in some),
            "with calls": sum(one.calls > 0 for one in some),
            "calls": sum(one.calls for one in some),
            "sampled tokens": sum(one.sampled for one in some),
        }
        for name, some in grouped(results(rows), "policy").items()
    }


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
