"""TransformersBackend: sessions leave one running batch for their tool calls, then rejoin it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import torch

from start_sdk.backends._continuation import Continuation
from start_sdk.backends.tokenizer import HFTokenizer
from start_sdk.backends.transformers._engine import Engine
from start_sdk.backends.transformers._generation import Generation
from start_sdk.backends.transformers._loading import Loaded, load
from start_sdk.backends.transformers._memory import MIB
from start_sdk.errors import BackendError, ConfigError
from start_sdk.generation import Capabilities, Chunk, Sampling, Watch

_LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len")


class TransformersBackend:
    """Runs a causal language model with transformers, many generations in one batch.

    A paused session keeps its KV cache, so a splice costs only its own tokens. Dropped tokens are
    cropped from the cache, and a session whose prefix matches another's copies that cache.
    Forward passes run on a separate thread, never on the event loop.

    Args:
        model: an embedded model, a local folder, a hub id, or an already `Loaded` model.
        device: "cpu", "cuda" or "cuda:1"; by default CUDA if available.
        dtype: name of a torch dtype; by default bfloat16 on CUDA; on CPU float32 if the model
            then fills less than half of the memory, else the checkpoint's own dtype.
        max_context: in tokens; by default the model's own limit.
        max_batch: generations that decode at the same time; others wait in order of arrival.
        memory_mib: MiB available to caches; by default a quarter of the machine's memory, on CUDA
            three quarters of what the model leaves free. The least recently used cache of a
            paused session is evicted first, and is recomputed when that session resumes.
        deterministic: equal requests give bit-identical results whatever else is running: each
            row decodes alone, and no cache is shared or evicted.

    Raises:
        ModelError: the model cannot be found, read or used.
        ConfigError: `max_batch` or `memory_mib` is below 1, or `device` or `dtype` is given for a
            model that is already loaded.
    """

    def __init__(
        self,
        model: str | Loaded,
        *,
        device: str | None = None,
        dtype: str | None = None,
        max_context: int | None = None,
        max_batch: int = 32,
        memory_mib: int | None = None,
        deterministic: bool = False,
    ) -> None:
        for name, value in (("max_batch", max_batch), ("memory_mib", memory_mib)):
            if value is not None and value < 1:
                raise ConfigError(f"{name}={value}: must be at least 1")
        loaded, self._tokenizer = load(model, device, dtype)
        config = loaded.config.get_text_config()
        own = next((n for k in _LENGTHS if (n := getattr(config, k, None))), 4096)
        self._max_context = max_context or int(own)
        note = f"{loaded.device}, {str(loaded.dtype).removeprefix('torch.')}"
        name = model if isinstance(model, str) else str(loaded.name_or_path)
        self._capabilities = Capabilities(
            model=name,
            lacks=frozenset({"extra"}),
            note=f"{note}, deterministic" if deterministic else note,
        )
        self._engine = Engine(
            loaded,
            self._tokenizer,
            max_batch=max_batch,
            memory=memory_mib * MIB if memory_mib else _spare_memory(loaded.device),
            deterministic=deterministic,
        )

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
        *,
        watch: Watch | None = None,
        max_tokens: int,
        key: str | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """See `Backend.generate`."""
        work = Continuation(self, prefix_ids, sampling, watch, max_tokens)
        generation = Generation(work, sampling, key, asyncio.get_running_loop())
        self._submit(self._engine.add, generation)
        try:
            while True:
                item = await generation.chunks.get()
                if isinstance(item, Exception):
                    raise BackendError(f"{self._capabilities.model}: {item}") from item
                yield item
                if item.reason:
                    return
        finally:
            generation.cancelled = True

    async def release(self, key: str) -> None:
        """Drops a session's cache."""
        self._submit(self._engine.release, key)

    async def reset_cache(self) -> None:
        """Drops the caches of all paused sessions."""
        self._submit(self._engine.reset_cache)

    async def aclose(self) -> None:
        """Stops the engine's thread; running generations get an error. Idempotent."""
        await asyncio.to_thread(self._engine.shutdown)

    async def __aenter__(self) -> TransformersBackend:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _submit(self, work: Callable[..., Any], argument: Any = None) -> None:
        try:
            self._engine.submit(work, *([] if argument is None else [argument]))
        except RuntimeError as error:
            raise BackendError(f"{self._capabilities.model}: the backend is closed") from error


def _spare_memory(device: torch.device) -> int:
    """Bytes available to caches; the rest is left for forward passes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0]) * 3 // 4
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
