"""Evaluates a model on a suite, with hints or without: the one evaluation program.

    python -m recipes.evaluate --suite tiny --hints end --n 30 --seed 7 --out runs/tiny-end
    python -m recipes.evaluate --suite aime24 --model Qwen/QwQ-32B-Preview --k 16 --out runs/aime24
    python -m recipes.evaluate compare runs/tiny-none runs/tiny-end
    python -m recipes.evaluate --check-grader problems.jsonl

Suites: tiny, aime24, aime25, amc23, math500, gpqa, or a JSONL or Parquet file with their columns
(recipes/suites.py). With `--k 1` it is greedy, else it samples at the paper's temperature 0.6 and
top-p 0.95. The folder holds every sample with its trace (rows.sqlite, rows.jsonl) and the report
(report.md, report.json, report.png); the same command goes on where it was stopped. No time enters
the report: equal seeds give equal reports.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from recipes import check_grader, compare, suites
from recipes.live import LiveTable
from recipes.report import results, write_report
from recipes.tiny.families import CODE, FAMILIES, MATH
from recipes.tiny.prompts import PROMPTS, with_prompt
from start_sdk import (
    Backend,
    BeforeEnd,
    ConfigError,
    Dialect,
    HintPolicy,
    Interpreter,
    Limits,
    Message,
    ReasoningSession,
    Sampling,
    StartError,
    models,
    open_backend,
    plugins,
)
from start_sdk.batch import config_hash, in_rounds, run_batch
from start_sdk.cli import load_policy
from start_sdk.grading import Grader, last_code_block, shuffled
from start_sdk.rows import Job, export_jsonl, fingerprint, sample_seed
from start_sdk.store import RowStore

GROUPS = {"math": MATH, "code": CODE, "all": FAMILIES}
#: What the prompt "boxed" adds; the miniature knows its own questions alone.
BOXED = "\n\nPlease reason step by step, and put your final answer within \\boxed{}."
LETTER = "\n\nPlease reason step by step, and put the letter of your choice within \\boxed{}."


def model_name(model: str) -> str:
    """The embedded model that "base" or "start" stands for; any other name as it is."""
    name = {"base": "start-tiny-base", "start": "start-tiny"}.get(model, model)
    if model == "start" and models.folder(name) is None:
        raise ConfigError("start-tiny, the miniature that Hint-RFT makes, is not there yet")
    return name


def chosen_policy(hints: str, hint: str | None, seed: int) -> HintPolicy:
    """The policy by its name; `hint` says which text `end` takes."""
    if hint is None:
        return load_policy(hints, rounds=1, seed=seed)
    if hints != "end":
        raise ConfigError("--hint goes with --hints end")
    return BeforeEnd(hints=(hint,))


def asked(problem: suites.Problem, prompt: str, seed: int) -> tuple[str | list[Message], str]:
    """What the model is asked, and the answer that is right for it.

    The options of a multiple choice are shuffled by (seed, problem).
    """
    question, gold, wish = problem.question, problem.gold, BOXED
    if problem.distractors:
        choices = shuffled(gold, problem.distractors, problem_id=problem.id, seed=seed)
        question, gold, wish = f"{question}\n\n{choices.text}", choices.letter, LETTER
    return (question + wish if prompt == "boxed" else with_prompt(prompt, question)), gold


class Evaluation:
    """What every job of one evaluation shares: session, grader, interpreter."""

    def __init__(
        self, session: ReasoningSession, grader: Grader, python: Interpreter, prompt: str
    ) -> None:
        self._session = session
        self._grader = grader
        self._python = python
        self._prompt = prompt

    async def work(self, job: Job) -> dict[str, Any]:
        """One sample of a problem: its trace, its answer and the verdict."""
        problem = suites.Problem(**{k: _tuples(v) for k, v in job.input.items()})
        question, gold = asked(problem, self._prompt, job.seed)
        trace = await self._session.run(question, seed=sample_seed(job))
        if problem.tests:
            code = last_code_block(trace.response) or last_code_block(trace.thinking)
            right = await self._passes(code, problem.tests)
            graded = {"answer": code, "gold": gold, "correct": right, "how": "tests"}
        else:
            kind: Literal["choice", "math"] = "choice" if problem.distractors else "math"
            text = f"\\boxed{{{trace.answer}}}" if trace.answer else trace.response
            verdict = await self._grader.grade(text, gold, kind)
            answer = verdict.answer or trace.answer
            graded = {
                "answer": answer, "gold": gold, "correct": verdict.correct, "how": verdict.how
            }  # fmt: skip
        return {**graded, "calls": len(trace.calls), "trace": trace.model_dump(mode="json")}

    async def _passes(self, code: str | None, tests: Sequence[tuple[int, int]]) -> bool:
        """Whether the function f has these values, in a kernel of its own."""
        if code is None:
            return False
        calls = ", ".join(f"f({argument})" for argument, _ in tests)
        async with self._python.open() as kernel:
            result = await kernel.run(f"{code}\nprint('values:', [{calls}])")
        return result.text.strip().endswith(f"values: {[value for _, value in tests]}")


def _tuples(value: Any) -> Any:
    """A value of JSON with tuples for lists."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


