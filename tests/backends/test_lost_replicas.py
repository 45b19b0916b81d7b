"""Servers that die, fail, hang and come back: the others take over, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from llamacpp_server import FakeLlama
from openai_server import FakeServer, Fault

from start_sdk import (
    AfterConnective,
    BackendError,
    Interrupted,
    Limits,
    Message,
    ReasoningSession,
    Sampling,
    Trace,
    open_backend,
    verify_trace,
)
from start_sdk.backends import Replicas
from start_sdk.backends._replicas import _SAMPLE
from start_sdk.backends.openai import OpenAIBackend
from start_sdk.testing import FakeInterpreter

QUESTIONS = [f"What is 12 * {n}?" for n in range(6)]
FOR_EVER = 1000
GREEDY = Sampling(temperature=0)


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def session(backend: Any) -> ReasoningSession:
    """Thinks up to its limit, with hints; so some of what is sampled is withheld now and then."""
    limits = Limits(max_tokens=60, max_repeats=None, answer_reserve=16)
    return ReasoningSession(
        backend,
        interpreter=FakeInterpreter({}),
        hints=AfterConnective(),
        limits=limits,
        sampling=GREEDY,
    )


async def run(backend: Any) -> list[Trace]:
    return await asyncio.gather(*(session(backend).run(question) for question in QUESTIONS))


async def expected() -> list[Trace]:
    """What a server says that does not fail."""
    with FakeServer() as server:
        async with aclosing(OpenAIBackend(server.url)) as backend:
            return await run(backend)


def same(traces: list[Trace], others: list[Trace]) -> bool:
    return [t.segments for t in traces] == [t.segments for t in others]


@asynccontextmanager
async def replicas(
    *servers: FakeServer, clock: Callable[[], float], timeout: float = 5.0
) -> AsyncIterator[Replicas]:
    each = [OpenAIBackend(s.url, retry_seconds=0.0, timeout=timeout) for s in servers]
    async with aclosing(Replicas(each, retry_seconds=0.0, clock=clock)) as backend:
        yield backend


@pytest.mark.parametrize("fault", ["500", "429", "reset", "hang", "killed"])
async def test_a_server_that_fails_gets_no_session_while_another_answers(fault: str) -> None:
    whole, clock = await expected(), Clock()
    with FakeServer() as dead, FakeServer() as alive:
        async with replicas(dead, alive, clock=clock, timeout=0.3) as backend:
            if fault == "killed":
                dead.kill()
            else:
                dead.faults = [Fault(fault)] * FOR_EVER
            traces = await run(backend)
            tried = len(dead.requests)
            again = await run(backend)
    assert same(traces, whole) and same(again, whole)
    assert len(dead.requests) == tried <= len(QUESTIONS) // 2  # once each, of those it had got


@pytest.mark.parametrize("after", range(0, 13, 2))
async def test_a_session_goes_on_elsewhere_from_its_last_token(after: int) -> None:
    whole, clock = await expected(), Clock()
    with FakeServer() as dead, FakeServer() as alive:
        dead.faults = [Fault("reset", after=after)] * 3 + [Fault("503")] * FOR_EVER
        async with replicas(dead, alive, clock=clock) as backend:
            traces = await run(backend)
            for trace in traces:
                verify_trace(trace, backend.tokenizer)
    assert same(traces, whole)
    assert sum(trace.usage.model for trace in traces) == sum(t.usage.model for t in whole)


async def test_a_server_that_comes_back_is_used_again_after_a_pause_that_doubles() -> None:
    clock = Clock()
    with FakeServer() as first, FakeServer() as second:
        first.faults = [Fault("500")] * 3

        async def requests_after(seconds: float) -> int:
            clock.now += seconds
            before = len(first.requests)
            async with aclosing(backend.generate([1, 2], GREEDY, max_tokens=3)) as chunks:
                assert [i async for c in chunks for i in c.token_ids] == whole
            return len(first.requests) - before

        whole = second.continuation([1, 2], 3)
        async with replicas(first, second, clock=clock) as backend:
            waits = [0, 0.4, 0.2, 0.9, 0.2, 1.9, 0.2, 0, 0]
            assert [await requests_after(s) for s in waits] == [1, 0, 1, 0, 1, 0, 1, 1, 1]


async def test_a_server_that_asks_to_wait_is_left_alone_for_as_long() -> None:
    clock = Clock()
    with FakeServer() as busy, FakeServer() as free:
        busy.faults = [Fault("429", headers={"Retry-After": "20"})]
        async with replicas(busy, free, clock=clock) as backend:
            tried = []
            for seconds in (0, 19, 2):
                clock.now += seconds
                before = len(busy.requests)
                await session(backend).run("What?")
                tried.append(len(busy.requests) > before)
            assert tried == [True, False, True]


async def test_after_a_pause_one_session_tries_and_the_others_stay_away() -> None:
    clock = Clock()
    with FakeServer() as hung, FakeServer() as alive:
        async with replicas(hung, alive, clock=clock) as backend:
            hung.faults = [Fault("500"), *[Fault("hang")] * FOR_EVER]
            await session(backend).run(QUESTIONS[0])
            clock.now += 1
            waiting = asyncio.create_task(session(backend).run(QUESTIONS[0]))
            await run(backend)
            assert len(hung.requests) == 2 and not waiting.done()
            hung.kill()
            assert (await waiting).finish == "length"


async def test_if_all_are_down_the_error_is_that_of_one_server() -> None:
    with FakeServer() as one, FakeServer() as other:
        backend = open_backend("tiny", servers=[one.url, other.url], retry_seconds=0.0)
        one.kill()
        other.kill()
        async with aclosing(backend):
            with pytest.raises(BackendError, match="cannot be reached") as error:
                await session(backend).run("What?")
            assert not isinstance(error.value, Interrupted) and "\n" not in str(error.value)


async def test_if_all_fail_they_are_tried_again_for_a_while() -> None:
    with FakeServer() as one, FakeServer() as other:
        async with aclosing(open_backend("tiny", servers=[one.url, other.url])) as backend:
            one.faults, other.faults = [Fault("503")], [Fault("503")]
            whole = one.continuation([1, 2], 3)
            async with aclosing(backend.generate([1, 2], GREEDY, max_tokens=3)) as chunks:
                assert [i async for c in chunks for i in c.token_ids] == whole


async def test_what_no_other_server_mends_is_an_error_at_once() -> None:
    with FakeServer() as one, FakeServer() as other:
        async with replicas(one, other, clock=Clock()) as backend:
            one.faults = [Fault("400")]
            with pytest.raises(BackendError, match="answered 400"):
                await session(backend).run("What?")
            assert other.requests == []


async def test_generations_that_are_interrupted_say_so_and_keep_what_they_delivered() -> None:
    with FakeServer() as one, FakeServer() as other:
        async with replicas(one, other, clock=Clock()) as backend:
            one.faults = [Fault("reset", after=4), Fault("500")]
            ids = [1, 2]
            with pytest.raises(Interrupted, match="answered 500"):
                async for chunk in backend.generate(ids, GREEDY, max_tokens=9, key="s"):
                    ids = [*ids, *chunk.token_ids]
            assert ids == [1, 2, *one.continuation([1, 2], 4)]
            async for chunk in backend.generate(ids, GREEDY, max_tokens=5, key="s"):
                ids = [*ids, *chunk.token_ids]
            assert ids == [1, 2, *one.continuation([1, 2], 9)] and len(other.requests) == 1


async def test_texts_are_encoded_by_whichever_server_answers() -> None:
    sample = {"content": _SAMPLE, "add_special": False, "parse_special": False}
    with FakeLlama() as one, FakeLlama() as other:
        for server in (one, other):  # what is compared when they are opened
            told = {"path": "/tokenize", "body": sample, "answer": {"tokens": [19]}}
            server.recorded.requests = [*server.recorded.requests, told]
        async with aclosing(open_backend("", servers=[one.url, other.url])) as backend:
            asked, tone = [Message(role="user", content="hi")], {"tone": "!"}
            prompt = backend.tokenizer.render(asked, tone)
            one.answers["/tokenize"] = one.answers["/apply-template"] = (500, {"error": "down"})
            assert backend.tokenizer.render(asked, tone) == prompt
            assert backend.tokenizer.decode(backend.tokenizer.encode("the x")) == "the x"
            one.answers.clear()
            other.answers["/tokenize"] = (500, {"error": "down"})
            assert backend.tokenizer.decode(backend.tokenizer.encode("  two")) == "  two"
