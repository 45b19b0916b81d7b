"""TransformersBackend: one thread decodes, sessions keep their cache rows while they pause."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from transformers import DynamicCache

from start_sdk.backends.matcher import StopMatcher
from start_sdk.backends.tokenizer import HFTokenizer
from start_sdk.backends.transformers.loading import load
from start_sdk.backends.transformers.sampler import draw
from start_sdk.errors import BackendError
from start_sdk.protocols import Capabilities, Chunk, Sampling

PREFILL = 2048
"""Tokens per forward pass while a prefix is read; cancelling takes effect between passes."""

SMALL = 30_000_000
"""Parameters below which a forward pass on CPU is too short to be shared between cores: on a busy
machine the threads would mostly wait for each other."""

_LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len")


@dataclass(slots=True)
class _Row:
    """A session's cache: the ids whose keys and values it holds."""

    cache: Any
    token_ids: list[int] = field(default_factory=list)


class TransformersBackend:
    """Runs a causal language model of transformers, one generation after another.

    The cache of a session is kept while it pauses, so that a splice costs its own tokens only;
    what a session drops is cropped off. Forward passes run on a thread of their own, never on the
    event loop.

    Args:
        model: an embedded model, a local folder, or a hub id.
        device: "cpu", "cuda", "cuda:1"; CUDA if there is one by default.
        dtype: a number format of torch; by default bfloat16 on CUDA, on CPU float32 if the model
            then fills less than half of the memory, else the checkpoint's own.
        max_context: tokens; the model's own limit by default.
        max_rows: sessions whose cache is kept at a time; the least recently used one goes first
            and is read again when it resumes.

    Raises:
        ModelError: the model cannot be found, read or used.
    """

    def __init__(
        self,
        model: str,
        *,
        device: str | None = None,
        dtype: str | None = None,
        max_context: int | None = None,
        max_rows: int = 16,
    ) -> None:
        self._model, self._tokenizer = load(model, device, dtype)
        config = self._model.config.get_text_config()
        own = next((n for k in _LENGTHS if (n := getattr(config, k, None))), 4096)
        self._max_context = max_context or int(own)
        self._capabilities = Capabilities(
            model=model,
            note=f"{self._model.device}, {str(self._model.dtype).removeprefix('torch.')}",
        )
        takes = inspect.signature(self._model.forward).parameters
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
        self._rows: OrderedDict[str, _Row] = OrderedDict()
        self._max_rows = max_rows
        self._engine = ThreadPoolExecutor(max_workers=1, thread_name_prefix="start-engine")
        if self._model.device.type == "cpu" and self._model.num_parameters() < SMALL:
            # torch keeps one number for all threads, which each takes over at its first use of it:
            # so take it over, change it, and put it back for the others.
            cores = torch.get_num_threads()
            self._engine.submit(torch.get_num_threads).result()
            self._engine.submit(torch.set_num_threads, 1).result()
            torch.set_num_threads(cores)

    @property
    def tokenizer(self) -> HFTokenizer:
        return self._tokenizer

    @property
    def max_context(self) -> int:
        return self._max_context

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def generate(
        self,
        prefix_ids: Sequence[int],
        sampling: Sampling,
        stop: Sequence[str] = (),
        *,
        max_tokens: int,
        key: str | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """See `Backend.generate`."""
        loop = asyncio.get_running_loop()
        chunks: asyncio.Queue[Chunk | Exception] = asyncio.Queue()
        cancelled = threading.Event()
        prefix = list(prefix_ids)

        def emit(item: Chunk | Exception) -> None:
            if not cancelled.is_set():
                loop.call_soon_threadsafe(chunks.put_nowait, item)

        def work() -> None:
            try:
                for chunk in self._decode(prefix, sampling, stop, max_tokens, key, cancelled):
                    emit(chunk)
            except Exception as error:  # crosses threads: raised again below, in the caller's task
                if key:
                    self._rows.pop(key, None)  # a pass that failed half-way leaves its row unusable
                emit(error)

        self._submit(work)
        try:
            while True:
                item = await chunks.get()
                if isinstance(item, Exception):
                    raise BackendError(f"{self._capabilities.model}: {item}") from item
                yield item
                if item.reason:
                    return
        finally:
            cancelled.set()

    async def release(self, key: str) -> None:
        """Forgets a session's cache."""
        self._submit(lambda: self._rows.pop(key, None))

    async def reset_cache(self) -> None:
        """Forgets all caches."""
        self._submit(self._rows.clear)

    async def aclose(self) -> None:
        """Stops the thread once what runs has ended; idempotent."""
        await asyncio.to_thread(self._engine.shutdown, cancel_futures=True)
        self._rows.clear()

    async def __aenter__(self) -> TransformersBackend:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _submit(self, work: Any) -> None:
        try:
            self._engine.submit(work)
        except RuntimeError as error:
            raise BackendError(f"{self._capabilities.model}: the backend is closed") from error

    @torch.inference_mode()
    def _decode(
        self,
        prefix: list[int],
        sampling: Sampling,
        stop: Sequence[str],
        max_tokens: int,
        key: str | None,
        cancelled: threading.Event,
    ) -> Iterator[Chunk]:
        """Runs on the engine's thread."""
        if len(prefix) + max_tokens > self._max_context:
            raise ValueError(
                f"{len(prefix)} + {max_tokens} tokens do not fit a context of {self._max_context}"
            )
        row = self._row(key)
        cached = self._rewind(row, prefix)
        tokenizer = self._tokenizer
        stream = tokenizer.stream(prefix)
        matcher = StopMatcher(stream, tokenizer.decode, stop, logprobs=sampling.logprobs)
        fresh = prefix[cached:]
        for _ in range(max_tokens):
            logits = self._forward(row, fresh, cancelled)
            if logits is None:
                return
            position = len(row.token_ids)
            token, logprob = draw(logits, sampling, position)
            if token in tokenizer.eos_ids:
                yield replace(
                    matcher.flush(),
                    reason="eos",
                    matched_ids=(token,),
                    matched_text=tokenizer.decode([token]),
                    matched_logprobs=(logprob,) if sampling.logprobs else None,
                    cached=cached,
                )
                return
            chunk = matcher.push(token, logprob)
            if chunk.reason:
                yield replace(chunk, cached=cached)
                return
            if chunk.token_ids:
                yield chunk
            fresh = [token]
        yield replace(matcher.flush(), reason="length", cached=cached)

    def _forward(
        self, row: _Row, fresh: list[int], cancelled: threading.Event
    ) -> torch.Tensor | None:
        """Logits behind `fresh`, shape (vocabulary,); None if the generation was cancelled."""
        logits: torch.Tensor | None = None
        for start in range(0, len(fresh), PREFILL):
            if cancelled.is_set():
                return None
            part = fresh[start : start + PREFILL]
            ids = torch.tensor([part], device=self._model.device)
            out = self._model(
                input_ids=ids, past_key_values=row.cache, use_cache=True, **self._last_only
            )
            row.token_ids += part
            logits = out.logits[0, -1]
        return logits

    def _row(self, key: str | None) -> _Row:
        """The session's row, moved to the young end; a new one if it has none."""
        row = self._rows.pop(key, None) if key else None
        row = row or self._fresh_row()
        if key:
            self._rows[key] = row
            while len(self._rows) > self._max_rows:
                self._rows.popitem(last=False)
        return row

    def _fresh_row(self) -> _Row:
        return _Row(DynamicCache(config=self._model.config))

    def _rewind(self, row: _Row, prefix: list[int]) -> int:
        """Crops a row to what it shares with a prefix; returns how many tokens that is.

        At least one token is always left to feed, since the logits behind it are wanted.
        """
        limit = min(len(row.token_ids), len(prefix) - 1)
        if row.token_ids[:limit] == prefix[:limit]:
            shared = limit
        else:
            shared = next(i for i in range(limit) if row.token_ids[i] != prefix[i])
        surplus = len(row.token_ids) - shared
        if surplus and shared:
            try:
                row.cache.crop(-surplus)
            except (RuntimeError, NotImplementedError, AttributeError):
                shared = 0  # sliding windows and state-space layers cannot always go back
        if not shared:
            row.cache = self._fresh_row().cache
        del row.token_ids[shared:]
        return shared
