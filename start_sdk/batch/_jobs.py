"""Many jobs at once, each row in a store: what is done stays done, whatever happens to the run."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from start_sdk import models
from start_sdk.batch._rows import Job, Row, State, fingerprint
from start_sdk.batch._store import RowStore
from start_sdk.errors import ConfigError, StartError

Work = Callable[[Job], Awaitable[Mapping[str, Any]]]

# What a model's folder holds that shapes what it writes; optimizer states and read-mes do not.
_SHAPING = {".safetensors", ".bin", ".json", ".jinja", ".model", ".txt", ".py"}


async def run_batch(
    store: RowStore,
    jobs: Iterable[Job],
    work: Work,
    *,
    max_concurrency: int = 4,
    retry_failed: bool = False,
    on_row: Callable[[Row], None] | None = None,
) -> Counter[State]:
    """Computes every job that is not done yet, and returns how many are in each state.

    Jobs start in the order given. One that raises a `StartError` is stored as failed, and the rest
    goes on. Anything else is a bug: it ends the batch and is raised here. Then, as when the batch
    is cancelled, running jobs are cancelled and given back; those that are done stay.

    Other processes may work on the same store. Jobs that one of them has in hand are left to it:
    the batch ends when nothing is left to claim, so that some may still be "running" or, if it
    stops later, "todo". Jobs of a process that died are taken over.

    Args:
        store: where the rows lie.
        jobs: what to compute; rows of the store that are not among them are left alone.
        work: computes a job's result, which is JSON.
        max_concurrency: jobs in flight.
        retry_failed: compute the jobs again that failed in an earlier run.
        on_row: called with each row that this batch finishes or sees fail.

    Raises:
        ConfigError: `max_concurrency` below 1, or the store cannot be read or written.
    """
    if max_concurrency < 1:
        raise ConfigError(f"max_concurrency={max_concurrency}: at least 1 job runs at a time")
    jobs = list(jobs)
    store.add(jobs)
    if retry_failed:
        store.retry(jobs)
    claimed = _claim(store, jobs)  # shared: each worker takes the next one

    async def worker() -> None:
        for job in claimed:
            row = await _compute(store, job, work)
            if on_row:
                on_row(row)
            await asyncio.sleep(0)  # work that never waits must not keep others from running

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(max_concurrency):
                group.create_task(worker())
    except ExceptionGroup as errors:  # the bug itself says more than a group of one
        raise errors.exceptions[0] from None
    return store.counts(jobs)


def _claim(store: RowStore, jobs: list[Job]) -> Iterator[Job]:
    """Claims jobs in order, until a pass over what others had in hand finds nothing to claim."""
    left, found = jobs, True
    while left and found:
        store.recover()
        passed, left, found = left, [], False
        for job in passed:
            if store.claim(job):
                found = True
                yield job
            elif (state := store.state(job)) in ("todo", "running"):
                left.append(job)
                found |= state == "todo"  # given back by another process just now


async def _compute(store: RowStore, job: Job, work: Work) -> Row:
    try:
        row = await _try(job, work)
        if row.result is None:
            store.fail(job, row.error or "")
        else:
            store.finish(job, row.result)
    except BaseException:  # cancelled, or a bug: whoever comes next may compute it
        store.release(job)
        raise
    return row


async def _try(job: Job, work: Work) -> Row:
    try:
        return Row(job, "done", dict(await work(job)))
    except StartError as error:
        return Row(job, "failed", error=f"{type(error).__name__}: {error}")


def in_rounds(jobs: Iterable[Job], samples: int) -> list[Job]:
    """Each job `samples` times: the first sample of every problem before the second of any."""
    jobs = list(jobs)
    return [replace(job, sample=sample) for sample in range(samples) for job in jobs]


def config_hash(model: str, **settings: object) -> str:
    """The `config` of a job's key: a hash of the model's files and of everything else that counts.

    Args:
        model: as `open_backend` takes it; call this when the model has been opened.
        settings: what shapes a result besides problem and seed: sampling, limits, format, hints,
            interpreter, the backend's name; pydantic models, JSON, or objects with a stable repr.
    """
    return fingerprint({"model": model_hash(model), **{k: _plain(v) for k, v in settings.items()}})


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    # A repr without one of its own holds an address, which says nothing.
    return re.sub(r" at 0x\w+", "", repr(value))


def model_hash(model: str) -> str:
    """What a model is, wherever it lies: a hash of its weights, tokenizer and configuration.

    The files are read whole: a checkpoint and the one it was trained from differ in nothing but
    the numbers. A model of the hub's cache is named by its commit; one that is not on this machine
    (a server's), by its name.
    """
    folder = models.folder(model) or Path(model)
    if not folder.is_dir():
        return _commit(model) or model
    files = sorted(p for p in folder.iterdir() if p.suffix in _SHAPING and p.is_file())
    with ThreadPoolExecutor() as threads:  # a large model has many files of weights
        digests = list(threads.map(_digest, files))
    return fingerprint([[p.name for p in files], digests])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _commit(model: str) -> str | None:
    try:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(model, "config.json")
    except (ImportError, ValueError):  # not installed, or not the name of a model of the hub
        return None
    return Path(found).parent.name if isinstance(found, str) else None
