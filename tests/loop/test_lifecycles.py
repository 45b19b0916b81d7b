"""What a run holds, it gives back; what ends it, it says; nothing waits for ever."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from start_sdk import (
    BackendError,
    BeforeEnd,
    CellResult,
    Chunk,
    ConfigError,
    HintContext,
    InterpreterError,
    Limits,
    PromptError,
    ReasoningSession,
    Segment,
    SyncSession,
    Trace,
    plugins,
    verify_trace,
)
from start_sdk._loop import drive
from start_sdk._loop.budget import Budget
from start_sdk.protocols import ToolHost
from start_sdk.testing import CharTokenizer, FakeInterpreter, ScriptedBackend

CELL = "```python\n1\n```\n"
SCRIPT = [CELL, "so</think>1"]


class Slow:
    """An interpreter whose kernels take time to open and whose cells run until they are stopped."""

    def __init__(self, opening: float = 0.0) -> None:
        self.opening = opening
        self.started = asyncio.Event()
        self.stopped = self.open_now = 0

    @asynccontextmanager
    async def open(
        self, *, tools: ToolHost | None = None, files: Mapping[str, bytes] | None = None
    ) -> AsyncIterator[Slow]:
        await asyncio.sleep(self.opening)
        self.open_now += 1
        try:
            yield self
        finally:
            self.open_now -= 1

    async def run(self, code: str, *, timeout: float | None = None) -> CellResult:
        self.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped += 1
        raise AssertionError


class Failing(ScriptedBackend):
    """Raises the errors that it is given, in the methods that they are for."""

    def __init__(self, script: Sequence[str], **errors: Exception) -> None:
        super().__init__(script)
        self.errors = errors

    async def generate(self, *args: Any, **options: Any) -> AsyncGenerator[Chunk, None]:
        async with aclosing(super().generate(*args, **options)) as chunks:
            async for chunk in chunks:
                if "generate" in self.errors:
                    raise self.errors["generate"]
                yield chunk

    async def release(self, key: str) -> None:
        await super().release(key)
        if "release" in self.errors:
            raise self.errors["release"]


async def test_a_release_that_fails_costs_neither_the_result_nor_the_kernel(
    caplog: pytest.LogCaptureFixture,
) -> None:
    interpreter = FakeInterpreter({"1": "1"})
    backend = Failing(SCRIPT, release=BackendError("gone"))
    trace = await ReasoningSession(backend, interpreter=interpreter).run("?")
    assert (trace.finish, trace.answer, interpreter.open_now) == ("eos", "1", 0)
    assert "could not free" in caplog.text


async def test_a_timeout_of_the_backend_is_its_failure_not_the_time_limit() -> None:
    session = ReasoningSession(Failing(SCRIPT, generate=TimeoutError("no answer in 5 s")))
    with pytest.raises(BackendError, match="no answer in 5 s") as error:
        await session.run("?")
    assert error.value.trace.finish == "error" and not error.value.trace.truncated


async def test_a_timeout_of_an_interpreter_is_its_failure() -> None:
    def fail(code: str) -> str:
        raise TimeoutError("no kernel")

    session = ReasoningSession(ScriptedBackend(SCRIPT), interpreter=FakeInterpreter(fail))
    with pytest.raises(InterpreterError, match="no kernel"):
        await session.run("?")


async def test_time_counts_from_the_first_token_that_is_requested() -> None:
    limits = Limits(max_seconds=0.2)
    session = ReasoningSession(
        ScriptedBackend(lambda _: SCRIPT),
        interpreter=FakeInterpreter({"1": "1"}),
        limits=limits,
        keep_state=True,
    )
    first, second = session.stream("?"), session.stream("?")
    await anext(events := aiter(first))  # it holds the kernel
    waiting = asyncio.create_task(drain(second))
    await asyncio.sleep(0.3)
    assert [event async for event in events] and (await waiting).finish == "eos"
    assert not second.trace.truncated


def test_the_time_of_a_run_is_counted_once() -> None:
    now = [0.0]
    budget = Budget(Limits(max_seconds=10), 1000, clock=lambda: now[0])
    for seconds, left in ((5, 10), (7, 8), (9, 6)):
        now[0] = seconds
        budget.start()  # with each generation
        assert budget.seconds_left(thinking=False) == left


async def test_the_time_limit_holds_while_a_kernel_starts() -> None:
    session = ReasoningSession(
        ScriptedBackend(SCRIPT), interpreter=Slow(opening=60), limits=Limits(max_seconds=0.1)
    )
    began = time.monotonic()
    trace = await session.run("?")
    assert time.monotonic() - began < 5
    assert trace.calls[0].status == "timeout" and "time of this whole run" in trace.calls[0].output


async def drain(run: Any) -> Trace:
    async with aclosing(run):
        async for _ in run:
            pass
    trace: Trace = run.trace
    return trace


async def test_a_run_that_is_left_by_break_does_not_hold_up_the_next_one() -> None:
    session = ReasoningSession(
        ScriptedBackend(lambda _: SCRIPT), interpreter=FakeInterpreter({"1": "1"}), keep_state=True
    )
    left = session.stream("?")
    async for _ in left:
        break
    async with asyncio.timeout(5):
        assert (await session.run("?")).answer == "1"
    assert left.trace.finish == "cancelled"


async def test_a_run_that_waits_for_a_kernel_gets_it_when_another_is_left() -> None:
    session = ReasoningSession(
        ScriptedBackend(lambda _: SCRIPT), interpreter=FakeInterpreter({"1": "1"}), keep_state=True
    )
    left = session.stream("?")
    waiting: list[asyncio.Task[Trace]] = []
    async for _ in left:
        waiting.append(asyncio.create_task(session.run("?")))
        await asyncio.sleep(0)
        break
    async with asyncio.timeout(5):
        assert (await waiting[0]).answer == "1"


async def test_a_run_that_is_still_read_keeps_its_kernel() -> None:
    session = ReasoningSession(
        ScriptedBackend(lambda _: SCRIPT), interpreter=FakeInterpreter({"1": "1"}), keep_state=True
    )
    first = session.stream("?")
    order: list[str] = []
    waiting: list[asyncio.Task[Trace]] = []
    async for _ in first:
        if not order:
            waiting.append(asyncio.create_task(session.run("?")))
            waiting[0].add_done_callback(lambda _: order.append("second"))
        await asyncio.sleep(0)
        order.append("first")
    assert set(order) == {"first"} and first.trace.finish == "eos"
    await waiting[0]


async def test_a_run_inside_the_loop_over_another_one_is_refused_and_does_not_hang() -> None:
    session = ReasoningSession(
        ScriptedBackend(lambda _: SCRIPT), interpreter=FakeInterpreter({"1": "1"}), keep_state=True
    )
    outer = session.stream("?")
    async for event in outer:
        if isinstance(event, Segment) and event.source == "prompt":
            with pytest.raises(ConfigError, match="one run follows another"):
                await session.run("?")
    assert outer.trace.finish == "eos"


async def test_a_kept_kernel_that_is_lost_is_replaced_and_the_model_reads_so() -> None:
    opened: list[str] = []

    class Mortal(FakeInterpreter):
        async def run(self, code: str, *, timeout: float | None = None) -> CellResult:
            opened.append(code)
            if len(opened) == 2:
                raise InterpreterError("the kernel cannot be reached")
            return CellResult("ok", "1", 0.0)

    interpreter = Mortal()
    session = ReasoningSession(
        ScriptedBackend(lambda _: SCRIPT), interpreter=interpreter, keep_state=True
    )
    assert (await session.run("?")).calls[0].state_kept
    with pytest.raises(InterpreterError):
        await session.run("?")
    third = await session.run("?")
    assert interpreter.opened == 2 and not third.calls[0].state_kept
    assert third.calls[0].output.startswith("The kernel was lost; variables")
    assert (await session.run("?")).calls[0].state_kept
    await session.aclose()
    assert interpreter.open_now == 0


async def test_a_run_is_cancelled_in_the_middle_of_a_cell() -> None:
    interpreter = Slow()
    run = ReasoningSession(ScriptedBackend(SCRIPT), interpreter=interpreter).stream("?")
    reading = asyncio.create_task(drain(run))
    await interpreter.started.wait()
    run.cancel()
    trace = await reading
    assert trace.finish == "cancelled" and not trace.calls
    assert (interpreter.stopped, interpreter.open_now) == (1, 0)
    verify_trace(trace, CharTokenizer())


@pytest.mark.parametrize("begun", [False, True])
async def test_a_run_is_cancelled_between_events(begun: bool) -> None:
    run = ReasoningSession(ScriptedBackend(SCRIPT)).stream("?")
    if begun:
        await anext(aiter(run))
    run.cancel()
    assert [event async for event in run] == []
    assert run.trace.finish == "cancelled"
    run.cancel()  # it is over


async def test_closing_a_run_that_another_task_reads_ends_both() -> None:
    interpreter = Slow()
    run = ReasoningSession(ScriptedBackend(SCRIPT), interpreter=interpreter).stream("?")
    reading = asyncio.create_task(drain(run))
    await interpreter.started.wait()
    await run.aclose()
    assert (await reading).finish == "cancelled" and interpreter.open_now == 0


async def test_a_cancelled_task_is_cancelled_and_not_ended() -> None:
    interpreter = Slow()
    session = ReasoningSession(ScriptedBackend(SCRIPT), interpreter=interpreter)
    reading = asyncio.create_task(session.run("?"))
    await interpreter.started.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert interpreter.open_now == 0


async def test_calls_are_counted_for_each_round() -> None:
    rest = [CELL] * 5 + ["so.</think>"]
    rounds = [CELL, "so.</think>", *(["\n1\n```\n", *rest] * 3)]
    session = ReasoningSession(
        ScriptedBackend(rounds),
        interpreter=FakeInterpreter({"1": "1"}),
        hints=BeforeEnd(rounds=3),
        limits=Limits(max_calls=4, max_repeats=None),
    )
    trace = await session.run("?")
    ran = "".join("h" if s.hint else "c" for s in trace.segments if s.hint or s.call)
    assert ran == "chccc" + "hcccc" * 2


async def test_many_runs_keep_their_order_and_their_seeds() -> None:
    session = ReasoningSession(ScriptedBackend(lambda prompt: [f"{prompt[-40:]}</think>4"]))
    traces = await session.run_many(["What is 2 + 2?", "And 3?"], n=3, seed=5, max_concurrency=2)
    assert [t.seed for t in traces] == [5, 6, 7] * 2
    assert [t.prompt[0]["content"] for t in traces] == ["What is 2 + 2?"] * 3 + ["And 3?"] * 3
    assert {t.answer for t in traces} == {"4"}


async def test_a_run_that_fails_among_many_costs_none_of_the_others() -> None:
    class Sometimes(ScriptedBackend):
        async def generate(self, *args: Any, **options: Any) -> AsyncGenerator[Chunk, None]:
            if "bad" in self.tokenizer.decode(args[0]):
                raise BackendError("out of order")
            async with aclosing(super().generate(*args, **options)) as chunks:
                async for chunk in chunks:
                    yield chunk

    session = ReasoningSession(Sometimes(lambda _: ["so</think>4"]))
    with pytest.raises(BackendError, match="out of order") as error:
        await session.run_many(["bad", "good", "good"], max_concurrency=1)
    assert [(t.finish, t.answer) for t in error.value.traces] == [("error", None)] + [
        ("eos", "4")
    ] * 2


def test_a_blocking_session_works_without_with_and_is_closed_twice() -> None:
    backend = ScriptedBackend(lambda _: SCRIPT)
    session = SyncSession(backend, interpreter=FakeInterpreter({"1": "1"}))
    assert session.run("?").answer == "1"
    assert [t.answer for t in session.run_many(["?", "?"])] == ["1", "1"]
    run = session.stream("?")
    for _ in run:
        run.cancel()
    assert run.trace.finish == "cancelled"
    session.close()
    session.close()
    assert not backend.closed


async def test_a_run_that_nobody_reads_any_more_frees_its_kernel() -> None:
    interpreter = FakeInterpreter({"1": "1"})
    session = ReasoningSession(ScriptedBackend(SCRIPT), interpreter=interpreter)
    gc.disable()  # it would find the run in the end; this is about at once
    try:
        async for event in session.stream("?"):
            if getattr(event, "source", "") == "tool":
                break
        for _ in range(5):
            await asyncio.sleep(0)
        assert interpreter.open_now == 0
    finally:
        gc.enable()


async def test_a_kernel_that_hangs_when_it_is_closed_holds_up_no_result(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Clinging(FakeInterpreter):
        @asynccontextmanager
        async def open(self, **options: Any) -> AsyncIterator[Any]:
            yield self
            await asyncio.Event().wait()

    monkeypatch.setattr(drive, "RELEASE_SECONDS", 0.05)
    trace = await ReasoningSession(ScriptedBackend(SCRIPT), interpreter=Clinging({"1": "1"})).run(
        "?"
    )
    assert trace.answer == "1" and "could not free" in caplog.text


class Bug(Exception):
    """Somebody else's."""


