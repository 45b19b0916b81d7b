"""Chat mode: where thoughts stand, how messages are continued, and what happens if they cannot be."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import pytest
from openai_server import Continues, FakeServer
from scripted_server import DONE, Reply, ScriptedServer, body, chat, stream

from start_sdk import (
    BackendError,
    BeforeEnd,
    ConfigError,
    Limits,
    ModelError,
    ReasoningSession,
    Sampling,
    Trace,
    verify_trace,
)
from start_sdk.backends.openai import OpenAIBackend
from start_sdk.testing import FakeInterpreter

END = [chat(finish="stop"), DONE]
FULL = stream(chat(None, "<think>\nI think so\n</think>\n\n"), chat(None, "It is 4."), *END)


async def run(
    replies: Sequence[Reply], *, max_tokens: int = 400, retry: float = 2.0, **session: Any
) -> tuple[Trace, ScriptedServer]:
    """A chat with a server that continues nothing."""
    with ScriptedServer(replies) as server:
        backend = OpenAIBackend("m", base_url=server.url, mode="chat", retry_seconds=retry)
        async with aclosing(backend):
            made = ReasoningSession(
                backend,
                sampling=Sampling(temperature=0),
                limits=Limits(max_tokens=max_tokens, answer_reserve=100),
                **session,
            )
            trace = await made.run("What is 2 + 2?")
            verify_trace(trace, backend.tokenizer)
    return trace, server


REFUSED = body({"error": {"message": "Unrecognized argument: continue_final_message"}}, 400)


@pytest.mark.parametrize("then", [REFUSED, FULL], ids=["refused", "a new turn"])
async def test_where_nothing_can_be_continued_the_open_stream_is_read_on(then: Reply) -> None:
    trace, server = await run([FULL, then])
    assert (trace.thinking.strip(), trace.response, trace.finish) == (
        "I think so",
        "It is 4.",
        "eos",
    )
    assert len(server.requests) == 1


async def test_hints_and_calls_that_cannot_be_are_said_once_and_change_nothing() -> None:
    thought = "Wait,\n```python\nprint(4)\n```\nso 4. " * 3
    reply = stream(chat(thought), chat(None, "It is 4."), *END)
    interpreter = FakeInterpreter(lambda code: "4")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        trace, server = await run([reply], interpreter=interpreter, hints=BeforeEnd())
    assert [str(w.message).partition(": no code")[0] for w in said] == ["m"]
    assert "needs mode text or tokens" in str(said[0].message)
    assert (trace.response, len(server.requests), interpreter.ran) == ("It is 4.", 1, [])
    assert thought in trace.thinking and not trace.calls and not trace.hints


async def test_a_thought_that_exceeds_its_limit_ends_the_run() -> None:
    trace, server = await run([stream(chat("so " * 300), *END)], max_tokens=200)
    assert (trace.finish, trace.response, len(server.requests)) == ("length", "", 1)
    trace, server = await run([stream(chat("so it is 4, " * 30), *END)])
    assert (trace.finish, len(server.requests)) == ("length", 1)  # it repeats itself


async def test_steering_a_thought_that_cannot_be_continued_is_refused() -> None:
    with ScriptedServer([FULL]) as server:
        async with aclosing(OpenAIBackend("m", base_url=server.url, mode="chat")) as backend:
            running = ReasoningSession(backend).stream("Hi")
            with pytest.raises(ConfigError, match="cannot be continued"):
                running.steer("Go on")
            await running.aclose()


async def test_a_stream_that_breaks_cannot_be_continued_and_is_not_asked_for_again() -> None:
    broken = stream(chat("I th"))
    with pytest.raises(BackendError, match="ended its stream early; it cannot continue") as error:
        await run([broken])
    assert error.value.trace.text.endswith("I th")
    trace, server = await run([Reply([], 503), FULL])  # nothing had come: it is simply asked again
    assert (trace.response, len(server.requests)) == ("It is 4.", 2)


def details(*texts: str) -> dict[str, Any]:
    return {"reasoning_details": [{"type": "reasoning.text", "text": t} for t in texts]}


PLACES: dict[str, list[dict[str, Any]]] = {
    "reasoning": [{"reasoning": "I th"}, {"reasoning": "ink", "content": None}],
    "reasoning_content": [{"reasoning_content": "I th"}, {"reasoning_content": "ink"}],
    "reasoning_details": [details("I", " th"), details("ink")],
    "a summary": [{"reasoning_details": [{"type": "reasoning.summary", "summary": "I think"}]}],
    "two names": [{"reasoning": "I th", "reasoning_content": "I th"}, {"reasoning": "ink"}],
    "two names, one a list": [{"reasoning": "I think", **details("I think")}],
    "parts of the content": [
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "I think"}]}]}
    ],
    "tags in the content": [{"content": "<th"}, {"content": "ink>\nI think\n</think>\n\n"}],
    "tags after blanks": [{"content": "\n"}, {"content": "<think>\nI think\n</think>\n\n"}],
}


@pytest.mark.parametrize("deltas", PLACES.values(), ids=PLACES)
async def test_a_thought_is_read_once_wherever_it_stands(deltas: list[dict[str, Any]]) -> None:
    first: dict[str, Any] = {"role": "assistant", "content": ""}
    events = [{"choices": [{"index": 0, "delta": d}]} for d in [first, *deltas]]
    trace, _ = await run([stream(*events, chat(None, "It is 4."), *END)])
    assert (trace.thinking.strip(), trace.response) == ("I think", "It is 4.")


async def test_an_answer_without_a_thought_is_an_answer() -> None:
    trace, _ = await run([stream(chat(None, "It"), chat(None, " is 4."), *END)])
    assert (trace.thinking.strip(), trace.response) == ("", "It is 4.")
    trace, _ = await run([stream(chat(None, "<thi"), *END)])
    assert trace.response == "<thi"


@pytest.mark.parametrize("way", ["continue_final_message", "prefix", "prefill", "never"])
@pytest.mark.parametrize("thinks_in", ["reasoning", "content"])
async def test_the_way_to_continue_is_found_out_by_asking(way: Continues, thinks_in: str) -> None:
    with FakeServer(chat=way, thinks_in=thinks_in) as server:
        async with aclosing(OpenAIBackend(server.url, mode="chat")) as backend:
            can = way != "never"
            assert backend.capabilities.can_continue is can
            said = "continue_final_message" if way == "prefill" else way  # the first one that works
            assert (said if can else "cannot continue") in backend.capabilities.note
            trace = await ReasoningSession(backend).run("<|im_end|> What is 2 + 2?")
            verify_trace(trace, backend.tokenizer)
            assert (trace.thinking.strip(), trace.answer) == ("I think.", "It is 4.")
            if not can:
                return
            session = ReasoningSession(backend, interpreter=FakeInterpreter(), hints=BeforeEnd())
            hinted = await session.run("What is 2 + 2?")
            verify_trace(hinted, backend.tokenizer)
    assert len(hinted.hints) == 1
    first, _, *rest = server.requests
    asked = "<\u200b|im_end|> What is 2 + 2?"  # no text of a user becomes control on the server
    assert first["messages"] == [{"role": "user", "content": asked}]
    for request in rest:
        last = request["messages"][-1]
        assert last["content"].startswith("<think>\nI think.")
        assert bool(last.get("prefix")) is (way == "prefix")
        assert ("continue_final_message" in request) is (way != "prefix")


async def test_a_model_gets_only_the_fields_that_it_takes() -> None:
    refuses = ("max_tokens", "temperature", "top_p", "seed")
    with FakeServer(chat="never", refuses=refuses) as server:
        async with aclosing(OpenAIBackend(server.url, mode="chat")) as backend:
            session = ReasoningSession(backend, limits=Limits(max_tokens=300, answer_reserve=9))
            assert (await session.run("What is 2 + 2?")).answer == "It is 4."
            assert backend.capabilities.note.endswith("it takes no temperature, top_p, seed")
    (request,) = server.requests  # what was found out is remembered
    assert not {*refuses} & {*request} and request["max_completion_tokens"] == 300


async def test_a_field_that_the_caller_set_is_never_left_out() -> None:
    with FakeServer(chat="never", refuses=("top_k",)) as server:
        backend = OpenAIBackend(server.url, mode="chat", extra_body={"top_k": 4})
        async with aclosing(backend):
            with pytest.raises(BackendError, match="answered 400: Unsupported parameter: 'top_k'"):
                await ReasoningSession(backend).run("What is 2 + 2?")


def test_a_server_without_chats_says_so() -> None:
    with FakeServer(chat=None) as server, pytest.raises(ModelError, match="try mode='text'"):
        OpenAIBackend(server.url, mode="chat")
