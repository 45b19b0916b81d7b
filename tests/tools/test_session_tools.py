"""Tools in a session: the prompt, the trace, and resumed runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from start_tools.python import PythonTool
from start_tools.search import Search

from start_sdk import (
    BeforeEnd,
    ConfigError,
    Limits,
    ReasoningFormat,
    ReasoningSession,
    SyncSession,
    Tool,
    ToolCall,
    Trace,
    tool,
    verify_trace,
)
from start_sdk.testing import CharTokenizer, FakeInterpreter, ScriptedBackend

SCRIPT = ["```python\na\n```\n", "```python\nb\n```\n", "Done.</think>4"]
CELLS = {"a": "1", "b": "2"}
sent: list[str] = []


@tool(max_calls=2)
def send(text: str, copies: int = 1) -> int:
    """Sends a text.

    To everybody.
    """
    sent.append(text)
    return copies


@tool
def broken() -> None:
    """Does not work."""
    raise KeyError("x")


@pytest.fixture(autouse=True)
def nothing_sent() -> None:
    sent.clear()


Calls = dict[str, Sequence[tuple[str, dict[str, Any]]]]
CALLS: Calls = {"a": [("send", {"text": "hi"}), ("broken", {})], "b": [("send", {"text": "ho"})]}


END = ["Done.</think>4"]


def session(
    calls: Calls = CALLS,
    tools: Sequence[Tool] = (send, broken),
    script: Sequence[str] = SCRIPT,
    **options: Any,
) -> tuple[ReasoningSession, FakeInterpreter]:
    cells = FakeInterpreter(CELLS, calls=calls)
    backend = ScriptedBackend(script)
    return ReasoningSession(backend, interpreter=cells, tools=tools, **options), cells


async def test_a_trace_records_the_calls_of_each_cell() -> None:
    thinks, _ = session()
    trace = await thinks.run("Send it.")
    verify_trace(trace, CharTokenizer())
    first, second = trace.calls
    assert [(c.name, c.arguments, c.result, c.error, c.message) for c in first.tool_calls] == [
        ("send", {"text": "hi"}, 1, None, ""),
        ("broken", {}, None, "ToolError", "KeyError: 'x'"),
    ]
    assert [c.name for c in second.tool_calls] == ["send"]
    assert trace.usage.tool_calls == 3 and sent == ["hi", "ho"]
    assert Trace.model_validate_json(trace.model_dump_json()) == trace


async def test_a_trace_of_an_older_version_can_be_read() -> None:
    thinks, _ = session({})
    data = json.loads((await thinks.run("Send it.")).model_dump_json())
    for segment in data["segments"]:
        if segment["call"]:
            del segment["call"]["tool_calls"]
    assert Trace.model_validate(data).calls[0].tool_calls == ()


STUBS = '''
Python code in your thoughts can call these functions. They are there already, without an import:

```python
def send(text: str, copies: int = 1) -> int:
    """Sends a text."""

def broken() -> None:
    """Does not work."""
```
'''.strip()


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([("user", "Go.")], [("user", STUBS + "\n\nGo.")]),
        ([("system", "Be kind."), ("user", "Go.")], [("system", "Be kind.\n\n" + STUBS), ("user", "Go.")]),
        ([("user", "1"), ("assistant", "2"), ("user", "3")], [("user", STUBS + "\n\n1"), ("assistant", "2"), ("user", "3")]),
    ],
)  # fmt: skip
def test_the_prompt_lists_the_tools(
    messages: list[tuple[str, str]], expected: list[tuple[str, str]]
) -> None:
    given: Any = [{"role": role, "content": content} for role, content in messages]
    found = ReasoningFormat().describe_tools(given, [send, broken])
    assert [(m["role"], m["content"]) for m in found] == expected
    assert [m["content"] for m in given] == [content for _, content in messages]


async def test_the_trace_contains_that_prompt_and_without_tools_nothing_changes() -> None:
    thinks, _ = session()
    trace = await thinks.run("Send it.")
    assert trace.segments[0].text.count(STUBS) == 1
    bare = ReasoningSession(ScriptedBackend(SCRIPT), interpreter=FakeInterpreter(CELLS))
    without, _ = session({}, tools=())
    assert (await without.run("Hi")).segments[0] == (await bare.run("Hi")).segments[0]
    assert (await without.run("Hi")).config == (await bare.run("Hi")).config != trace.config


async def test_calls_are_limited_per_run() -> None:
    calls: Calls = {"a": [("send", {"text": "x"})] * 3}
    thinks, cells = session(calls, keep_state=True)
    async with thinks:
        for _ in range(2):
            trace = await thinks.run("Send it.")
            assert trace.usage.tool_calls == 2
    assert [a.error for a in cells.answers] == [None, None, "ToolError"] * 2


async def test_a_resumed_run_repeats_no_calls() -> None:
    thinks, _ = session()
    trace = await thinks.run("Send it.")
    sent.clear()
    thinks, cells = session(script=END)
    again = await thinks.resume(trace, trace.starts[5])
    assert again.calls == [c.model_copy(update={"replay": "same"}) for c in trace.calls]
    assert [(a.result, a.message) for a in cells.answers] == [
        (1, ""),
        (None, "KeyError: 'x'"),
        (1, ""),
    ]
    assert sent == []


async def test_a_resumed_run_calls_tools_after_the_cut() -> None:
    thinks, _ = session()
    trace = await thinks.run("Send it.")
    sent.clear()
    thinks, _ = session(script=SCRIPT[1:])
    again = await thinks.resume(trace, trace.starts[3])
    assert [c.replay for c in again.calls] == ["same", None] and sent == ["ho"]


@pytest.mark.parametrize(
    "calls",
    [
        [("send", {"text": "HI"}), ("broken", {})],  # other arguments
        [("broken", {}), ("send", {"text": "hi"})],  # another order
        [("send", {"text": "hi"})],  # one fewer
        [("send", {"text": "hi"}), ("broken", {}), ("send", {"text": "hi"})],  # one more
    ],
)
async def test_a_cell_with_different_calls_on_replay_is_flagged(
    calls: list[tuple[str, dict[str, Any]]],
) -> None:
    thinks, _ = session()
    trace = await thinks.run("Send it.")
    sent.clear()
    thinks, _ = session({"a": calls}, script=END)
    again = await thinks.resume(trace, trace.starts[3])
    assert again.calls[0].replay == "differs" and sent == []


class NoTools:
    """An interpreter without support for tools."""

    def __repr__(self) -> str:
        return "NoTools()"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[FakeInterpreter]:
        yield FakeInterpreter(CELLS)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tools": [send]}, "used in cells: pass an interpreter too"),
        ({"tools": [send], "interpreter": NoTools()}, "NoTools() does not support tools"),
        ({"tools": [send, send], "interpreter": FakeInterpreter()}, "two tools are named 'send'"),
    ],
)
def test_tools_that_cannot_be_called_are_refused_up_front(
    options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        ReasoningSession(ScriptedBackend([]), **options)
    assert says in str(caught.value)


async def test_an_interpreter_without_tools_serves_sessions_without_tools() -> None:
    theirs: Any = NoTools()
    trace = await ReasoningSession(ScriptedBackend(SCRIPT), interpreter=theirs).run("Go.")
    assert [c.status for c in trace.calls] == ["ok", "ok"]


async def test_a_time_limit_ends_a_call_and_keeps_its_record() -> None:
    @tool
    async def hang() -> None:
        """Never returns."""
        await asyncio.Event().wait()

    thinks, _ = session({"a": [("hang", {})]}, [hang], limits=Limits(max_seconds=0.3))
    trace = await thinks.run("Go.")
    (call,) = trace.calls
    assert call.status == "timeout"
    assert call.tool_calls[0].model_copy(update={"seconds": 0.0}) == ToolCall(
        name="hang", error="ToolError", message="was not finished"
    )


def test_search_in_a_real_kernel_with_its_own_hint() -> None:
    code = (
        "\nfor hit in search('capital of Ruritania'):\n    print(hit['title'], hit['text'])\n```\n"
    )
    backend = ScriptedBackend(
        ["I do not know.</think>", code, "So it is Strelsau.</think>Strelsau"]
    )
    documents = {"atlas.txt": "The capital of Ruritania is Strelsau.", "cook.txt": "Boil an egg."}
    with (
        Search(documents) as search,
        SyncSession(
            backend,
            interpreter=PythonTool(isolation="plain", preload=()),
            tools=[search],
            hints=BeforeEnd(hints=search.hints),
        ) as thinks,
    ):
        trace = thinks.run("What is the capital of Ruritania?")
    verify_trace(trace, CharTokenizer())
    assert [h.id for h in trace.hints] == ["search-look-up"]
    assert (
        "Wait, I can look this up in the documents with search.\n```python\nfor" in trace.thinking
    )
    assert trace.calls[0].output == "atlas.txt The capital of Ruritania is Strelsau."
    assert [c.name for c in trace.calls[0].tool_calls] == ["search"]
    assert trace.answer == "Strelsau"


async def test_a_resumed_run_answers_a_real_kernel_from_the_record() -> None:
    @tool
    def count() -> int:
        """Counts its calls."""
        sent.append("count")
        return len(sent)

    script = [
        "```python\nn = count()\nprint(n)\n```\n",
        "```python\nprint(n + count())\n```\n",
        "x</think>x",
    ]
    python = PythonTool(isolation="plain", preload=())

    def fresh(script: list[str]) -> ReasoningSession:
        return ReasoningSession(ScriptedBackend(script), interpreter=python, tools=[count])

    trace = await fresh(script).run("Count.")
    assert [c.output for c in trace.calls] == ["1", "3"] and sent == ["count"] * 2
    again = await fresh(END).resume(trace, trace.starts[5])
    assert [(c.output, c.replay) for c in again.calls] == [("1", "same"), ("3", "same")]
    assert len(sent) == 2