class Broken:
    """A policy that does not keep its contract."""

    triggers = ()

    def __init__(self, result: Any) -> None:
        self.result = result

    def decide(self, context: HintContext) -> Any:
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


async def test_an_error_of_other_code_keeps_the_trace() -> None:
    session = ReasoningSession(ScriptedBackend(lambda _: SCRIPT), hints=Broken(Bug("mine")))
    with pytest.raises(Bug, match="mine") as error:
        await session.run("?")
    assert error.value.trace.text.startswith("<|im_start|>user")  # type: ignore[attr-defined]
    with pytest.raises(Bug) as error:
        await session.run_many(["?", "!"])
    assert [t.finish for t in error.value.traces] == ["error"] * 2  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="returned a str, not a Hint or None"):
        await ReasoningSession(ScriptedBackend(SCRIPT), hints=Broken("general")).run("?")


@pytest.mark.parametrize(
    "result",
    [CellResult("fine", "1", 0.0), CellResult("ok", 5, 0.0), OSError("gone")],  # type: ignore[arg-type]
)
async def test_a_kernel_that_breaks_its_contract_is_an_interpreter_error(result: Any) -> None:
    def cell(code: str) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    interpreter = FakeInterpreter(cell)
    session = ReasoningSession(ScriptedBackend(SCRIPT), interpreter=interpreter, keep_state=True)
    with pytest.raises(InterpreterError, match="the kernel failed: ") as error:
        await session.run("?")
    assert "\n" not in str(error.value) and interpreter.open_now == 0
    assert error.value.trace.finish == "error"


