"""SGLangBackend: continues token ids on SGLang's server, written by its documentation."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

from start_sdk.backends._address import address_of, check_limits, is_address, key_of
from start_sdk.backends._continuation import Continuation, finite, joined, request_seed
from start_sdk.backends._http import Connection, Json, ServerError, retrying
from start_sdk.backends._resuming import Lost, opened
from start_sdk.backends.tokenizer import HFTokenizer, load_tokenizer
from start_sdk.errors import BackendError, ModelError, StartError
from start_sdk.generation import Capabilities, Chunk, Sampling, Watch


class SGLangBackend:
    """Continues prefixes on SGLang's server, with token ids in and out (`/generate`).

    Not verified by us on a real server: the fields are those of its documentation. Requests are
    retried and broken streams resumed as by the other server backends.

    Args:
        model: the server's address, with or without `/v1`; or the name of the model it serves,
            with `base_url`.
        base_url: the server's address; by default `OPENAI_BASE_URL`.
        api_key: by default `OPENAI_API_KEY`; sent only if there is one.
        api_key_env: the environment variable that holds the key.
        tokenizer: an embedded model, a folder or a hub id; by default what the server loaded.
        timeout: seconds without a byte from the server after which a request counts as lost.
        retry_seconds: how long a generation keeps retrying without a new token.
        max_context: in tokens; by default what the server reports.
        extra_body: additional fields of each request, for options of the server.

    Raises:
        ModelError: the server does not answer, rejects the key, or is no server of SGLang; it
            serves another model, or the tokenizer cannot be found.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        api_key_env: str | None = None,
        tokenizer: str | None = None,
        timeout: float = 120.0,
        retry_seconds: float = 60.0,
        max_context: int | None = None,
        extra_body: dict[str, Any] | None = None,
    ) -> None:
        check_limits(timeout, retry_seconds, max_context)
        url, key = address_of(model, base_url), key_of(api_key, api_key_env)
        self._connection = Connection(url, key, timeout)
        name, source, length = self._served()
        if not is_address(model) and model != name:
            raise ModelError(f"{url} serves {name!r}, not {model!r}")
        self._tokenizer = load_tokenizer(tokenizer or source)
        self._max_context = max_context or length
        self._retry_seconds = retry_seconds
        self._extra = extra_body or {}
        self._capabilities = Capabilities(
            model=name,
            seeded=False,  # only where it was started with --enable-deterministic-inference
            note="SGLang's server, not verified by us",
        )

    def _served(self) -> tuple[str, str, int]:
        """The model's name, the source of its tokenizer, and its context."""
        try:
            info = self._connection.ask("GET", "/get_model_info")
            source = str(info.get("tokenizer_path") or info["model_path"])
            (card,) = self._connection.ask("GET", "/v1/models")["data"]
            return str(card["id"]), source, int(card["max_model_len"])
        except ServerError as error:
            if error.status in (404, 405, 501):
                raise ModelError(f"{self._connection.url} is no server of SGLang") from error
            raise ModelError(str(error)) from error
        except (LookupError, TypeError, ValueError, ArithmeticError) as error:
            raise ModelError(self._connection.explain(error)) from self._connection.cause(error)

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
        headers = {"X-Session-ID": key} if key else {}  # routers can keep a session on its replica
        cached: int | None = None
        while True:  # terminates: each iteration receives a token or fails
            begin = len(work.token_ids)
            start = partial(self._events, work, sampling, headers)
            try:
                async with aclosing(await opened(start, self._retry_seconds)) as events:
                    async for event in events:
                        chunk = self._chunk(event, begin, work, sampling)
                        cached = event["meta_info"].get("cached_tokens", cached)
                        if chunk.reason:
                            yield replace(chunk, cached=cached)
                            return
                        if chunk.token_ids:
                            yield chunk
            except Lost:
                pass
            except StartError:
                raise
            except Exception as error:  # a boundary: a server may send anything
                raise BackendError(self._connection.explain(error)) from self._connection.cause(
                    error
                )

    async def _events(
        self, work: Continuation, sampling: Sampling, headers: dict[str, str]
    ) -> AsyncGenerator[Json, None]:
        """The events of one stream that have tokens or a reason to end."""
        url = self._connection.url
        stream = self._connection.events("/generate", self._body(work, sampling), headers)
        async with aclosing(stream) as events:
            async for event in events:
                meta = event.get("meta_info") or {}
                reason = meta.get("finish_reason")
                if isinstance(reason, dict) and reason.get("type") == "abort":
                    raise ServerError(f"{url} gave up: {reason.get('message')}", transient=True)
                if event.get("output_ids") or reason:
                    yield event
        raise ServerError(f"{url} ended its stream early", transient=True)

    def _chunk(self, event: Json, begin: int, work: Continuation, sampling: Sampling) -> Chunk:
        """What an event releases. Its ids are all so far, or only the new ones: by how the server
        was started."""
        meta = event["meta_info"]
        count = int(meta["completion_tokens"]) - (len(work.token_ids) - begin)
        ids = [int(i) for i in event["output_ids"]][-count:] if count > 0 else []
        told = meta.get("output_token_logprobs") if sampling.logprobs else None
        logprobs = [finite(entry[0]) for entry in told[-count:]] if told and ids else None
        if len(ids) < count or (sampling.logprobs and len(ids) != len(logprobs or ())):
            raise ValueError(f"{len(ids)} ids for {count} tokens, or log probabilities lack")
        chunk = work.take(ids, logprobs)
        if chunk.reason or not (reason := meta.get("finish_reason")):
            return chunk
        if reason.get("type") != "length":
            raise BackendError(f"{self._connection.url} stopped by itself: {reason}")
        return joined(chunk, work.length())

    def _body(self, work: Continuation, sampling: Sampling) -> Json:
        parameters = {
            "max_new_tokens": work.left,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k or -1,
            "min_p": sampling.min_p,
            "repetition_penalty": sampling.repetition_penalty,
            "frequency_penalty": 0.0,
            "presence_penalty": 0.0,
            "sampling_seed": request_seed(sampling.seed, len(work.token_ids)),
            "ignore_eos": True,  # the tokenizer's `eos_ids` decide; the end token is returned
            "skip_special_tokens": False,
            **sampling.extra,
        }
        return {
            "input_ids": work.token_ids,
            "sampling_params": parameters,
            "return_logprob": sampling.logprobs,
            "stream": True,
            **self._extra,
        }

    async def release(self, key: str) -> None:
        """Does nothing: SGLang evicts its cache by itself."""

    async def reset_cache(self) -> None:
        """Makes the server drop all cached prefixes.

        Raises:
            BackendError: it does not answer, or refuses.
        """
        try:
            await retrying(self._retry_seconds)(self._connection.post, "/flush_cache", {})
        except ServerError as error:
            if error.status or error.transient:  # else it said so in words, not in JSON
                raise

    async def aclose(self) -> None:
        """Closes the connections. Idempotent."""
        await self._connection.aclose()
