"""Shared by the programs over suites: options, problems, grading, and resumable rows."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

from recipes import livecodebench, programs, suites
from recipes.command import CommandLine, add_backend_options
from recipes.live import LiveTable
from recipes.livecodebench import upstream
from recipes.settings import Evaluation
from recipes.tiny.families import CODE, FAMILIES, MATH
from recipes.tiny.prompts import with_prompt
from start_sdk import (
    Backend,
    ConfigError,
    Interpreter,
    Message,
    StartError,
    Trace,
    models,
    open_backend,
    plugins,
)
from start_sdk.batch import Job, Row, RowStore, Work, fingerprint, run_batch
from start_sdk.cli import parsed_options
from start_sdk.grading import Grader, last_code_block, shuffled

GROUPS = {"math": MATH, "code": CODE, "all": FAMILIES}
#: What the prompt "boxed" adds; the miniature knows its own questions alone.
BOXED = "\n\nPlease reason step by step, and put your final answer within \\boxed{}."
PROGRAM = (
    "\n\nPlease reason step by step, and give your whole program, in Python, in a ```python block"
    " behind your thoughts."
)
LETTER = "\n\nPlease reason step by step, and put the letter of your choice within \\boxed{}."


def command_line(prog: str, doc: str | None) -> argparse.ArgumentParser:
    """The options that all of them have."""
    parser = CommandLine(
        prog=prog, description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--suite", help=f"tiny, {', '.join(suites.SUITES)}, livecodebench, or a file of problems")
    add("--data", type=Path, nargs="+", default=[], metavar="FILE", help="files of livecodebench")
    add("--since", type=date.fromisoformat, metavar="DATE", help="of livecodebench: first contest")
    add("--until", type=date.fromisoformat, metavar="DATE", help="last contest, inclusive")
    add(
        "--release", choices=livecodebench.RELEASES, help="check the sizes of livecodebench's files"
    )
    add("--model", help="base (the default), start, a folder, a hub id, or its name on a server")
    add("--backend", help="what runs the model; by default found out by its name or address")
    add_backend_options(parser)
    add("--families", choices=GROUPS, default="all", help="problem families of the suite tiny")
    add("--n", type=int, help="number of problems (for the suite tiny: per family, default 20)")
    add("--max-calls", type=int, default=6, help="cells per sample (the paper's limit is 6)")
    add("--max-concurrency", type=int, default=3, help="problems to run at the same time")
    add("--seed", type=int, default=0, help="seed of problems, options and samples")
    add("--out", type=Path, help="output folder for rows and report")
    return parser


def model_name(model: str) -> str:
    """The embedded model that "base" or "start" stands for; any other name as it is."""
    return {"base": models.BASE, "start": models.DEFAULT}.get(model, model)


def settle(config: argparse.Namespace) -> None:
    """Replaces what the options say about the model by what is meant.

    `model` becomes a name that backends know, "" for the only one of a server, `backend` a plugin's
    name, `backend_options` its options, and `runs_on` what a row's key says of both: not where the
    servers are.

    Raises:
        ConfigError: an option of the backend is not NAME=VALUE.
    """
    config.model = model_name(config.model or ("" if config.server else "base"))
    where = config.server[0] if config.server else config.model
    config.backend = config.backend or plugins.backend_for(where)
    config.backend_options = parsed_options(config.backend_option)
    config.runs_on = {"backend": config.backend}
    if config.backend_options:
        config.runs_on["options"] = config.backend_options


def opened(config: argparse.Namespace) -> Backend:
    """The backend that `settle` settled on; gives `model` a name if it has none yet."""
    backend = open_backend(
        config.model, config.backend, servers=config.server, **config.backend_options
    )
    config.model = config.model or backend.capabilities.model
    return backend


def problems_of(config: argparse.Namespace) -> list[suites.Problem]:
    """The problems that the options name."""
    if config.suite == "tiny":
        return suites.tiny(GROUPS[config.families], config.n or 20, config.seed)
    if config.suite == "livecodebench":
        return list(livecodebench.load(selection(config))[: config.n])
    return load(config.suite)[: config.n]


def selection(config: argparse.Namespace) -> livecodebench.Selection:
    """Which problems of LiveCodeBench the options name.

    Raises:
        ConfigError: they name no file.
    """
    if not config.data:
        raise ConfigError("--suite livecodebench needs its files: --data test4.jsonl test5.jsonl")
    return livecodebench.Selection(
        tuple(config.data), config.since, config.until, config.release or ""
    )


def load(name: str) -> list[suites.Problem]:
    """The problems of a suite: as `suites.load`, or `livecodebench=FILE,FILE`."""
    suite, _, files = name.partition("=")
    if suite != "livecodebench":
        return suites.load(name)
    if not files:
        raise ConfigError("livecodebench needs its files: livecodebench=test4.jsonl,test5.jsonl")
    return list(livecodebench.load(livecodebench.Selection(tuple(map(Path, files.split(","))))))


def held_out(evaluation: Evaluation, families: str) -> list[suites.Problem]:
    """The problems that a run of Hint-RFT is evaluated on; each suite is a family of its own, but
    tiny, which has several."""
    found: list[suites.Problem] = []
    for suite in evaluation.suites:
        if suite == "tiny":
            for seed in evaluation.seeds:
                found += suites.tiny(GROUPS[families], evaluation.n, seed)
        else:
            found += [replace(problem, family=suite) for problem in load(suite)]
    return found


def drawn(config: argparse.Namespace) -> list[tuple[argparse.Namespace, suites.Problem]]:
    """The problems of each of `config.seeds`, beside the options with that seed."""
    each = [argparse.Namespace(**{**vars(config), "seed": seed}) for seed in config.seeds]
    return [(one, problem) for one in each for problem in problems_of(one)]


def job_of(problem: suites.Problem, config: argparse.Namespace, key: str, policy: str) -> Job:
    """The job of a problem; a text that was edited is another problem."""
    row = asdict(problem)
    identity = {name: value for name, value in row.items() if name != "stored"}  # files move
    name = f"{problem.id}:{fingerprint(identity)}"
    return Job(problem=name, policy=policy, seed=config.seed, config=key, input=row)


def problem_of(job: Job) -> suites.Problem:
    """The problem of a job, as its row has it."""
    kind: type[suites.Problem] = suites.Problem
    if "samples" in job.input:
        kind = suites.CodeProblem if "starter" in job.input else suites.TinyTask
    return kind(**{name: _tuples(value) for name, value in job.input.items()})


def _tuples(value: Any) -> Any:
    """A value of JSON with tuples for lists."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def asked(problem: suites.Problem, prompt: str, seed: int) -> tuple[str | list[Message], str]:
    """What the model is asked, and the answer that is right for it.

    The options of a multiple choice are shuffled by (seed, problem).
    """
    question, gold, wish = problem.question, problem.gold, BOXED
    if isinstance(problem, suites.CodeProblem):
        if prompt == "livecodebench":
            return livecodebench.prompt(problem), gold
        wish = PROGRAM
    elif problem.distractors:
        choices = shuffled(gold, problem.distractors, problem_id=problem.id, seed=seed)
        question, gold, wish = f"{question}\n\n{choices.text}", choices.letter, LETTER
    return (question + wish if prompt == "boxed" else with_prompt(prompt, question)), gold