async def test_a_run_is_closed_twice_at_once_and_read_by_one_task() -> None:
    class Slowly(ScriptedBackend):
        async def release(self, key: str) -> None:
            await asyncio.sleep(0.01)

    run = ReasoningSession(Slowly(SCRIPT), interpreter=Slow()).stream("?")
    await anext(aiter(run))
    await asyncio.gather(run.aclose(), run.aclose(), run.aclose())
    assert run.trace.finish == "cancelled"
    await ReasoningSession(Slowly(SCRIPT)).stream("?").aclose()  # it had not begun

    interpreter = Slow()
    shared = ReasoningSession(ScriptedBackend(SCRIPT), interpreter=interpreter).stream("?")
    reading = asyncio.create_task(drain(shared))
    await interpreter.started.wait()
    with pytest.raises(ConfigError, match="one reader"):
        await anext(aiter(shared))
    shared.cancel()
    assert (await reading).finish == "cancelled"


async def test_a_closed_session_opens_no_kernel() -> None:
    interpreter = FakeInterpreter({"1": "1"})
    async with ReasoningSession(
        ScriptedBackend(lambda _: SCRIPT), interpreter=interpreter, keep_state=True
    ) as session:
        await session.run("?")
    with pytest.raises(InterpreterError, match="the session is closed"):
        await session.run("?")
    assert interpreter.open_now == 0


