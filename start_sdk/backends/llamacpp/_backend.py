"""LlamaCppBackend: continues token ids on llama.cpp's server, and resumes streams that break."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from start_sdk.backends._address import address_of, check_limits, is_address, key_of
from start_sdk.backends._continuation import Continuation, request_seed
from start_sdk.backends._http import Connection, Json, ServerError, retrying
from start_sdk.backends._resuming import Lost, opened
from start_sdk.backends.llamacpp._reading import Gap, Reading, logprobs
from start_sdk.backends.llamacpp._server import Server
from start_sdk.backends.llamacpp._tokenizer import ServerTokenizer
from start_sdk.backends.llamacpp._vocabulary import ALL, FORCED, load, logprob_of
from start_sdk.errors import BackendError, ModelError
from start_sdk.generation import Capabilities, Chunk, Sampling, Watch

_NEUTRAL: Json = {
    # Ours, in this order: all of them see the probabilities at the temperature.
    "samplers": ["penalties", "temperature", "top_p", "min_p", "top_k"],
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "dynatemp_range": 0.0,
    "mirostat": 0,
    "min_keep": 0,
    "logit_bias": [],
    "grammar": "",
    "stop": [],
    "ignore_eos": False,  # it would make them impossible
    "t_max_predict_ms": -1,
    "n_cache_reuse": 0,  # shifts cached rows to other positions, which is not exact
    "cache_prompt": True,
    "return_tokens": True,
    "timings_per_token": True,  # with the number of cached tokens
}
"""A server can be started with other defaults for all of these."""
LIKELY = 100
"""Tokens whose probability is asked for first: of all of them it is 5 MB and 0.4 s."""


class LlamaCppBackend:
    """Continues prefixes on llama.cpp's server (`llama-server`), with token ids in and out.

    The server also tokenizes and runs the chat template, so nothing else has to be fetched. Its
    slots keep the caches of sessions; a splice computes its own tokens only, as long as there are
    at least as many slots (`--parallel`) as sessions at once.

    Requests are retried while the server is busy, unreachable or restarting. A broken stream
    resumes after the last token received, so that nothing is duplicated or lost. Create and use
    the backend in one event loop.

    Args:
        model: the server's address, with or without `/v1`; or the name of the model it serves,
            with `base_url`.
        base_url: the server's address; by default `OPENAI_BASE_URL`.
        api_key: by default `OPENAI_API_KEY`; sent only if there is one.
        api_key_env: the environment variable that holds the key.
        timeout: seconds without a byte from the server after which a request counts as lost.
        retry_seconds: how long a generation keeps retrying without a new token.
        max_context: in tokens; by default what the server has for each slot.
        extra_body: additional fields of each request, for options of the server.

    Raises:
        ModelError: the server does not answer, rejects the key, is no server of llama.cpp, or
            serves another model.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        api_key_env: str | None = None,
        timeout: float = 120.0,
        retry_seconds: float = 60.0,
        max_context: int | None = None,
        extra_body: dict[str, Any] | None = None,
    ) -> None:
        check_limits(timeout, retry_seconds, max_context)
        url, key = address_of(model, base_url), key_of(api_key, api_key_env)
        self._connection = Connection(url, key, timeout)
        self._server = Server(self._connection, retry_seconds)
        served = self._server.served
        if not is_address(model) and model not in (served.name, served.source):
            raise ModelError(f"{url} serves {served.name!r}, not {model!r}")
        try:
            self._vocabulary = load(partial(self._connection.ask, "POST"))
            self._tokenizer = ServerTokenizer(
                self._server.ask, self._vocabulary, served.chat_template
            )
        except ServerError as error:
            raise ModelError(str(error)) from error
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ModelError(
                f"{self._connection.explain(error)}: is its llama.cpp older than 2025?"
            ) from self._connection.cause(error)
        self._max_context = min(max_context or served.max_context, served.max_context)
        self._retry_seconds = retry_seconds
        self._extra = extra_body or {}
        self._interrupted = False
        self._capabilities = Capabilities(
            model=served.name,
            note=f"llama.cpp's server, {served.kind}; noise per request, not per position",
        )

    @property
    def tokenizer(self) -> ServerTokenizer:
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
        request = _Request(work, sampling, {"X-Session-ID": key} if key else {})
        cached: int | None = None
        while True:  # terminates: each iteration receives a token or fails
            reading = Reading(self._vocabulary, ahead=self._server.served.speculates)
            try:
                start = partial(self._events, request)
                async with aclosing(await opened(start, self._retry_seconds)) as events:
                    async for event in events:
                        chunk = await self._chunk(event, reading, request)
                        cached = reading.cached if cached is None else cached
                        if chunk.reason:
                            yield replace(chunk, cached=cached)
                            return
                        if chunk.token_ids:
                            yield chunk
            except Gap as gap:
                cached = reading.cached if cached is None else cached
                chunk = await self._sampled_again(request, gap.count)
                yield replace(chunk, cached=cached)
                if chunk.reason:
                    return
            except Lost:
                self._interrupted = True

    async def _events(self, request: _Request) -> AsyncGenerator[Json, None]:
        """The events of one stream that have tokens, and the last one."""
        if self._interrupted:
            await self._server.check_model()
            self._interrupted = False
        body = {**self._body(request), "stream": True}
        stream = self._connection.events("/completion", body, request.headers)
        try:
            async with aclosing(stream) as events:
                async for event in events:
                    if event.get("stop"):
                        yield event
                        return
                    if event.get("tokens") and "prompt_progress" not in event:
                        yield event
        except ServerError as error:
            self._interrupted |= error.transient
            raise
        raise ServerError(f"{self._connection.url} ended its stream early", transient=True)

    async def _chunk(self, event: Json, reading: Reading, request: _Request) -> Chunk:
        """What an event releases."""
        work, received = request.work, reading.received
        with self._translated():
            ids = reading.ids(event)
            own = logprobs(event) if request.sampling.logprobs else []
        if event.get("stop") and not ids:
            if received:
                raise Lost  # at a limit of the server
            why = event.get("stop_type")
            raise BackendError(f"{self._connection.url} ended before the first token: {why}")
        return work.take(ids, await self._logprobs(ids, own, request))

    async def _sampled_again(self, request: _Request, count: int) -> Chunk:
        """What comes of tokens that a stream left out and that cannot be told from its text.

        They are sampled once more, in a request without a stream, whose answer has all ids. Which
        characters need this depends on the vocabulary: 64 of 89,130 in SmolLM2's.
        """
        body = {**self._body(request), "stream": False, "n_predict": min(count, request.work.left)}
        answer = await self._post(body, request)
        with self._translated():
            ids = [int(i) for i in answer["tokens"]]
            self._tokenizer.decode(ids)  # they have to be in the vocabulary
        if not ids:
            raise BackendError(f"{self._connection.url} sampled no token")
        return request.work.take(ids, await self._logprobs(ids, [], request))

    async def _logprobs(
        self, ids: Sequence[int], known: Sequence[float], request: _Request
    ) -> list[float] | None:
        """The log probability of each id; those of the first ones may have to be asked for."""
        if not request.sampling.logprobs:
            return None
        missing = len(ids) - len(known)
        found = [await self._logprob(ids[:i], ids[i], request) for i in range(missing)]
        return [*found, *known]

    async def _logprob(self, sampled: Sequence[int], token_id: int, request: _Request) -> float:
        """The log probability of a token after those that were just sampled."""
        for count in (LIKELY, ALL):
            body = {
                **self._body(request),
                "prompt": [*request.work.token_ids, *sampled],
                "stream": False,
                "n_predict": 1,
                "n_probs": count,
                # Forces a letter: for the start of a character the server tells no probabilities.
                "logit_bias": [[self._tokenizer.encode("x")[-1], FORCED]],
            }
            answer = await self._post(body, request)
            with self._translated():
                found = logprob_of(answer, token_id)
            if found is not None:
                return found
        raise BackendError(f"{self._connection.url} has no token {token_id}")

    async def _post(self, body: Json, request: _Request) -> Json:
        answer: Json = await retrying(self._retry_seconds)(
            self._connection.post, "/completion", body, request.headers
        )
        return answer

    def _body(self, request: _Request) -> Json:
        sampling, ids = request.sampling, request.work.token_ids
        return {
            **_NEUTRAL,
            "prompt": ids,
            "n_predict": request.work.left,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
            "repeat_penalty": sampling.repetition_penalty,
            "repeat_last_n": self._server.served.max_context,  # all tokens are penalised
            "seed": request_seed(sampling.seed, len(ids)),
            "n_probs": 1 if sampling.logprobs else 0,
            **self._extra,
            **sampling.extra,
        }

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """What is no answer of this server becomes an error of ours."""
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise BackendError(self._connection.explain(error)) from self._connection.cause(error)

    async def release(self, key: str) -> None:
        """Does nothing: the server reuses the slot that was idle for longest."""

    async def reset_cache(self) -> None:
        """Raises BackendError: only a restart drops what llama.cpp's server has cached."""
        raise BackendError(f"{self._connection.url}: the cache of a llama.cpp server stays")

    async def aclose(self) -> None:
        """Closes the connections. Idempotent."""
        await self._connection.aclose()


@dataclass(frozen=True, slots=True)
class _Request:
    """What the requests of one generation have in common."""

    work: Continuation
    sampling: Sampling
    headers: dict[str, str]
