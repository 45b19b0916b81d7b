"""Rollouts on many machines: runs the jobs of `recipes.rollout` in actors of Ray Data.

Each actor has its own backend, or a server, and its own kernels, and runs several jobs at once. It
writes each row to disk as soon as it is computed (recipes/ray_worker.py); the driver process moves
it from there to the row store. So computed rows survive any crash. Keys, verdicts and resuming are
the same as with the engine `local`: a run can be started with one engine and finished with the
other.

Everything that actors read and write (weights, `--after`, the folder) must have the same path on
every machine.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from recipes.config import Config
from recipes.live import LiveTable
from recipes.ray_worker import Parts, Turns, Worker, options_of
from recipes.rollout_worker import Bases, jobs_of
from recipes.settings import RolloutConfig
from recipes.suites import Problem
from start_sdk import ConfigError, MissingExtra, Tokenizer, open_backend, plugins
from start_sdk.backends.tokenizer import load_tokenizer
from start_sdk.batch import Job, RowStore, export_jsonl, export_parquet

MAX_TASKS = 10_000
"""Tasks that one run is cut into at most; Ray remembers something of each."""
CONNECT_SECONDS = 10.0
"""Ray itself tries for minutes to reach a cluster that is not there."""


def compute_rows(
    config: Config,
    folder: Path,
    part: RolloutConfig,
    model: str,
    problems: Sequence[Problem],
    after: Path | None,
) -> None:
    """Computes what is not done yet, and writes rows.jsonl and rows.parquet; as `rollout` has it.

    Raises:
        MissingExtra: Ray is not installed.
        ConfigError: there is no such cluster, or an actor cannot work; or what `rollout` refuses.
    """
    try:
        import ray  # noqa: F401  # before any work
    except ImportError as error:
        raise MissingExtra("the engine ray", "ray") from error
    cluster = config.cluster
    if config.servers and config.backend in plugins.LOCAL:
        raise ConfigError(f"backend={config.backend} takes no servers: set backend=server")
    if len(config.servers) > cluster.actors:
        raise ConfigError(f"cluster.actors={cluster.actors} leaves some servers without an actor")
    with ExitStack() as stack:
        bases = Bases(after, stack) if after else None
        python = plugins.load("interpreters", "python")()
        jobs = jobs_of(config, part, problems, model, tokenizer_of(config, model), python, bases)
        parts = Parts(folder.absolute() / "parts")
        store = stack.enter_context(RowStore(folder / "rows.sqlite"))
        store.add(jobs)
        left = {job.key: job for job in jobs if store.claim(job)}
        try:
            with LiveTable(store.rows(jobs), len(jobs)) as table:
                for key in found(config, part, model, after, left, parts):
                    row = parts.read(job := left.pop(key))
                    if row.result is None:
                        store.fail(job, row.error or "")
                    else:
                        store.finish(job, row.result)
                    parts.drop(key)
                    table.add(row)
            if not store.counts()["running"]:  # by another process, whose actors write here, too
                parts.remove(job.key for job in jobs)
        finally:  # also of a run that was stopped: what is done is written
            for write, name in ((export_jsonl, "rows.jsonl"), (export_parquet, "rows.parquet")):
                done = (row for row in store.rows(jobs) if row.state in ("done", "failed"))
                write(done, folder / name)


def tokenizer_of(config: Config, model: str) -> Tokenizer:
    """The tokenizer of the actors' backends, on which keys depend, without any weights."""
    if config.backend in plugins.LOCAL:
        return load_tokenizer(model)
    backend = open_backend(model, config.backend, **options_of(config, 0))
    asyncio.run(backend.aclose())
    return backend.tokenizer


def found(
    config: Config,
    part: RolloutConfig,
    model: str,
    after: Path | None,
    left: dict[str, Job],
    parts: Parts,
) -> Iterator[str]:
    """Keys of jobs whose rows lie among the parts: first those of a run before, which was stopped
    before it took them in, then each as it is computed."""
    yield from parts.written(left)
    if left:
        with started(config):
            yield from computed(config, part, model, after, list(left.values()), parts)


@contextmanager
def started(config: Config) -> Iterator[None]:
    """Ray: the cluster of the config, or one of this machine alone that ends with the run."""
    import ray

    address, gpus, ours = config.cluster.address, config.cluster.gpus, not ray.is_initialized()
    options: dict[str, Any] = {} if address else {"include_dashboard": False}
    try:
        if ours:
            if address and address != "auto":
                host, _, port = address.removeprefix("ray://").rpartition(":")
                socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
            # Without an address Ray would join whatever runs on this machine.
            address = address or "local"
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (OSError, ValueError) as error:
        raise ConfigError(f"no Ray cluster at {address!r}: {str(error).splitlines()[0]}") from error
    try:
        has = ray.cluster_resources().get("GPU", 0)  # type: ignore[no-untyped-call]
        if config.cluster.address is None and gpus > has:  # a cluster may grow; Ray would wait
            raise ConfigError(f"cluster.gpus={gpus:g}: Ray finds {has:g} on this machine")
        yield
    finally:
        if ours:
            ray.shutdown()


def computed(
    config: Config,
    part: RolloutConfig,
    model: str,
    after: Path | None,
    jobs: Sequence[Job],
    parts: Parts,
) -> Iterator[str]:
    """Computes jobs; the key of each when Ray says that its row lies among the parts.

    Raises:
        ConfigError: an actor cannot work.
    """
    import ray

    cluster = config.cluster
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # the live table shows more
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    rows = ray.data.from_items(
        [{"key": job.key, "input": json.dumps(dict(job.input))} for job in jobs],
        override_num_blocks=min(len(jobs), MAX_TASKS),
    )
    turns = ray.remote(Turns).options(num_cpus=0).remote() if config.servers else None
    model = str(Path(model).absolute()) if Path(model).is_dir() else model
    after = after.absolute() if after else None
    worked = rows.map(
        Worker,  # type: ignore[arg-type]  # Ray's types know no classes
        fn_constructor_args=(config.model_dump(), part.model_dump(), model, after, parts, turns),
        compute=ray.data.ActorPoolStrategy(
            size=cluster.actors,
            max_tasks_in_flight_per_actor=config.max_concurrency,
            max_concurrent_calls_per_actor=config.max_concurrency,
        ),
        num_cpus=1,
        num_gpus=cluster.gpus,
    )
    for row in worked.iter_rows():
        if row["refused"]:
            raise ConfigError(row["refused"])
        yield row["key"]