def test_a_kept_kernel_belongs_to_one_event_loop() -> None:
    session = ReasoningSession(
        ScriptedBackend(lambda _: SCRIPT), interpreter=FakeInterpreter({"1": "1"}), keep_state=True
    )
    assert asyncio.run(session.run("?")).answer == "1"
    with pytest.raises(ConfigError, match="belongs to its first run's event loop"):
        asyncio.run(session.run("?"))


def test_a_kept_run_that_is_left_when_the_event_loop_ends_is_cancelled() -> None:
    runs = []

    async def leave() -> None:
        session = ReasoningSession(
            ScriptedBackend(SCRIPT), interpreter=FakeInterpreter({"1": "1"}), keep_state=True
        )
        runs.append(session.stream("?"))
        await anext(aiter(runs[0]))

    asyncio.run(leave())
    assert runs[0].trace.finish == "cancelled"


async def test_a_run_is_cancelled_from_another_thread() -> None:
    interpreter = Slow()
    run = ReasoningSession(ScriptedBackend(SCRIPT), interpreter=interpreter).stream("?")
    reading = asyncio.create_task(drain(run))
    await interpreter.started.wait()
    await asyncio.to_thread(run.cancel)
    assert (await reading).finish == "cancelled" and interpreter.stopped == 1


async def test_a_backend_opened_by_name_is_closed_if_the_session_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = ScriptedBackend(SCRIPT)
    monkeypatch.setattr(plugins, "load", lambda group, name: lambda model: backend)
    with pytest.raises(ConfigError, match="no chat template with"):
        ReasoningSession("any", template={"enable_thinking": True})
    await asyncio.sleep(0)
    assert backend.closed


