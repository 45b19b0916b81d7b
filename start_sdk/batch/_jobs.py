"""Runs many jobs concurrently and stores each result, so finished work survives any crash."""

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

# Files of a model's folder that affect its output; optimizer states and READMEs do not.
_HASHED = {".safetensors", ".bin", ".json", ".jinja", ".model", ".txt", ".py"}


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

    Jobs start in the order given. A job that raises a `StartError` is stored as failed, and the
    others continue. Any other exception is a bug: it ends the batch and is re-raised. In that
    case, and when the batch is cancelled, running jobs are cancelled and released; finished jobs
    are kept.

    Several processes may work on the same store. Jobs claimed by another process are left to it:
    the batch ends when nothing is left to claim, so some jobs may still be "running" or, if that
    process stops later, "todo". Jobs of a process that died are taken over.

    Args:
        store: holds the rows.
        jobs: what to compute; other rows of the store are ignored.
        work: computes a job's result, which must be JSON.
        max_concurrency: jobs in flight.
        retry_failed: also compute jobs that failed in an earlier run.
        on_row: called with each row that this batch finishes or that fails.

    Raises:
        ConfigError: `max_concurrency` is below 1, or the store cannot be read or written.
    """
    if max_concurrency < 1:
        raise ConfigError(f"max_concurrency={max_concurrency}: must be at least 1")
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
            await asyncio.sleep(0)  # let others run even if `work` never awaits

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(max_concurrency):
                group.create_task(worker())
    except ExceptionGroup as errors:  # the bug itself is clearer than a group of one
        raise errors.exceptions[0] from None
    return store.counts(jobs)


def _claim(store: RowStore, jobs: list[Job]) -> Iterator[Job]:
    """Claims jobs in order, until a pass over the jobs of other processes finds none to claim."""
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
                found |= state == "todo"  # just released by another process


async def _compute(store: RowStore, job: Job, work: Work) -> Row:
    try:
        row = await _try(job, work)
        if row.result is None:
            store.fail(job, row.error or "")
        else:
            store.finish(job, row.result)
    except BaseException:  # cancelled, or a bug: another run may compute it
        store.release(job)
        raise
    return row


async def _try(job: Job, work: Work) -> Row:
    try:
        return Row(job, "done", dict(await work(job)))
    except StartError as error:
        return Row(job, "failed", error=f"{type(error).__name__}: {error}")


def in_rounds(jobs: Iterable[Job], samples: int) -> list[Job]:
    """Each job `samples` times: the first sample of every problem comes before any second one."""
    jobs = list(jobs)
    return [replace(job, sample=sample) for sample in range(samples) for job in jobs]


def config_hash(model: str, **settings: object) -> str:
    """The `config` of a job's key: a hash of the model's files and the other settings.

    Args:
        model: as for `open_backend`; call this after the model has been opened.
        settings: whatever affects a result besides problem and seed: sampling, limits, format,
            hints, interpreter, the backend's name; pydantic models, JSON, or objects with a
            stable repr.
    """
    return fingerprint({"model": model_hash(model), **{k: _plain(v) for k, v in settings.items()}})


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    # The default repr contains a memory address, which is not stable.
    return re.sub(r" at 0x\w+", "", repr(value))


def model_hash(model: str) -> str:
    """Identifies a model independently of its path: a hash of weights, tokenizer and config.

    The files are read completely, since a checkpoint may differ from its parent only in its
    weights. A model in the hub's cache is identified by its commit, and one that is not on this
    machine (a server's) by its name.
    """
    folder = models.folder(model) or Path(model)
    if folder.suffix == ".gguf" and folder.is_file():
        return _digest(folder)
    if not folder.is_dir():
        return _commit(model) or model
    if base := models.base_of(folder):
        return fingerprint([model_hash(str(base)), _folder_hash(folder)])
    return _folder_hash(folder)


def _folder_hash(folder: Path) -> str:
    files = sorted(p for p in folder.iterdir() if p.suffix in _HASHED and p.is_file())
    with ThreadPoolExecutor() as threads:  # a large model has many weight files
        digests = list(threads.map(_digest, files))
    return fingerprint([[p.name for p in files], digests])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _commit(model: str) -> str | None:
    try:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(model, "config.json")
    except (ImportError, ValueError):  # not installed, or not a valid hub id
        return None
    return Path(found).parent.name if isinstance(found, str) else None
