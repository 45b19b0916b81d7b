"""`start-sdk solve`: runs a session for each problem of a file and stores the rows in a folder."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import Field

from start_sdk import models, plugins
from start_sdk._printing import Terminal
from start_sdk.batch import (
    BatchProgress,
    Job,
    Row,
    RowStore,
    Tally,
    config_hash,
    export_jsonl,
    fingerprint,
    in_rounds,
    run_batch,
    sample_seed,
)
from start_sdk.cli._common import (
    Hints,
    Seed,
    Temperature,
    fail,
    one_line_errors,
    quiet_libraries,
)
from start_sdk.cli._models import (
    ApiKeyEnv,
    BackendName,
    BackendOptions,
    BaseUrl,
    Choice,
    Mode,
    Model,
    TokenizerName,
)
from start_sdk.cli._options import load_policy
from start_sdk.cli._problems import TEXT_COLUMNS, Problem, Problems, read_problems
from start_sdk.errors import ConfigError, PromptError
from start_sdk.formats import detect
from start_sdk.generation import Sampling
from start_sdk.protocols import Backend, HintPolicy
from start_sdk.session import Limits, ReasoningSession
from start_sdk.values import Settings

SHOWN = 10
"""Maximum number of skipped lines, and of failure reasons, that are listed."""


class SolveConfig(Settings):
    """The validated options of `start-sdk solve`."""

    hints: str = "end"
    samples: Annotated[int, Field(gt=0)] = 1
    max_concurrency: Annotated[int, Field(gt=0)] = 4
    temperature: Annotated[float, Field(ge=0)] = 0.0
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    max_calls: Annotated[int, Field(ge=0)] = 6
    retry_failed: bool = False


@one_line_errors
def solve(
    file: Annotated[Path, typer.Argument(help="The problems, one JSON object per line.")],
    out: Annotated[
        Path, typer.Option(help="The folder for the rows; an existing one is continued.")
    ],
    model: Model = None,
    backend: BackendName = None,
    base_url: BaseUrl = None,
    mode: Mode = None,
    tokenizer: TokenizerName = None,
    api_key_env: ApiKeyEnv = None,
    backend_option: BackendOptions = None,
    hints: Hints = "none",
    samples: Annotated[int, typer.Option(help="Samples per problem.")] = 1,
    max_concurrency: Annotated[int, typer.Option(help="Maximum number of sessions in flight.")] = 4,
    temperature: Temperature = 0.0,
    seed: Seed = 0,
    max_calls: Annotated[int, typer.Option(help="Maximum number of cells to run per sample.")] = 6,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also retry rows that failed.")
    ] = False,
) -> None:
    """Solve each problem of a file. Run it again to continue after a stop or a crash."""
    chosen = Choice(model, backend, base_url, mode, tokenizer, api_key_env, backend_option)
    config = SolveConfig(
        hints=hints,
        samples=samples,
        max_concurrency=max_concurrency,
        temperature=temperature,
        seed=seed,
        max_calls=max_calls,
        retry_failed=retry_failed,
    )
    policy = load_policy(hints, rounds=1, seed=seed)
    quiet_libraries(chosen.model)
    if not solve_file(file, out, chosen, config, policy):
        fail("some lines are not done: see the summary")


def solve_file(
    file: Path, out: Path, chosen: Choice, config: SolveConfig, policy: HintPolicy
) -> bool:
    """Solves open problems, writes to `out` and prints a summary.

    Returns:
        Whether all lines are done.

    Raises:
        ConfigError: the file, the folder or an option cannot be used.
        KeyboardInterrupt: Ctrl-C, after finished rows were written and summarised.
    """
    began = time.monotonic()
    problems = read_problems(file)
    errors, shown = Terminal(stderr=True), list(problems.skipped.items())[:SHOWN]
    for number, reason in shown:
        errors.show((f"line {number} skipped: {reason}", "yellow"))
    limits = Limits(max_calls=config.max_calls)
    sampling = Sampling(temperature=config.temperature)
    if config.samples > 1 and not config.temperature and config.hints in ("none", "end"):
        raise ConfigError("at temperature 0 all samples are equal: set --temperature, e.g. 0.6")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot create folder {str(out)!r}: {error.strerror}") from error
    with RowStore(out / "rows.sqlite") as store:
        interpreter = plugins.load("interpreters", "python")()
        backend = chosen.open()
        session = ReasoningSession(
            backend, interpreter=interpreter, hints=policy, limits=limits, sampling=sampling
        )
        key = config_hash(
            chosen.model,
            backend=chosen.plugin,
            **chosen.counted(),
            sampling=sampling,
            limits=limits,
            format=detect(backend.tokenizer),
            hints=policy,
            interpreter=interpreter,
        )
        jobs = jobs_of(problems.good, config, key)
        tally, reasons = Tally(), Counter[str]()
        try:
            asyncio.run(_solve(store, jobs, session, backend, chosen.model, config))
        finally:  # also after Ctrl-C: finished rows are written
            export_jsonl(_finished(store, jobs, tally, reasons), out / "rows.jsonl")
            _print_summary(tally, reasons, problems, out, time.monotonic() - began)
    return tally.states["done"] == len(jobs) and not problems.skipped


def jobs_of(problems: Sequence[Problem], config: SolveConfig, key: str) -> list[Job]:
    """The jobs, with the first sample of every problem before any second one.

    A problem whose text was edited counts as another problem: the key is id and fingerprint.
    """
    first = [
        Job(
            problem=f"{p.id}:{fingerprint(p.text)}" if "id" in p.record else p.id,
            policy=config.hints,
            seed=config.seed,
            config=key,
            input=p.record,
        )
        for p in problems
    ]
    return in_rounds(first, config.samples)


async def _solve(
    store: RowStore,
    jobs: Sequence[Job],
    session: ReasoningSession,
    backend: Backend,
    model: str,
    config: SolveConfig,
) -> None:
    async def work(job: Job) -> dict[str, Any]:
        text = next(job.input[c] for c in TEXT_COLUMNS if c in job.input)
        if why := models.outside(model, text):
            raise PromptError(why)
        trace = await session.run(text, seed=sample_seed(job))
        return {"answer": trace.answer, "trace": trace.model_dump(mode="json")}

    states = store.counts(jobs)
    before = states["done"] + (0 if config.retry_failed else states["failed"])
    try:
        with BatchProgress(len(jobs), before=before) as progress:
            await run_batch(
                store,
                jobs,
                work,
                max_concurrency=config.max_concurrency,
                retry_failed=config.retry_failed,
                on_row=progress.add,
            )
    finally:
        await backend.aclose()


def _finished(
    store: RowStore, jobs: Sequence[Job], tally: Tally, reasons: Counter[str]
) -> Iterator[Row]:
    """Yields done and failed rows; counts all rows and the reasons for failures."""
    for row in store.rows(jobs):
        tally.add(row)
        reasons.update([row.error] if row.error else [])
        if row.state in ("done", "failed"):
            yield row


def _print_summary(
    tally: Tally, reasons: Counter[str], problems: Problems, out: Path, seconds: float
) -> None:
    states = tally.states
    left = states["todo"] + states["running"]
    rows = f"{states['done']} done, {states['failed']} failed, {left} left"
    if states["running"]:
        rows += f" ({states['running']} of them in another process)"
    skipped = ", ".join(map(str, list(problems.skipped)[:SHOWN]))
    more = ", ..." if len(problems.skipped) > SHOWN else ""
    lines = [
        ("rows", rows),
        *(("failed", f"{n} x {reason}") for reason, n in reasons.most_common(SHOWN)),
        ("lines", f"{len(problems.good)} read, {len(problems.skipped)} skipped"),
        ("skipped", skipped + more),
        ("tokens", tally.tokens_text()),
        ("calls", f"{tally.calls}"),
        (
            "seconds",
            f"{seconds:.1f} now; model {tally.seconds['model']:.1f}, "
            f"tool {tally.seconds['tool']:.1f} in all",
        ),
        ("written", str(out / "rows.jsonl")),
    ]
    console = Terminal()
    for name, value in lines:
        if value:
            console.show(f"{name:<9}{value}")