@pytest.mark.parametrize("context", [60, 100, 150, 300, 700])
async def test_no_trace_is_longer_than_a_small_context(context: int) -> None:
    backend = ScriptedBackend(lambda _: ["x" * 900, "y" * 900], max_context=context)
    for reserve in (1024, 8, 1):
        limits = Limits(max_repeats=None, answer_reserve=reserve)
        trace = await ReasoningSession(backend, limits=limits).run("?")
        assert len(trace.token_ids) <= context and trace.truncated


async def test_messages_keep_their_other_fields() -> None:
    session = ReasoningSession(ScriptedBackend(lambda _: SCRIPT))
    named: Any = [{"role": "user", "content": "?", "name": None, "weight": 1, "tools": [{"a": 1}]}]
    trace = await session.run(named)
    assert trace.prompt == tuple(named) and trace.messages()[0] == named[0]
    for wrong in ({"b": b""}, {"a": float("nan")}, {"a": {1}}):
        with pytest.raises(PromptError, match="a message must be JSON, finite"):
            session.stream([{"role": "user", "content": "?", **wrong}])  # type: ignore[typeddict-item]


def test_infinite_numbers_of_a_trace_survive_its_file(tmp_path: Path) -> None:
    segment = Segment(
        source="model", text="x", token_ids=(1,), phase="thinking", logprobs=(float("-inf"),)
    )
    trace = Trace(segments=(segment,), finish="eos", idle=float("inf"))
    trace.save(tmp_path / "trace.json")
    assert Trace.load(tmp_path / "trace.json") == trace
