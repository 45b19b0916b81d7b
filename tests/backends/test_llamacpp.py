"""The llamacpp backend against what a real server said: exact ids, whatever breaks on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llamacpp_server import Event, FakeLlama
from openai_server import KEY, Fault
from record_llamacpp import GREEDY, LENGTH, QUESTION, RUNS, TEXTS

from start_sdk import (
    BackendError,
    Chunk,
    ConfigError,
    ModelError,
    Sampling,
    StartError,
    open_backend,
)
from start_sdk.backends.llamacpp import LlamaCppBackend
from start_sdk.testing import StopsAt

KINDS = ("bytes", "sentencepiece")
WARM = RUNS["warm"]


@asynccontextmanager
async def opened(server: FakeLlama, **options: Any) -> AsyncIterator[LlamaCppBackend]:
    options = {"retry_seconds": 3.0, **options}
    async with aclosing(LlamaCppBackend(server.url, **options)) as backend:
        yield backend


async def take(
    backend: LlamaCppBackend, sampling: Sampling, n: int = LENGTH, stop: str = ""
) -> tuple[list[Chunk], list[int]]:
    """The chunks of a recorded run, and its prompt."""
    prompt = backend.tokenizer.render([{"role": "user", "content": QUESTION}])
    watch = StopsAt(stop) if stop else None
    stream = backend.generate(prompt, sampling, watch=watch, max_tokens=n, key="s")
    async with aclosing(stream):
        return [chunk async for chunk in stream], prompt


def ids_of(chunks: Sequence[Chunk]) -> list[int]:
    return [i for chunk in chunks for i in (*chunk.token_ids, *chunk.withheld_ids)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("run", RUNS)
async def test_all_ids_arrive_although_no_event_has_those_inside_characters(
    kind: str, run: str
) -> None:
    sampling = RUNS[run]
    with FakeLlama(kind) as server:
        async with opened(server) as backend:
            chunks, prompt = await take(backend, sampling)
            text = "".join(chunk.text for chunk in chunks)
            ids = [i for chunk in chunks for i in chunk.token_ids]
            expected = server.recorded.ids([*RUNS].index(run))
            assert [*prompt, *ids_of(chunks)] == expected
            assert text == backend.tokenizer.decode(ids)
            if sampling.logprobs:
                found = [p for chunk in chunks for p in chunk.logprobs or ()]
                assert len(found) == len(ids) and all(-30 < p <= 0 for p in found)
            ends = expected[-1] in backend.tokenizer.eos_ids
            assert chunks[-1].reason == ("eos" if ends else "length")
            assert chunks[-1].cached == (0 if run == "greedy" else len(prompt) - 1)
    events = [e for r in server.streamed for e in server.recorded.events(r)]
    told = sum(len(event["tokens"]) for event in events)
    assert kind == "sentencepiece" or told < len(expected) - len(prompt)


async def test_no_default_of_the_server_applies() -> None:
    with FakeLlama() as server:
        async with opened(server) as backend:
            _, prompt = await take(backend, GREEDY, 8)
    body = server.streamed[0]
    assert body["prompt"] == prompt and body["n_predict"] == 8
    assert body["samplers"] == ["penalties", "temperature", "top_p", "min_p", "top_k"]
    neutral = {
        "temperature": 0.0, "top_p": 0.95, "top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0,
        "presence_penalty": 0.0, "frequency_penalty": 0.0, "dynatemp_range": 0.0, "mirostat": 0,
        "logit_bias": [], "grammar": "", "ignore_eos": False, "n_cache_reuse": 0,
    }  # fmt: skip
    assert {name: body[name] for name in neutral} == neutral


async def test_a_match_is_withheld_and_the_stream_is_closed() -> None:
    with FakeLlama() as server:
        async with opened(server) as backend:
            whole, _ = await take(backend, WARM)
            text = "".join(chunk.text for chunk in whole)
            letters = next(text[i : i + 2] for i in range(8, len(text)) if text[i:][:2].isascii())
            chunks, prompt = await take(backend, WARM, stop=letters)
            ids = ids_of(chunks)
            assert chunks[-1].reason == "stop" and chunks[-1].stops[0].event is not None
            assert letters not in "".join(chunk.text for chunk in chunks)
            assert [*prompt, *ids] == server.recorded.ids([*RUNS].index("warm"))[
                : len(prompt) + len(ids)
            ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "fault", [Fault("close"), Fault("close", 1), Fault("reset", 5), Fault("error", 9)]
)
async def test_a_broken_stream_goes_on_after_the_last_token(kind: str, fault: Fault) -> None:
    with FakeLlama(kind, faults=[fault]) as server:
        async with opened(server) as backend:
            chunks, prompt = await take(backend, WARM)
            expected = server.recorded.ids([*RUNS].index("warm"))
            assert [*prompt, *ids_of(chunks)] == expected


async def test_a_server_that_loads_or_is_busy_is_waited_for() -> None:
    with FakeLlama(faults=[Fault("503"), Fault("429")]) as server:
        async with opened(server) as backend:
            chunks, prompt = await take(backend, GREEDY)
            assert [*prompt, *ids_of(chunks)] == server.recorded.ids(0)


async def test_a_server_that_is_gone_is_one_line() -> None:
    with FakeLlama(faults=[Fault("close")] * 99) as server:
        async with opened(server, retry_seconds=0.3) as backend:
            with pytest.raises(BackendError, match="ended its stream early"):
                await take(backend, GREEDY)


async def test_another_model_after_a_restart_is_an_error() -> None:
    with FakeLlama(faults=[Fault("close", 5)]) as server:
        async with opened(server) as backend:
            other = {**server.recorded.answer("/props", None), "model_path": "/m/b.gguf"}
            server.answers["/props"] = (200, {**other, "model_alias": "/m/b.gguf"})
            with pytest.raises(BackendError, match=r"now serves 'b.gguf' instead of 'bytes.gguf'"):
                await take(backend, GREEDY)


async def test_a_stream_that_is_left_is_closed() -> None:
    with FakeLlama(faults=[Fault("hang", 3)]) as server:
        async with opened(server) as backend:
            prompt = backend.tokenizer.render([{"role": "user", "content": QUESTION}])
            stream = backend.generate(prompt, WARM, max_tokens=LENGTH)
            await anext(stream)
            await stream.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_text_is_encoded_and_decoded_as_it_is_and_only_control_has_control_ids(
    kind: str,
) -> None:
    with FakeLlama(kind) as server:
        async with opened(server) as backend:
            tokenizer = backend.tokenizer
            for text in TEXTS:
                plain, control = (tokenizer.encode(text, control=c) for c in (False, True))
                assert tokenizer.decode(plain) == tokenizer.decode(control) == text
                assert not tokenizer.control_ids & {*plain}
            (thinking,) = tokenizer.encode("<think>", control=True)
            assert thinking in tokenizer.control_ids
            assert [tokenizer.decode([i]) for i in sorted(tokenizer.eos_ids)] == ["<|end|>"]
            with pytest.raises(IndexError):
                tokenizer.decode([-1])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_conversation_is_rendered_by_the_server_and_its_texts_stay_text(kind: str) -> None:
    with FakeLlama(kind) as server:
        async with opened(server) as backend:
            tokenizer = backend.tokenizer
            ids = tokenizer.render([{"role": "user", "content": QUESTION}])
            tags = [tokenizer.decode([i]) for i in ids if i in tokenizer.control_ids]
            begin = ["<s>"] if kind == "sentencepiece" else []
            turns = ["<|user|>", "<|end|>", "<|assistant|>", "<think>"]
            assert tags in ([*begin, *turns], ["<s>", *turns])
            assert QUESTION in tokenizer.decode(ids)
            told = tokenizer.decode(
                tokenizer.render([{"role": "user", "content": "hi"}], {"tone": "!"})
            )
            assert told.endswith("!")
            with pytest.raises(ConfigError, match="no option 'tune'; it has tone"):
                tokenizer.render([{"role": "user", "content": "hi"}], {"tune": "!"})


@pytest.mark.parametrize("kind", KINDS)
async def test_text_comes_in_whole_characters(kind: str) -> None:
    with FakeLlama(kind) as server:
        async with opened(server) as backend:
            text = "日本 é 🙂"
            step = backend.tokenizer.stream([])
            pieces = [step(i) for i in backend.tokenizer.encode(text)]
            assert "".join(pieces) == text and "" in pieces


async def test_what_a_template_rejects_is_a_model_error() -> None:
    said = {"error": {"message": "System role not supported", "code": 400}}
    with FakeLlama(answers={"/apply-template": (400, said)}) as server:
        async with opened(server) as backend:
            with pytest.raises(ModelError, match=r"rejects these messages: System role not"):
                backend.tokenizer.render([{"role": "user", "content": "hi"}])


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"/props": (404, {"error": "Not Found"})}, "is no server of llama.cpp"),
        ({"/props": (200, {"hello": "world"})}, "is no server of llama.cpp"),
        ({"/completion": (200, {"content": "x"})}, "llama.cpp older than 2025"),
        ({"/completion": (500, {"error": {"message": "broken"}})}, "answered 500: broken"),
    ],
)
def test_a_server_that_cannot_be_used_is_one_line(answers: dict[str, Any], says: str) -> None:
    with FakeLlama(answers=answers) as server, pytest.raises(ModelError, match=says) as raised:
        LlamaCppBackend(server.url)
    assert "\n" not in str(raised.value)


def test_a_key_is_sent_and_never_shown() -> None:
    with FakeLlama(wants_key=True) as server:
        open_backend(server.url, "llamacpp", api_key=KEY)
        with pytest.raises(ModelError, match="rejects the API key") as raised:
            LlamaCppBackend(server.url, api_key="sk-another")
    assert "sk-another" not in str(raised.value)


def test_a_name_needs_an_address_and_must_be_served() -> None:
    with FakeLlama() as server:
        backend = LlamaCppBackend("bytes.gguf", base_url=server.url)
        assert backend.capabilities.model == "bytes.gguf" and backend.max_context == 512
        with pytest.raises(ModelError, match=r"serves 'bytes.gguf', not 'other'"):
            LlamaCppBackend("other", base_url=server.url)


def spoil(events: list[Any], at: int, how: str) -> None:
    """One thing that goes wrong with a list of events."""
    at = min(at, len(events) - 1)
    event = events[at]
    if how == "cut":
        del events[at + 1 :]
    elif how == "lost":
        del events[at]
    elif how == "twice":
        events.insert(at, event)
    elif how == "swapped":
        events[at : at + 2] = reversed(events[at : at + 2])
    else:
        changed: dict[str, Any] = {"null": {"tokens": None}, "text": {"content": "x"}, "empty": {}}
        events[at] = {**event, **changed[how]} if how != "empty" else {}


HOW = st.sampled_from(["cut", "lost", "twice", "swapped", "null", "text", "empty"])


@given(st.lists(st.tuples(st.integers(0, 12), HOW), min_size=1, max_size=4))
@settings(max_examples=15, deadline=None)
def test_spoiled_streams_give_the_right_tokens_or_an_error(faults: list[tuple[int, str]]) -> None:
    """Whatever events are lost, doubled or changed: no wrong token, no hang, no traceback."""

    def spoiled(events: list[Event]) -> list[Any]:
        made: list[Any] = list(events)
        for at, how in faults:
            if made:
                spoil(made, at, how)
        return made

    async def run() -> None:
        with FakeLlama("sentencepiece", edit=spoiled) as server:
            async with opened(server, retry_seconds=0.05, timeout=2) as backend:
                try:
                    chunks, prompt = await take(backend, WARM)
                except StartError as error:
                    assert "\n" not in str(error)
                else:
                    whole = [*prompt, *ids_of(chunks)]
                    assert whole == server.recorded.ids([*RUNS].index("warm"))

    asyncio.run(run())
