"""TransformersBackend: sessions leave one running batch for their tool calls, then rejoin it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, Any

from start_sdk import models
from start_sdk.backends._continuation import Continuation
from start_sdk.backends.tokenizer import HFTokenizer
from start_sdk.backends.transformers._adapter import check_adapter
from start_sdk.backends.transformers._options import Loaded, LoadOptions
from start_sdk.errors import BackendError, ConfigError
from start_sdk.generation import Capabilities, Chunk, Sampling, Watch

if TYPE_CHECKING:
    import torch

_LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len")


class TransformersBackend:
    """Runs a causal language model with transformers, many generations in one batch.

    A paused session keeps its KV cache, so a splice costs only its own tokens. Dropped tokens are
    cropped from the cache, and a session whose prefix matches another's copies that cache.
    Forward passes run on a separate thread, never on the event loop.

    Args:
        model: an embedded model, a local folder, a GGUF file, a hub id, or an already `Loaded`
            model.
        device: "cpu", "cuda" or "cuda:1"; by default CUDA if available.
        device_map: which part of the model runs where, as transformers takes it, such as "auto"
            for all CUDA devices; in place of `device`.
        dtype: "bfloat16", "float16", "float32", "float64", or "auto" for the checkpoint's own; by
            default bfloat16 on CUDA; on CPU float32 if the model then fills less than half of the
            memory, else the checkpoint's own.
        quantization: passed to transformers as `quantization_config`: one of its configs, or a
            dict such as `{"load_in_4bit": True}` for bitsandbytes.
        revision: a branch, tag or commit of a hub id.
        attn_implementation: passed to transformers, such as "sdpa" or "flash_attention_2".
        adapter: a PEFT folder that fits the model; merged into weights that are not quantized.
        gguf_file: the GGUF file of a folder or a hub id that is the model.
        trust_remote_code: run the code that a model brings along; never unless asked.
        threads: that share a forward pass on CPU; by default one below 30 million parameters,
            half of the cores below a billion, else torch's own number (docs/backends.md has the
            figures).
        max_context: in tokens; by default the model's own limit.
        max_batch: generations that decode at the same time; others wait in order of arrival.
        memory_mib: MiB available to caches; by default a quarter of the machine's memory, on CUDA
            three quarters of what the model leaves free. The least recently used cache of a
            paused session is evicted first, and is recomputed when that session resumes.
        deterministic: equal requests give bit-identical results whatever else is running: each
            row decodes alone, and no cache is shared or evicted.

    Raises:
        ModelError: the model or its adapter cannot be found, read or used; what can be seen from
            the files is seen before torch is imported.
        ConfigError: a number is below 1, both `device` and `device_map` are given, or an option of
            the loading for a model that is already loaded.
        MissingExtra: the extra `transformers` is not installed.
    """

    def __init__(
        self,
        model: str | Loaded,
        *,
        device: str | None = None,
        device_map: str | dict[str, Any] | None = None,
        dtype: str | None = None,
        quantization: Any = None,
        revision: str | None = None,
        attn_implementation: str | None = None,
        adapter: str | None = None,
        gguf_file: str | None = None,
        trust_remote_code: bool = False,
        threads: int | None = None,
        max_context: int | None = None,
        max_batch: int = 32,
        memory_mib: int | None = None,
        deterministic: bool = False,
    ) -> None:
        limits = {
            "threads": threads,
            "max_context": max_context,
            "max_batch": max_batch,
            "memory_mib": memory_mib,
        }
        for name, value in limits.items():
            if value is not None and value < 1:
                raise ConfigError(f"{name}={value}: must be at least 1")
        options = LoadOptions(
            device=device,
            device_map=device_map,
            dtype=dtype,
            quantization=quantization,
            revision=revision,
            attn_implementation=attn_implementation,
            adapter=adapter,
            gguf_file=gguf_file,
            trust_remote_code=trust_remote_code,
        )
        source = _checked(model, options)  # before torch is imported, which takes seconds
        from start_sdk.backends.transformers._engine import Engine
        from start_sdk.backends.transformers._loading import load, wrapped
        from start_sdk.backends.transformers._threads import threads_for

        if isinstance(model, str):
            loaded, self._tokenizer = load(model, source, options)
        else:
            loaded, self._tokenizer = wrapped(model)
        if loaded.device.type != "cpu":
            threads = None
        elif threads is None:
            threads = threads_for(loaded)
        config = loaded.config.get_text_config()
        own = next((n for k in _LENGTHS if (n := getattr(config, k, None))), 4096)
        self._max_context = max_context or int(own)
        name = model if isinstance(model, str) else str(loaded.name_or_path)
        self._engine = Engine(
            loaded,
            self._tokenizer,
            max_batch=max_batch,
            memory=memory_mib * 2**20 if memory_mib else _spare_memory(loaded.device),
            deterministic=deterministic,
            threads=threads,
        )
        self._capabilities = Capabilities(
            model=name,
            lacks=frozenset({"extra"}),
            note=_note(loaded, threads or 1, deterministic=deterministic),
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
        from start_sdk.backends.transformers._generation import Generation

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


def _checked(model: str | Loaded, options: LoadOptions) -> models.Source:
    """Where the model is, once all that can be seen without loading it is seen to be right."""
    if not isinstance(model, str):
        options.check_loaded()
        return models.Source("")
    source = models.find(model, gguf_file=options.gguf_file, revision=options.revision)
    if source.adapter and options.adapter:
        raise ConfigError(f"{model} is an adapter itself: adapter= cannot be set")
    if adapter := options.adapter or source.adapter:
        check_adapter(adapter)
    return source


def _spare_memory(device: torch.device) -> int:
    """Bytes available to caches; the rest is left for forward passes."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0]) * 3 // 4
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4


def _note(model: Any, threads: int, *, deterministic: bool) -> str:
    """What the model runs on, in a line."""
    dtype = str(model.dtype).removeprefix("torch.")
    parts = [str(model.device), dtype]
    if threads > 1:
        parts.append(f"{threads} threads")
    if deterministic:
        parts.append("deterministic")
    note = ", ".join(parts)
    gains = model.num_parameters() > 100_000_000 and model.device.type == "cpu"
    if gains and dtype == "float32" and {"avx512_bf16", "amx_bf16"} & _processor_flags():
        note += "; dtype=bfloat16 is faster for many sessions on this processor"
    return note


def _processor_flags() -> set[str]:
    """What the processor can do, as Linux lists it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return set(next((line for line in file if line.startswith("flags")), "").split())
    except OSError:
        return set()