class Judge:
    """Says of a trace whether it is right: by its answer, or by the tests of a code task."""

    def __init__(self, grader: Grader, python: Interpreter) -> None:
        self._grader = grader
        self._python = python

    async def judge(self, trace: Trace, problem: suites.Problem, gold: str) -> dict[str, Any]:
        """`answer`, `gold`, `correct` and `how`, `calls`, and the `trace` itself, all JSON."""
        if problem.tests or isinstance(problem, suites.CodeProblem):
            code = last_code_block(trace.response) or last_code_block(trace.thinking)
            outcome = await programs.judge(self._python, problem, code)
            graded = {"answer": code, "gold": gold, "correct": outcome == "passed"}
            graded |= {"how": "tests", "outcome": outcome}
            if isinstance(problem, suites.CodeProblem) and problem.stored:
                graded["upstream"] = await upstream.passes(self._python, problem, trace.response)
        else:
            kind: Literal["choice", "math"] = "choice" if problem.distractors else "math"
            verdict = await self._grader.grade(trace, gold, kind)
            answer = verdict.answer or trace.answer
            graded = {
                "answer": answer, "gold": gold, "correct": verdict.correct, "how": verdict.how
            }  # fmt: skip
        return {**graded, "calls": len(trace.calls), "trace": trace.model_dump(mode="json")}


def compute(
    config: argparse.Namespace,
    jobs: list[Job],
    backend: Backend,
    python: Interpreter,
    work_of: Callable[[Judge], Work],
) -> list[Row]:
    """`compute_rows` into `config.out`; returns the rows of these jobs."""
    compute_rows(config.out, config.max_concurrency, jobs, backend, python, work_of)
    with RowStore(config.out / "rows.sqlite") as store:
        return [row for row in store.rows(jobs) if row.state in ("done", "failed")]


def compute_rows(
    out: Path,
    max_concurrency: int,
    jobs: list[Job],
    backend: Backend,
    python: Interpreter,
    work_of: Callable[[Judge], Work],
) -> None:
    """Computes what is not done yet under a live table, and closes the backend.

    The folder gets rows.sqlite (`start_sdk.batch.read_rows`). After a run that was stopped, the
    same jobs continue from there, and those that failed are tried again.
    """

    async def run(store: RowStore) -> None:
        try:
            async with Grader() as grader:
                work = work_of(Judge(grader, python))
                with LiveTable(store.rows(jobs), len(jobs)) as table:
                    await run_batch(
                        store,
                        jobs,
                        work,
                        max_concurrency=max_concurrency,
                        retry_failed=True,  # a server may have been down
                        on_row=table.add,
                    )
        finally:
            await backend.aclose()

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot create folder {str(out)!r}: {error.strerror}") from error
    with RowStore(out / "rows.sqlite") as store:
        asyncio.run(run(store))


def checked(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options as they were given; exits with 2 and one line if they make no sense."""
    config = parser.parse_args()
    if not config.suite or not config.out or config.max_concurrency < 1:
        parser.error("--suite and --out are required, and --max-concurrency must be at least 1")
    if config.n is not None and config.n < 1:
        parser.error("--n must be at least 1")
    return config


def program(parser: argparse.ArgumentParser, body: Callable[[], int | None]) -> int:
    """Runs a program's body, which may say its exit status: 2 for bad input, 130 for Ctrl-C."""
    try:
        return body() or 0
    except StartError as error:
        parser.exit(2, f"error: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "stopped; run the same command again to resume\n")
