"""One answer to every fault: what the server meant, or one line. Nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from contextlib import aclosing
from email.utils import formatdate
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_server import DONE, Event, Reply, ScriptedServer, body, chat, stream, text

from start_sdk import BackendError, Chunk, Limits, ReasoningSession, Sampling, Trace, verify_trace
from start_sdk.backends.openai import OpenAIBackend
from start_sdk.backends.tokenizer import load_tokenizer

TOKENIZER = load_tokenizer("start-tiny-base")
EOS = min(TOKENIZER.eos_ids)
Mode = Literal["tokens", "text", "chat"]


def answers(method: str, path: str, sent: Any) -> Reply | None:
    """Of a server that returns ids, and log probabilities with them."""
    if path != "/v1/completions":
        return None
    ids = TOKENIZER.encode(sent["prompt"])
    choice = {"text": "x", "token_ids": [1], "prompt_token_ids": ids}
    return body({"choices": [{**choice, "logprobs": {"token_logprobs": [-0.1]}}]})


def ids(said: str, finish: str | None = None, *logprobs: float | None, end: bool = False) -> Event:
    """An event of a completion with token ids."""
    found = [*TOKENIZER.encode(said, control=True), *([EOS] if end else [])]
    more = {"logprobs": {"token_logprobs": list(logprobs)}} if logprobs else {}
    return text(said, finish, token_ids=found, **more)


async def run(
    replies: Sequence[Reply], mode: Mode = "text", *, retry: float = 3.0, logprobs: bool = False
) -> tuple[Trace, ScriptedServer]:
    with ScriptedServer(replies, answers) as server:
        backend = OpenAIBackend("m", base_url=server.url, mode=mode, retry_seconds=retry)
        async with aclosing(backend):
            session = ReasoningSession(
                backend,
                sampling=Sampling(temperature=0, logprobs=logprobs),
                limits=Limits(max_tokens=200),
            )
            trace = await asyncio.wait_for(session.run("Q?"), 30)
            verify_trace(trace, backend.tokenizer)
    return trace, server


async def failure(*args: Any, **options: Any) -> str:
    with pytest.raises(BackendError) as error:
        await run(*args, **options)
    assert "\n" not in str(error.value) and error.value.trace is not None
    return str(error.value)


THOUGHT = stream(text("So 4.\n</think>"), text("", "stop"), DONE)

ENDINGS: dict[str, list[Event]] = {
    "stop": [text("", "stop"), DONE],
    "only [DONE]": [DONE],
    "a word of its own": [text("", "eos_token"), DONE],
    "another one": [text("", "end_turn")],
    "without [DONE]": [text("", "stop")],
    "twice": [text("", "stop"), text("", "stop"), DONE],
    "text after the end": [text("", "stop"), text(" and more", None), DONE],
    "usage after the end": [text("", "stop"), {"choices": [], "usage": {"prompt_tokens": 1}}, DONE],
    "usage without details": [text("", "stop"), {"choices": None, "usage": None}, DONE],
    "nulls before": [{"choices": []}, {}, {"choices": [{}]}, text("", "stop")],
    "another choice": [{"choices": [{"index": 1, "text": "no", "finish_reason": None}]}, DONE],
    "an error after the end": [text("", "stop"), {"error": {"message": "x", "code": 500}}],
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
async def test_every_way_to_end_a_text_ends_it(ending: list[Event]) -> None:
    trace, server = await run([THOUGHT, stream(text("\n\n\\boxed{4}"), *ending)])
    assert (trace.response, trace.finish, len(server.requests)) == (r"\boxed{4}", "eos", 2)


async def test_no_end_of_sequence_is_made_up_in_an_exact_trace() -> None:
    replies = [stream(ids("So 4.\n</think>")), stream(ids("\n\n\\boxed{4}"), DONE)]
    trace, server = await run(replies, "tokens")
    assert (trace.response, trace.finish, len(server.requests)) == (r"\boxed{4}", "length", 2)


@pytest.mark.parametrize("word", ["content_filter", "tool_calls", "sensitive"])
async def test_a_text_that_is_not_complete_is_an_error_that_says_why(word: str) -> None:
    assert repr(word) in await failure([stream(text("So", word), DONE)])


async def test_a_server_that_never_says_why_it_ends_is_not_asked_for_ever() -> None:
    with ScriptedServer([stream(text(" so"))], answers) as server:
        async with aclosing(OpenAIBackend("m", base_url=server.url, mode="text")) as backend:
            with pytest.raises(BackendError, match="ended its stream early"):
                await ReasoningSession(backend).run("Q?")
    assert len(server.requests) == 4


LOGPROBS: dict[str, tuple[Event, str]] = {
    "none": (ids("so 4."), "no log probabilities for"),
    "null": (ids("so", None, None), "log probabilities are [None]"),
    "fewer than ids": (ids("so 4. And more", None, -0.1), "1 log probabilities for"),
    "more than ids": (ids("so", None, *[-0.1] * 9), "9 log probabilities for"),
    "no numbers": (ids("so", None, float("nan")), "log probabilities are [nan]"),
}


@pytest.mark.parametrize(("event", "says"), LOGPROBS.values(), ids=LOGPROBS)
async def test_log_probabilities_are_never_made_up(event: Event, says: str) -> None:
    assert says in await failure([stream(event, DONE)], "tokens", logprobs=True)


async def test_where_a_server_has_no_log_probabilities_there_are_none() -> None:
    def without(method: str, path: str, sent: Any) -> Reply | None:
        if path != "/v1/completions":
            return None
        return body({"choices": [{"text": "x", "token_ids": [1], "logprobs": None}]})

    replies = [stream(ids("so 4.</think>")), stream(ids("4", "stop", end=True), DONE)]
    with ScriptedServer(replies, without) as server:
        async with aclosing(OpenAIBackend("m", base_url=server.url)) as backend:
            assert not backend.capabilities.logprobs
            trace = await ReasoningSession(backend, sampling=Sampling(logprobs=True)).run("Q?")
    assert {s.logprobs for s in trace.segments} == {None} and trace.finish == "eos"


@pytest.mark.parametrize(
    ("header", "least"),
    [("1", 0.95), ("1.2", 1.15), (formatdate(time.time() + 3600, usegmt=True), 3000)],
    ids=["seconds", "decimals", "a date"],
)
async def test_a_busy_server_is_not_asked_before_the_time_it_names(
    header: str, least: float
) -> None:
    busy = Reply([b"{}"], 429, {"Retry-After": header})
    replies = [busy, stream(chat(None, "<think>\nh</think>4", "stop"), DONE)]
    began = time.monotonic()
    if least < 100:
        trace, server = await run(replies, "chat")
        assert (trace.response, len(server.requests)) == ("4", 2)
        assert time.monotonic() - began >= least
    else:  # longer than retries may take: said at once
        assert "(it asks to wait 3." in await failure(replies, "chat")
        assert time.monotonic() - began < 2


ODD: dict[str, list[Event]] = {
    "null deltas": [{"choices": [{"index": 0, "delta": None}]}, chat(None, "4")],
    "no delta": [{"choices": [{"index": None}]}, chat(None, "4")],
    "null contents": [chat(None, None), chat(None, "4")],
    "a whole message": [{"choices": [{"message": {"role": "assistant", "content": "4"}}]}],
    "parts": [{"choices": [{"delta": {"content": [{"type": "text", "text": "4"}]}}]}],
}


@pytest.mark.parametrize("events", ODD.values(), ids=ODD)
async def test_odd_deltas_mean_what_they_say(events: list[Event]) -> None:
    trace, _ = await run([stream(*events, chat(finish="stop"), DONE)], "chat")
    assert trace.response == "4"


PROTOCOL: dict[str, Reply] = {
    "an error in a 200": body({"error": {"message": "no credit left"}}),
    "choices are a text": stream({"choices": "no"}, DONE),
    "a choice is a list": stream({"choices": [[]]}, DONE),
    "a delta is a list": stream({"choices": [{"delta": ["no"]}]}, DONE),
    "a content is a number": stream({"choices": [{"delta": {"content": 7}}]}, DONE),
}


@pytest.mark.parametrize("reply", PROTOCOL.values(), ids=PROTOCOL)
async def test_what_follows_no_protocol_is_one_line(reply: Reply) -> None:
    said = await failure([reply], "chat")
    assert "no credit left" in said or "did not follow the protocol" in said


async def test_text_and_ids_of_the_wrong_type_are_one_line() -> None:
    for event in (text("x", token_ids=["a"]), text("x", token_ids=[1.5]), text("x")):
        assert "did not follow the protocol" in await failure([stream(event, DONE)], "tokens")
    odd: Any = ["x"]
    assert "a text is" in await failure([stream(text(odd), DONE)], "text")


# Streams as servers send them, in all orders and pieces, with faults between.

NOISE: list[Event] = [
    {"choices": []}, {"choices": None}, {}, {"choices": [{"index": 1, "text": "no"}]},
    {"choices": [{"index": 0, "text": None, "finish_reason": None}]}, text(""),
    {"choices": [{}], "usage": {"prompt_tokens_details": None}}, {"usage": {"total_tokens": 1}},
]  # fmt: skip
FAULTS: list[Event | Literal["cut"]] = [
    "cut", text("", "abort"), {"error": {"message": "x", "code": 500}}, "{nothing", "[1]",
    {"error": {"message": "no"}}, text("", "content_filter"),
]  # fmt: skip
WORDS = st.sampled_from(
    [" two", " plus", "\u00e9", " 4\n", "\U0001f642", " `x`", "data: x", "\r\n"]
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[str], list[Reply]]:
    """The words of a text, and replies that bring them: each begins where the last one ended."""
    words = draw(st.lists(WORDS, min_size=1, max_size=8))
    faults = draw(st.lists(st.sampled_from(FAULTS), max_size=3))
    noise = draw(st.lists(st.sampled_from(NOISE), max_size=4))
    places = st.integers(0, len(words))
    stops = sorted(draw(st.lists(places, min_size=len(faults), max_size=len(faults))))
    borders = draw(st.lists(st.integers(0, 10**4), max_size=4))
    replies, start = [], 0
    for fault, stop in zip([*faults, None], [*stops, len(words)], strict=True):
        events: list[Event] = []
        for i, word in enumerate(words[start:stop]):
            events += [*noise[i : i + 1], text(word)]
        if fault is None:
            events += [*noise[-1:], text("", "stop"), *noise[:1], DONE]
        elif fault != "cut":
            events.append(fault)
        data = b"".join(stream(*events).pieces)
        if fault == "cut":
            tail = stream(text("never")).pieces[0]
            data += tail[: sum(borders) % (len(tail) - 2)]
        cuts = [0, *sorted(border % (len(data) + 1) for border in borders), len(data)]
        replies.append(Reply([data[a:b] for a, b in itertools.pairwise(cuts)]))
        start = stop
    return words, replies


@given(streams())
@settings(max_examples=50, deadline=None)
def test_random_streams_bring_the_text_or_a_typed_error(
    case: tuple[list[str], list[Reply]],
) -> None:
    words, replies = case

    async def read() -> tuple[str, str, Chunk | None]:
        said, last = "", None
        with ScriptedServer(replies, answers) as server:
            backend = OpenAIBackend("m", base_url=server.url, mode="text", retry_seconds=0.05)
            async with aclosing(backend):
                prompt = backend.tokenizer.encode("Q?")
                chunks = backend.generate(prompt, Sampling(temperature=0), max_tokens=500)
                try:
                    async with asyncio.timeout(20), aclosing(chunks):
                        async for last in chunks:
                            said += last.text
                except BackendError as error:
                    return said, str(error), None
            prompts = [request["prompt"] for request in server.requests]
        assert all("".join(["Q?", *words]).startswith(p) for p in prompts)
        return said, "", last

    said, error, last = asyncio.run(read())
    if error:
        assert "".join(words).startswith(said) and "\n" not in error
    else:
        assert said == "".join(words) and last and last.reason == "eos"