async def evaluate(
    store: RowStore, jobs: list[Job], backend: Backend, session: ReasoningSession,
    python: Interpreter, config: argparse.Namespace,
) -> None:  # fmt: skip
    """Runs what is not done yet; the table is live."""
    try:
        async with Grader() as grader:
            evaluation = Evaluation(session, grader, python, config.prompt)
            with LiveTable(store.rows(jobs), len(jobs)) as table:
                await run_batch(
                    store, jobs, evaluation.work, at_once=config.at_once, on_row=table.add
                )
    finally:
        await backend.aclose()


def sampling_of(config: argparse.Namespace) -> Sampling:
    """Greedy for one sample, the paper's sampling for several."""
    chosen = config.temperature
    return Sampling(temperature=(0.0 if config.k == 1 else 0.6) if chosen is None else chosen)


def jobs_of(problems: list[suites.Problem], config: argparse.Namespace, key: str) -> list[Job]:
    """A job per sample, the first of every problem before the second of any."""
    jobs = [
        Job(
            problem=f"{p.id}:{fingerprint(asdict(p))}",
            policy=f"{config.hints}:{config.hint}" if config.hint else config.hints,
            seed=config.seed,
            config=key,
            input=asdict(p),
        )
        for p in problems
    ]
    return in_rounds(jobs, config.k)


def run(config: argparse.Namespace) -> None:
    """The evaluation and its report."""
    config.model = model_name(config.model)
    policy = chosen_policy(config.hints, config.hint, config.seed)
    if config.suite == "tiny":
        problems = suites.tiny(GROUPS[config.families], config.n or 20, config.seed)
    else:
        problems = suites.load(config.suite)[: config.n]
    config.prompt = config.prompt or ("plain" if config.suite == "tiny" else "boxed")
    try:
        config.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make folder {str(config.out)!r}: {error.strerror}") from error
    limits, sampling = Limits(max_calls=config.max_calls), sampling_of(config)
    python = plugins.load("interpreters", "python")()
    backend = open_backend(config.model, config.backend)
    session = ReasoningSession(
        backend, interpreter=python, hints=policy, limits=limits, sampling=sampling
    )
    # Behind the opening: only then is a model of the hub on this machine, and its commit known.
    key = config_hash(
        config.model,
        backend=config.backend,
        sampling=sampling,
        limits=limits,
        dialect=Dialect.detect(backend.tokenizer),
        hints=policy,
        interpreter=python,
        prompt=config.prompt,
    )
    jobs = jobs_of(problems, config, key)
    with RowStore(config.out / "rows.sqlite") as store:
        try:
            asyncio.run(evaluate(store, jobs, backend, session, python, config))
        finally:  # also of an evaluation that was stopped: what is done is written
            done = [row for row in store.rows(jobs) if row.state in ("done", "failed")]
            export_jsonl(done, config.out / "rows.jsonl")
    title = {"suite": config.suite, "model": config.model, "hints": config.hints}
    more = {"hint": config.hint, "prompt": config.prompt, "k": config.k, "seed": config.seed}
    print(write_report(results(done), {**title, **more}, config.out))


def command_line() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--suite", help=f"tiny, {', '.join(suites.SUITES)}, or a file")
    add("--model", default="base", help="base, start, a folder, or a hub id")
    add("--backend", default="transformers", help="what runs the model")
    add("--hints", default="none", help="none, end, connective, or a plugin")
    add("--hint", help="id of the hint that `end` takes (default: general)")
    add("--prompt", choices=(*PROMPTS, "boxed"), help="default: plain for tiny, else boxed")
    add("--families", choices=GROUPS, default="all", help="of the suite tiny")
    add("--n", type=int, help="problems (of the suite tiny: per family, default 20)")
    add("--k", type=int, default=1, help="samples of each problem")
    add("--temperature", type=float, help="default: 0 with --k 1, else 0.6")
    add("--max-calls", type=int, default=6, help="cells of one sample (the paper's limit is 6)")
    add("--at-once", type=int, default=3, help="samples in flight")
    add("--seed", type=int, default=0, help="of problems, options and samples")
    add("--out", type=Path, help="folder of rows and report")
    add("--check-grader", type=Path, nargs="+", metavar="FILE", help="check the grader instead")
    return parser


def main() -> int:
    """Evaluates, compares, or checks the grader; 2 for bad input, 130 for Ctrl-C."""
    if sys.argv[1:2] == ["compare"]:
        return compare.main(sys.argv[2:])
    parser = command_line()
    config = parser.parse_args()
    try:
        if config.check_grader:
            return check_grader.main(config.check_grader)
        if not config.suite or not config.out or config.k < 1 or config.at_once < 1:
            parser.error("--suite and --out are needed; --k and --at-once are at least 1")
        run(config)
    except StartError as error:
        parser.exit(2, f"error: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "stopped; the same command goes on from here\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
