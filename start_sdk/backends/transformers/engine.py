"""The engine: one thread that owns the model and all caches, and decodes all rows at once."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

from start_sdk.backends.tokenizer import HFTokenizer
from start_sdk.backends.transformers.batch import Batch
from start_sdk.backends.transformers.cache import (
    KVCache,
    LibraryCache,
    OneRow,
    batchable_layers,
    nbytes,
    roomy,
)
from start_sdk.backends.transformers.generation import Delivery, Generation, deliver
from start_sdk.backends.transformers.idle import IdleRows, shared
from start_sdk.backends.transformers.sampler import draw

PREFILL = 512
"""Tokens of prefixes read between two steps of the running batch, so that it never waits long."""

WORTH_COPYING = 32
"""Tokens that another session's cache has to share, or they are read again: a chat template's
first words are in every prompt."""

SMALL = 30_000_000
"""Parameters below which a forward pass on CPU is too short to be shared between cores: on a busy
machine the threads would mostly wait for each other."""

MIB = 2**20


class Engine:
    """Reads prefixes, decodes, keeps the caches of sessions that pause.

    All state belongs to the engine's thread; what others want is handed over with `submit`. While
    there is work, each turn submits the next one, so that requests are taken up between turns. A
    turn reads up to `PREFILL` tokens of waiting prefixes, first come, first served, and then
    decodes one token of every row.

    Args:
        model: in evaluation mode, on its device.
        tokenizer: the model's.
        max_batch: rows that decode at a time; further ones wait.
        memory: bytes that caches may take.
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
        self._max_batch, self._memory, self._deterministic = max_batch, memory, deterministic
        takes = inspect.signature(model.forward).parameters
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
        self._takes_positions = "position_ids" in takes
        self._layers = batchable_layers(model.config)
        self._together = self._layers is not None and not deterministic
        self._token_bytes = 0
        self._waiting: deque[Generation] = deque()
        self._running: list[Generation] = []
        self._batch = Batch()
        self._idle = IdleRows()
        self._turning = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="start-engine")
        if model.device.type == "cpu" and model.num_parameters() < SMALL:
            # torch keeps one number for all threads, which each takes over at its first use of it:
            # so take it over, change it, and put it back for the others.
            cores = torch.get_num_threads()
            self._thread.submit(torch.get_num_threads).result()
            self._thread.submit(torch.set_num_threads, 1).result()
            torch.set_num_threads(cores)

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Has a method called on the engine's thread, between two turns.

        Raises:
            RuntimeError: the engine is closed.
        """
        return self._thread.submit(work, *arguments)

    def shutdown(self) -> None:
        """Ends the thread; what still runs gets an error. Idempotent."""
        try:
            self.submit(self._fail_all, RuntimeError("the backend was closed")).result()
        except RuntimeError:
            return
        self._thread.shutdown()

    def add(self, generation: Generation) -> None:
        self._waiting.append(generation)
        if not self._turning:
            self._turning = True
            self._turn()

    def release(self, key: str) -> None:
        self._idle.pop(key, None)
        for generation in (*self._waiting, *self._running):
            if generation.key == key:
                generation.key = None

    def reset_cache(self) -> None:
        self._idle.clear()

    @torch.inference_mode()
    def _turn(self) -> None:
        try:
            self._sweep()
            self._admit()
            self._decode()
        except Exception as error:  # a bug here must not leave anyone waiting for ever
            self._fail_all(error)
        self._turning = bool(self._waiting or self._running)
        if self._turning:
            try:
                self.submit(self._turn)
            except RuntimeError as error:  # the interpreter ends
                self._fail_all(error)

    def _sweep(self) -> None:
        """Lets go of what nobody waits for any more."""
        for generation in [g for g in (*self._waiting, *self._running) if g.cancelled]:
            self._park(generation)

    def _admit(self) -> None:
        budget = PREFILL
        while budget > 0 and self._waiting and len(self._running) < self._max_batch:
            generation = self._waiting[0]
            try:
                if not self._fits([*self._running, generation]):
                    return
                if generation.cache is None:
                    self._begin(generation)
                budget -= self._read(generation)
            except Exception as error:  # crosses threads: raised again in the caller's task
                self._fail([generation], error)
        self._trim()

    def _begin(self, generation: Generation) -> None:
        """Gives a generation the cache that holds most of its prefix: its session's own, a copy of
        another's, or an empty one. At least one token is left to read: its logits are wanted."""
        ids, limit = generation.ids, len(generation.ids) - 1
        own = self._idle.pop(generation.key, None) if generation.key else None
        cache: OneRow | None = own.cache if own else None
        length = shared(own.ids, ids, limit) if own else 0
        try:
            other, longest = self._most_shared(ids, limit)
            if longest >= max(length + 1, WORTH_COPYING):
                cache, length = other(longest), longest
            elif own and cache and length < len(own.ids):
                cache.crop(length - len(own.ids))
        except (RuntimeError, NotImplementedError, AttributeError):
            length = 0  # sliding windows and state-space layers cannot always go back
        if not length or cache is None:
            cache = KVCache(self._layers) if self._layers else LibraryCache(config=self._model.config)
        generation.cache, generation.read = cache, length
        if generation.cached is None:
            generation.cached = length

    def _most_shared(self, ids: list[int], limit: int) -> tuple[Callable[[int], OneRow], int]:
        """How to copy the cache that shares the longest prefix, and how long that is."""
        best: tuple[Callable[[int], OneRow], int] = (KVCache, 0)
        for copied, theirs, read in () if self._deterministic else self._sources():
            length = shared(theirs, ids, min(limit, read))
            if length > best[1]:
                best = (copied, length)
        return best

    def _sources(self) -> Iterator[tuple[Callable[[int], OneRow], list[int], int]]:
        for row in self._idle.values():
            yield row.cache.copied, row.ids, len(row.ids)
        for g in self._running:
            if g.cache is not None:
                yield g.cache.copied, g.ids, g.read
            else:
                yield lambda length, g=g: self._batch.copied(g, length), g.ids, g.read

    def _read(self, generation: Generation) -> int:
        """Reads a part of a prefix; behind the last one the generation is running. Returns how
        many tokens that was."""
        cache, left = generation.cache, len(generation.ids) - generation.read
        assert cache
        if left > 1 or not generation.read:  # one token is read in step with the others
            cache.reserve(left)
            part = generation.ids[generation.read :][:PREFILL]
            logits = self._forward(cache, [generation], len(part), input_ids=self._tensor([part]))
            if isinstance(cache, KVCache):
                self._token_bytes = nbytes(cache) // cache.columns
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
        """One token for every row."""
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
            except Exception as error:  # crosses threads: raised again in the callers' tasks
                self._fail(rows, error)

    def _groups(self) -> list[list[Generation]]:
        """Which rows share a forward pass. A row alone stays in its own cache: nothing is copied."""
        if not self._together or len(self._running) < 2:
            for row in [r for r in self._running if r.cache is None]:
                self._batch.leave(row, keep=True)
            return [[row] for row in self._running]
        for row in self._running:
            if row.cache is not None:
                self._batch.join(row)
        return [list(self._batch.rows)]

    def _forward(
        self, cache: OneRow, rows: Sequence[Generation], tokens: int, **inputs: Any
    ) -> torch.Tensor:
        """Logits behind the last token of each row, shape (rows, vocabulary)."""
        if not self._takes_positions:
            inputs.pop("position_ids", None)
        out = self._model(**inputs, past_key_values=cache, use_cache=True, **self._last_only)
        cache.advance(tokens)
        for row in rows:
            row.read += tokens
        logits: torch.Tensor = out.logits[:, -1]
        return logits

    def _sample(self, rows: Sequence[Generation], logits: torch.Tensor) -> None:
        drawn = draw(logits, [r.sampling for r in rows], [len(r.ids) for r in rows])
        deliveries: list[Delivery] = []
        for row, token, logprob in zip(rows, *drawn, strict=True):
            chunks = row.take(token, logprob, self._tokenizer)
            deliveries += [(row, chunk) for chunk in chunks]
            if chunks and chunks[-1].reason:
                self._park(row)
        deliver(deliveries)

    def _park(self, row: Generation) -> None:
        """Takes a row out; its session's cache is kept for when it resumes."""
        if row in self._running:
            self._running.remove(row)
            if row.cache is None:
                self._batch.leave(row, keep=row.key is not None)
        else:
            self._waiting.remove(row)
        if row.key is not None and row.cache is not None and row.read:
            self._idle.keep(row.key, row.ids[: row.read], row.cache)
            self._trim()
        row.cache = None

    def _fail(self, rows: Sequence[Generation], error: Exception) -> None:
        """Takes rows out with an error. Their caches may be half written: they are forgotten."""
        for row in rows:
            row.key = None
            self._park(row)
        deliver((row, error) for row in rows)

    def _fail_all(self, error: Exception) -> None:
        self._fail([*self._waiting, *self._running], error)
        self._idle.clear()

    def _fits(self, rows: Sequence[Generation]) -> bool:
        """Whether the caches of these rows may run at a time.

        Raises:
            MemoryError: the first one does not even fit alone.
        """
        lengths = [len(row.ids) for row in rows]
        columns = len(lengths) * max(lengths) if self._together else sum(lengths)
        need = self._token_bytes * roomy(columns)
        if self._deterministic:
            need += self._idle.nbytes  # reading again would not give the same bits
        if need > self._memory and (len(rows) == 1 or self._deterministic):
            raise MemoryError(
                f"{columns} tokens need {need // MIB + 1} MiB of cache, and memory_mib is "
                f"{self._memory // MIB}: give it more, or run shorter or fewer sessions"
            )
        return need <= self._memory

    def _preempt(self) -> None:
        """Sends the youngest rows back to wait until the others fit; they are read again then."""
        while self._running:
            youngest = self._running[-1]
            try:
                if self._fits(self._running):
                    return
            except MemoryError as error:
                self._fail([youngest], error)
                continue
            self._running.pop()
            if youngest.cache is None:
                self._batch.leave(youngest, keep=False)
            youngest.cache, youngest.read = None, 0
            self._waiting.appendleft(youngest)

    def _trim(self) -> None:
        """Forgets idle rows, the least recently used first, until all fits."""
        own = [row.cache for row in (*self._running, *self._waiting) if row.cache is not None]
        if self._batch.cache is not None:
            own.append(self._batch.cache)
        used = sum(map(nbytes, own))
        while self._idle and not self._deterministic and used + self._idle.nbytes > self._memory:
            self._idle.popitem(last=False)

    def _tensor(self, ids: list[list[int]]) -> torch.Tensor:
        return torch.tensor(ids, device=self._model.device)
