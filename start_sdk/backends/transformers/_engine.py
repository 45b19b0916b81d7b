"""The engine: one thread that owns the model and all caches and decodes all rows together."""

from __future__ import annotations

import inspect
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import torch

from start_sdk.backends.tokenizer import HFTokenizer
from start_sdk.backends.transformers._batch import Batch
from start_sdk.backends.transformers._cache import OneRow
from start_sdk.backends.transformers._generation import Delivery, Generation, deliver
from start_sdk.backends.transformers._memory import CacheMemory, Source, out_of_memory
from start_sdk.backends.transformers._sampler import draw

PREFILL = 512
"""Prefix tokens read between two steps of the running batch, so that the batch never waits long."""

DELIVER_EVERY = 0.05
"""Seconds between two deliveries of sampled tokens. This is faster than anyone reads; delivering
each token separately would cost the event loop as much as a small model costs the engine."""

SMALL = 30_000_000
"""Parameters below which a forward pass on CPU is too short to be split between cores: on a busy
machine the threads would mostly wait for each other."""


class Engine:
    """Reads prefixes, decodes, and keeps the caches of paused sessions.

    All state belongs to the engine's thread; other threads call in with `submit`. While there is
    work, each turn submits the next one, so requests are handled between turns. A turn reads up
    to `PREFILL` tokens of waiting prefixes in order of arrival, then decodes one token of every
    row.

    Args:
        model: in evaluation mode, on its device.
        tokenizer: the model's.
        max_batch: rows that decode at the same time; others wait.
        memory: bytes available to caches.
        deterministic: each row decodes alone, from a cache that only its own session has filled.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: HFTokenizer,
        *,
        max_batch: int,
        memory: int,
        deterministic: bool,
    ) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._max_batch = max_batch
        self._memory = CacheMemory(model.config, limit=memory, deterministic=deterministic)
        parameters = inspect.signature(model.forward).parameters
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in parameters else {}
        self._takes_positions = "position_ids" in parameters
        self._waiting: deque[Generation] = deque()
        self._running: list[Generation] = []
        self._batch = Batch()
        self._turning = False
        self._due, self._delivered = False, 0.0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="start-engine")
        if model.device.type == "cpu" and model.num_parameters() < SMALL:
            # torch has one global thread count, which each thread copies when it first uses it:
            # so copy it on the engine's thread, change it there, and restore the global.
            cores = torch.get_num_threads()
            self._thread.submit(torch.get_num_threads).result()
            self._thread.submit(torch.set_num_threads, 1).result()
            torch.set_num_threads(cores)

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Calls a function on the engine's thread, between two turns.

        Raises:
            RuntimeError: the engine is closed.
        """
        return self._thread.submit(work, *arguments)

    def shutdown(self) -> None:
        """Stops the thread; running generations get an error. Idempotent."""
        try:
            failed = self.submit(self._fail_all, RuntimeError("the backend was closed"))
        except RuntimeError:
            return
        failed.result()
        self._thread.shutdown()

    def add(self, generation: Generation) -> None:
        self._waiting.append(generation)
        if not self._turning:
            self._turning = True
            self._turn()

    def release(self, key: str) -> None:
        self._memory.forget(key)
        for generation in (*self._waiting, *self._running):
            if generation.key == key:
                generation.key = None

    def reset_cache(self) -> None:
        self._memory.clear()

    @torch.inference_mode()
    def _turn(self) -> None:
        now = time.monotonic()
        self._due = now - self._delivered >= DELIVER_EVERY
        if self._due:
            self._delivered = now
        try:
            self._sweep()
            self._admit()
            self._decode()
        except Exception as error:  # a bug here must not leave callers waiting forever
            self._fail_all(error)
        self._turning = bool(self._waiting or self._running)
        if self._turning:
            try:
                self.submit(self._turn)
            except RuntimeError as error:  # Python is shutting down
                self._fail_all(error)

    def _sweep(self) -> None:
        """Removes cancelled generations."""
        for generation in [g for g in (*self._waiting, *self._running) if g.cancelled]:
            self._park(generation)

    def _admit(self) -> None:
        budget = PREFILL
        while budget > 0 and self._waiting and len(self._running) < self._max_batch:
            generation = self._waiting[0]
            try:
                if not self._memory.fits(self._batch, [*self._running, generation]):
                    break
                if generation.cache is None:
                    generation.begin(self._memory, self._sources())
                budget -= self._read(generation)
            except Exception as error:  # crosses threads: re-raised in the caller's task
                if self._freed_memory(error, generation):
                    break
                self._fail([generation], error)
        self._memory.trim(self._caches())

    def _sources(self) -> Iterator[Source]:
        for row in self._running:
            copied = row.cache.copied if row.cache is not None else partial(self._batch.copied, row)
            yield Source(row.ids, row.read, copied)

    def _read(self, generation: Generation) -> int:
        """Reads the next part of a prefix; after the last part the generation is running. Returns
        how many tokens were read."""
        cache, left = generation.cache, len(generation.ids) - generation.read
        assert cache
        if left > 1 or not generation.read:  # a single token is read together with the batch
            part = generation.ids[generation.read :][:PREFILL]
            cache.reserve(left if self._memory.known else len(part))
            logits = self._forward(cache, [generation], len(part), input_ids=self._tensor([part]))
            self._memory.learn(cache)
            if len(part) < left:
                return len(part)
            self._waiting.popleft()
            self._running.append(generation)
            self._sample([generation], logits)
            return len(part)
        self._waiting.popleft()
        self._running.append(generation)
        return 1

    def _decode(self) -> None:
        """Samples one token for every row."""
        self._preempt()
        for rows in self._groups():
            try:
                if rows[0].cache is None:
                    rows = list(self._batch.rows)
                    assert self._batch.cache
                    logits = self._forward(self._batch.cache, rows, 1, **self._batch.inputs())
                else:
                    ids = self._tensor([rows[0].ids[-1:]])
                    rows[0].cache.reserve(1)
                    logits = self._forward(rows[0].cache, rows, 1, input_ids=ids)
                self._sample(rows, logits)
            except Exception as error:  # crosses threads: re-raised in the callers' tasks
                if not self._freed_memory(error, rows[-1]):
                    self._fail(rows, error)

    def _groups(self) -> list[list[Generation]]:
        """Which rows share a forward pass. A single row stays in its own cache, without a copy."""
        if not self._memory.together or len(self._running) < 2:
            for row in [r for r in self._running if r.cache is None]:
                self._batch.leave(row, keep=True)
            return [[row] for row in self._running]
        for row in [r for r in self._running if r.cache is not None]:
            try:
                self._batch.join(row, len(self._running))
            except Exception as error:  # crosses threads: re-raised in the caller's task
                self._requeue(row)
                if not self._freed_memory(error, row):
                    self._fail([row], error)
        return [list(self._batch.rows)] if self._batch.rows else []

    def _forward(
        self, cache: OneRow, rows: Sequence[Generation], tokens: int, **inputs: Any
    ) -> torch.Tensor:
        """Logits after the last token of each row, shape (rows, vocabulary)."""
        if not self._takes_positions:
            inputs.pop("position_ids", None)
        out = self._model(**inputs, past_key_values=cache, use_cache=True, **self._last_only)
        cache.advance(tokens)
        for row in rows:
            row.read += tokens
        logits: torch.Tensor = out.logits[:, -1]
        return logits

    def _sample(self, rows: Sequence[Generation], logits: torch.Tensor) -> None:
        finite = logits.amax(-1).isfinite().tolist()
        if not all(finite):
            good = [i for i, is_finite in enumerate(finite) if is_finite]
            self._fail([r for r, is_finite in zip(rows, finite, strict=True) if not is_finite], NAN)
            rows, logits = [rows[i] for i in good], logits[good]
        drawn = draw(logits, [r.sampling for r in rows], [r.ids for r in rows])
        deliveries: list[Delivery] = []
        for row, token, logprob in zip(rows, *drawn, strict=True):
            try:
                row.take(token, logprob)
            except Exception as error:  # of its watch: crosses threads, ends this row alone
                self._fail([row], error)
                continue
            ended = bool(row.pending and row.pending[-1].reason)
            if ended:
                self._park(row)
            if ended or (self._due and row.pending):
                deliveries.append((row, row.collect()))
        deliver(deliveries)

    def _park(self, row: Generation) -> None:
        """Removes a row; its session's cache is kept for when the session resumes."""
        if row in self._running:
            self._running.remove(row)
            if row.cache is None:
                self._leave(row)
        elif row in self._waiting:
            self._waiting.remove(row)
        if row.key is not None and row.cache is not None and row.read:
            self._memory.keep(row.key, row.ids[: row.read], row.cache)
            self._memory.trim(self._caches())
        row.cache = None

    def _fail(self, rows: Sequence[Generation], error: Exception) -> None:
        """Ends rows with an error. Their caches may be half written, so they are dropped."""
        for row in rows:
            row.key = None
            self._batch.wipe(row)
            self._park(row)
        deliver([(row, error) for row in rows])

    def _fail_all(self, error: Exception) -> None:
        rows = [*self._waiting, *self._running]
        for row in rows:
            row.key = row.cache = None
        self._waiting.clear()
        self._running.clear()
        self._batch = Batch()
        self._memory.clear()
        deliver([(row, error) for row in rows])

    def _preempt(self) -> None:
        """Requeues the youngest rows until the others fit; they are read again later."""
        while self._running:
            youngest = self._running[-1]
            try:
                if self._memory.fits(self._batch, self._running):
                    return
            except MemoryError as error:
                self._fail([youngest], error)
                continue
            self._requeue(youngest)

    def _requeue(self, row: Generation) -> None:
        """Drops a row's cache; it waits for its turn to be read again."""
        if row in self._running:
            self._running.remove(row)
            self._waiting.appendleft(row)
        if row in self._batch.rows:
            self._batch.leave(row, keep=False)
        row.cache, row.read = None, 0

    def _leave(self, row: Generation) -> None:
        """Takes a row out of the batch, with its cache if its session may resume."""
        keep = row.key is not None and self._memory.fits_copy(self._caches(), row.read)
        try:
            self._batch.leave(row, keep=keep)
        except Exception as error:
            if not out_of_memory(error):
                raise
            self._batch.leave(row, keep=False)

    def _freed_memory(self, error: Exception, row: Generation) -> bool:
        """Frees memory after an allocation failed, so that the next turn can try again.

        The caches of paused sessions go first. Without any, `row` waits for the others to end.
        """
        if not out_of_memory(error) or self._memory.deterministic:
            return False
        if self._memory.clear():
            return True
        if not any(other is not row for other in self._running):
            return False
        self._requeue(row)
        self._memory.lower(self._caches())
        return True

    def _caches(self) -> list[OneRow]:
        caches = [self._batch.cache, *(row.cache for row in (*self._running, *self._waiting))]
        return [cache for cache in caches if cache is not None]

    def _tensor(self, ids: list[list[int]]) -> torch.Tensor:
        return torch.tensor(ids, device=self._model.device)
