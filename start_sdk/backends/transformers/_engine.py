"""The engine: one thread that owns the model and all caches and decodes all rows together."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

from start_sdk.backends.tokenizer import HFTokenizer
from start_sdk.backends.transformers._cache import OneRow
from start_sdk.backends.transformers._generation import Delivery, Generation, deliver
from start_sdk.backends.transformers._memory import CacheMemory
from start_sdk.backends.transformers._rows import Rows
from start_sdk.backends.transformers._sampler import draw
from start_sdk.backends.transformers._threads import set_threads

PREFILL = 512
"""Prefix tokens read between two steps of the running batch, so that the batch never waits long."""

DELIVER_EVERY = 0.05
"""Seconds between two deliveries of sampled tokens. This is faster than anyone reads; delivering
each token separately would cost the event loop as much as a small model costs the engine."""


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
        threads: that share a forward pass on CPU; None leaves that to torch.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: HFTokenizer,
        *,
        max_batch: int,
        memory: int,
        deterministic: bool,
        threads: int | None = None,
    ) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._max_batch = max_batch
        self._memory = CacheMemory(model.config, limit=memory, deterministic=deterministic)
        parameters = inspect.signature(model.forward).parameters
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in parameters else {}
        self._takes_positions = "position_ids" in parameters
        self._rows = Rows(self._memory, sum(weight.nbytes for weight in model.parameters()))
        self._turning = False
        self._due, self._delivered = False, 0.0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="start-engine")
        if threads is not None:
            set_threads(self._thread, threads)

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Calls a function on the engine's thread, between two turns.

        Raises:
            RuntimeError: the engine is closed.
        """
        return self._thread.submit(work, *arguments)

    def shutdown(self) -> None:
        """Stops the thread; running generations get an error. Idempotent."""
        try:
            failed = self.submit(self._rows.fail_all, RuntimeError("the backend was closed"))
        except RuntimeError:
            return
        failed.result()
        self._thread.shutdown()

    def add(self, generation: Generation) -> None:
        self._rows.waiting.append(generation)
        if not self._turning:
            self._turning = True
            self._turn()

    def release(self, key: str) -> None:
        self._memory.forget(key)
        for generation in self._rows.all():
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
            self._rows.fail_all(error)
        self._turning = bool(self._rows.all())
        if not self._turning:
            self._memory.restore()
        else:
            try:
                self.submit(self._turn)
            except RuntimeError as error:  # Python is shutting down
                self._rows.fail_all(error)

    def _sweep(self) -> None:
        """Removes cancelled generations."""
        for generation in [g for g in self._rows.all() if g.cancelled]:
            self._rows.park(generation)

    def _admit(self) -> None:
        budget = PREFILL
        while budget > 0 and self._rows.waiting and len(self._rows.running) < self._max_batch:
            generation = self._rows.waiting[0]
            try:
                if not self._rows.fits(generation):
                    break
                if generation.cache is None:
                    generation.begin(self._memory, self._rows.sources())
                budget -= self._read(generation)
            except Exception as error:  # crosses threads: re-raised in the caller's task
                unread = generation in self._rows.waiting
                if unread and self._rows.freed_memory(error, generation):
                    break
                self._rows.fail([generation], error)
        self._rows.trim()

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
            self._rows.start(generation)
            self._sample([generation], logits)
            return len(part)
        self._rows.start(generation)
        return 1

    def _decode(self) -> None:
        """Samples one token for every row."""
        self._rows.preempt()
        for rows in self._rows.groups():
            try:
                logits = self._step(rows)
            except Exception as error:  # crosses threads: re-raised in the callers' tasks
                if not self._rows.freed_memory(error, max(rows, key=self._rows.running.index)):
                    self._rows.fail(rows, error)
                continue
            try:
                self._sample(rows, logits)
            except Exception as error:  # likewise
                self._rows.fail(rows, error)

    def _step(self, rows: Sequence[Generation]) -> torch.Tensor:
        """Logits of the next token of each row."""
        own = rows[0].cache
        if own is not None:
            own.reserve(1)
            return self._forward(own, rows, 1, input_ids=self._tensor([rows[0].ids[-1:]]))
        assert self._rows.batch.cache
        return self._forward(self._rows.batch.cache, rows, 1, **self._rows.batch.inputs())

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
            error = ArithmeticError(
                "the model's logits are not finite, so no token can be sampled: try another dtype"
            )
            self._rows.fail([row for row, ok in zip(rows, finite, strict=True) if not ok], error)
            rows = [row for row, ok in zip(rows, finite, strict=True) if ok]
            logits = logits[finite]
            if not rows:
                return
        drawn = draw(logits, [r.sampling for r in rows], [r.ids for r in rows])
        deliveries: list[Delivery] = []
        for row, token, logprob in zip(rows, *drawn, strict=True):
            try:
                row.take(token, logprob)
            except Exception as error:  # of its watch: crosses threads, ends this row alone
                self._rows.fail([row], error)
                continue
            ended = bool(row.pending and row.pending[-1].reason)
            if ended:
                self._rows.park(row)
            if ended or (self._due and row.pending):
                deliveries.append((row, row.collect()))
        deliver(deliveries)

    def _tensor(self, ids: list[list[int]]) -> torch.Tensor:
        return torch.tensor(ids, device=self._model.device)
