"""Rollouts on many machines: the jobs of `recipes.rollout`, computed by actors of Ray Data.

Each actor has a backend of its own, or a server, and its kernels beside it; several jobs are in
flight in each. Results come back to the process that was started, which alone writes the folder:
the row store is what makes a run durable, here as without Ray. So keys, verdicts and the way to go
on are the same, and a run may be begun with one engine and ended with the other.

What actors read (weights, `--after`) has to lie where every machine finds it under the same name.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from recipes.config import Config
from recipes.experiment import Judge
from recipes.live import LiveTable
from recipes.roller import Bases, Roller, jobs_of
from recipes.settings import Rollout
from recipes.suites import Problem
from start_sdk import ConfigError, MissingExtra, StartError, open_backend, plugins
from start_sdk.backends.tokenizer import load_tokenizer
from start_sdk.batch import Work
from start_sdk.grading import Grader
from start_sdk.rows import Job, export_jsonl, export_parquet
from start_sdk.store import RowStore

MAX_TASKS = 10_000
"""Tasks that one run is cut into at most; Ray remembers something of each."""


def compute_rows(
    config: Config,
    folder: Path,
    part: Rollout,
    model: str,
    problems: Sequence[Problem],
    after: Path | None,
) -> None:
    """Computes what is not done yet, and writes rows.jsonl and rows.parquet; as `rollout` has it.

    Raises:
        MissingExtra: Ray is not installed.
        ConfigError: there is no such cluster; or what `rollout` refuses.
    """
    with ExitStack() as stack:
        bases = Bases(after, stack) if after else None
        python = plugins.load("interpreters", "python")()
        jobs = jobs_of(config, part, problems, model, load_tokenizer(model), python, bases)
        folder.mkdir(parents=True, exist_ok=True)
        store = stack.enter_context(RowStore(folder / "rows.sqlite"))
        store.add(jobs)
        left = [job for job in jobs if store.claim(job)]
        try:
            if left:
                with started(config), LiveTable(store.rows(jobs), len(jobs)) as table:
                    for job, result, error in results(config, part, model, after, left):
                        if result is None:
                            store.fail(job, error)
                        else:
                            store.finish(job, result)
                        table.add(next(store.rows([job])))
        finally:  # also of a run that was stopped: what is done is written
            for write, name in ((export_jsonl, "rows.jsonl"), (export_parquet, "rows.parquet")):
                done = (row for row in store.rows(jobs) if row.state in ("done", "failed"))
                write(done, folder / name)


@contextmanager
def started(config: Config) -> Iterator[None]:
    """Ray: the cluster of the config, or one of this machine alone that ends with the run."""
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("the engine ray", "ray") from error
    if ray.is_initialized():
        yield
        return
    address = config.cluster.address
    options: dict[str, Any] = {"include_dashboard": False} if address is None else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, ValueError) as error:
        raise ConfigError(f"no Ray cluster at {address!r}: {str(error).splitlines()[0]}") from error
    try:
        yield
    finally:
        ray.shutdown()


def results(
    config: Config, part: Rollout, model: str, after: Path | None, jobs: Sequence[Job]
) -> Iterator[tuple[Job, dict[str, Any] | None, str]]:
    """What becomes of the jobs, each as soon as it is there: its result, or why there is none."""
    import ray

    cluster, by_key = config.cluster, {job.key: job for job in jobs}
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # the live table shows more
    context.print_on_execution_start = False
    rows = ray.data.from_items(
        [{"key": job.key, "input": json.dumps(dict(job.input))} for job in jobs],
        override_num_blocks=min(len(jobs), MAX_TASKS),
    )
    turns = ray.remote(Turns).options(num_cpus=0).remote() if cluster.servers else None
    found = rows.map(
        Worker,  # type: ignore[arg-type]  # Ray's types know no classes
        fn_constructor_args=(config.model_dump(), part.model_dump(), model, after, turns),
        compute=ray.data.ActorPoolStrategy(
            size=cluster.actors,
            max_tasks_in_flight_per_actor=config.at_once,
            max_concurrent_calls_per_actor=config.at_once,
        ),
        num_cpus=1,
        num_gpus=cluster.gpus,
    )
    for row in found.iter_rows():
        result = json.loads(row["result"]) if row["result"] else None
        yield by_key[row["key"]], result, row["error"]


class Turns:
    """Gives each actor a number, and an actor that takes a dead one's place the next."""

    def __init__(self) -> None:
        self._given = -1

    def take(self) -> int:
        self._given += 1
        return self._given


class Worker:
    """What an actor is: a backend, kernels, and the rollout's work on one job after the other."""

    def __init__(
        self,
        config: dict[str, Any],
        part: dict[str, Any],
        model: str,
        after: Path | None,
        turns: Any,
    ) -> None:
        self._config, self._part = Config(**config), Rollout(**part)
        self._python = plugins.load("interpreters", "python")()
        self._model, self._after, self._turns = model, after, turns
        self._work: Work | None = None
        self._opening = asyncio.Lock()
        self._free = asyncio.Semaphore(self._config.at_once)

    async def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        async with self._opening:  # backends and stores belong to the thread that they work in
            if self._work is None:
                self._work = await self._opened()
        job = Job(**json.loads(row["key"]), input=json.loads(row["input"]))
        async with self._free:
            try:
                result, error = json.dumps(dict(await self._work(job))), ""
            except StartError as why:
                result, error = "", f"{type(why).__name__}: {why}"
        return {"key": row["key"], "result": result, "error": error}

    async def _opened(self) -> Work:
        config, model = self._config, self._model
        options = dict(config.backend_options)
        if self._turns is not None:
            servers = config.cluster.servers
            options["base_url"] = servers[await self._turns.take.remote() % len(servers)]
        bases = Bases(self._after, ExitStack()) if self._after else None
        backend = open_backend(model, config.backend, **options)
        judge = Judge(await Grader().__aenter__(), self._python)  # ends with the actor's process
        return Roller(config, self._part, backend, self._python, bases).work_of(judge)
