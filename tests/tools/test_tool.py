"""`@tool`: how a function becomes a tool, what is refused, and what a cell sees on failure."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from start_sdk import ConfigError, Hint, Toolbox, ToolCall, ToolError, tool
from start_sdk.testing import check_tool
from start_sdk.tools import RUN_CHARS


class Point(BaseModel):
    x: float
    y: float = 0.0


@dataclass
class Pair:
    left: int
    right: list[str]


@tool
def weather(
    city: str,
    days: Annotated[int, Field(ge=1, le=9)] = 3,
    *,
    unit: Literal["C", "F"] = "C",
    since: date | None = None,
) -> list[float]:
    """Tells how warm it will be.

    Knows all cities.
    """
    return [float(len(city) + day + (unit == "F")) for day in range(days)]


async def call(made: Any, **arguments: Any) -> ToolCall:
    return await Toolbox([made]).call(made.name, json.dumps(arguments))


def test_a_tool_can_still_be_called_as_a_function() -> None:
    assert weather("Rom", unit="F") == [4.0, 5.0, 6.0]
    assert (weather.name, weather.timeout, weather.hints) == ("weather", 30.0, ())
    assert weather.description == "Tells how warm it will be.\n\nKnows all cities."
    assert weather.signature == (
        "(city: str, days: int = 3, *, unit: Literal['C', 'F'] = 'C', since: date | None = None)"
        " -> list[float]"
    )
    assert repr(weather) == f"Tool(weather{weather.signature})"


def test_its_schema_comes_from_its_type_hints() -> None:
    schema: Any = weather.parameters
    assert (schema["type"], schema["required"]) == ("object", ["city"])
    assert schema["additionalProperties"] is False
    days = schema["properties"]["days"]
    assert (days["type"], days["minimum"], days["maximum"], days["default"]) == ("integer", 1, 9, 3)
    assert schema["properties"]["unit"]["enum"] == ["C", "F"]


async def test_options_are_kept() -> None:
    hint = Hint(id="h", text="I can look.```python", category="c", domain="d")

    @tool(name="look", timeout=2.0, max_calls=3, max_chars=50, hints=[hint])
    async def look_it_up(word: str) -> str:
        """Looks a word up."""
        return word.upper()

    assert (look_it_up.name, look_it_up.timeout, look_it_up.max_calls) == ("look", 2.0, 3)
    assert (look_it_up.max_chars, look_it_up.hints) == (50, (hint,))
    assert await look_it_up("a") == "A"
    assert (await call(look_it_up, word="b")).result == "B"


def untyped(x) -> int:  # type: ignore[no-untyped-def]
    """Doc."""
    return 1


def variadic(*numbers: int) -> int:
    """Doc."""
    return 1


def positional_only(x: int, /) -> int:
    """Doc."""
    return 1


def undocumented(x: int) -> int:
    return 1


def unknown_type(x: Missing) -> int:  # type: ignore[name-defined]  # noqa: F821
    """Doc."""
    return 1


def not_json(x: threading.Thread) -> int:
    """Doc."""
    return 1


def valid(x: int) -> int:
    """Doc."""
    return 1


@pytest.mark.parametrize(
    ("function", "options", "says"),
    [
        (untyped, {}, "parameter 'x' has no type hint"),
        (variadic, {}, "cannot be passed by name"),
        (positional_only, {}, "cannot be passed by name"),
        (undocumented, {}, "no docstring"),
        (unknown_type, {}, "'Missing' is not defined"),
        (not_json, {}, "'not_json': its parameters have no JSON schema"),
        (lambda: 1, {}, "no docstring"),
        (valid, {"name": "to go"}, "'to go' is not a valid tool name"),
        (valid, {"name": "class"}, "'class' is not a valid tool name"),
        (valid, {"name": "_hidden"}, "'_hidden' is not a valid tool name"),
        (valid, {"name": "print"}, "hide the built-in 'print'"),
        (valid, {"timeout": 0}, "timeout must be above 0 seconds"),
        (valid, {"max_calls": 0}, "max_calls must be 1"),
        (valid, {"max_chars": 2_000_000}, "max_chars must be 1 to 1,000,000"),
    ],
)
def test_an_invalid_tool_gives_a_one_line_error(
    function: Any, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        tool(**options)(function)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_two_tools_with_the_same_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two tools are named 'weather'"):
        Toolbox([weather, weather])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, "TypeError", "weather(): argument city is missing"),
        ({"city": 5}, "TypeError", "weather(): argument city should be a valid string, not 5"),
        ({"city": "a", "days": "3"}, "TypeError", "weather(): argument days should be a valid integer, not '3'"),
        ({"city": "a", "days": 10}, "ValueError", "weather(): argument days should be less than or equal to 9, not 10"),
        ({"city": "a", "unit": "K"}, "ValueError", "weather(): argument unit should be 'C' or 'F', not 'K'"),
        ({"city": "a", "colour": 1}, "TypeError", "weather(): argument colour is not known"),
        ({"city": "a", "since": "soon"}, "ValueError", "weather(): argument since should be a valid date"),
    ],
)  # fmt: skip
async def test_a_wrong_argument_is_named_and_explained(
    arguments: dict[str, Any], error: str, message: str
) -> None:
    done = await call(weather, **arguments)
    assert done.error == error and done.message.startswith(message)
    assert (done.arguments, done.result) == (arguments, None)


async def test_arguments_arrive_as_their_types() -> None:
    seen: list[Any] = []

    @tool
    def take(
        when: date,
        at: Point,
        model_config: int,
        schema: tuple[int, ...],
        spans: dict[str, list[int]],
    ) -> None:
        """Takes parameters with names that pydantic uses itself."""
        seen.extend([when, at, model_config, schema, spans])

    await call(
        take, when="2025-03-01", at={"x": 1}, model_config=2, schema=[3, 4], spans={"a": [5]}
    )
    assert seen == [date(2025, 3, 1), Point(x=1), 2, (3, 4), {"a": [5]}]
    assert "at: {'x': float, 'y': float}" in take.signature
    nested = await call(take, when="2025-03-01", at={"x": "1"}, model_config=2, schema=[], spans={})
    assert nested.message == "take(): argument at.x should be a valid number, not '1'"


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (None, None),
        ([1, 2.5, "a", True], [1, 2.5, "a", True]),
        ((1, {"a": (2,)}), [1, {"a": [2]}]),
        (Point(x=1), {"x": 1.0, "y": 0.0}),
        ([Pair(1, ["a"])], [{"left": 1, "right": ["a"]}]),
        (10**40, 10**40),
    ],
)
async def test_results_are_converted_to_json(value: Any, result: Any) -> None:
    @tool
    def give() -> Any:
        """Gives."""
        return value

    done = await call(give)
    assert (done.error, done.result) == (None, result)
    assert ToolCall.model_validate_json(done.model_dump_json()) == done


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (float("nan"), "returned nan, which JSON cannot represent"),
        ([float("-inf")], "returned -inf, which"),
        (b"bytes", "returned a bytes, which"),
        ({1: 2}, "returned a dict whose keys are not all strings"),
        ({"a": {1, 2}}, "returned a set, which"),
        (Point, "returned a ModelMetaclass"),
        pytest.param(10**5000, "cannot be JSON", id="digits"),
        ("\ud800", "cannot be JSON"),
        ("x" * 100_001, "returned 100,003 characters of JSON; 100,000 may be returned"),
    ],
)
async def test_other_results_are_a_clear_error(value: Any, says: str) -> None:
    @tool
    def give() -> Any:
        """Gives."""
        return value

    done = await call(give)
    assert done.error == "ToolError" and says in done.message and done.result is None


async def test_a_list_that_holds_itself_is_a_clear_error() -> None:
    @tool
    def give() -> Any:
        """Gives."""
        ring: list[Any] = []
        ring.append(ring)
        return ring

    assert "cannot be JSON" in (await call(give)).message


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (KeyError("rome"), "KeyError: 'rome'"),
        (TypeError("no int"), "TypeError: no int"),
        (TimeoutError(), "TimeoutError"),
        (ToolError("no such city"), "no such city"),
        (SystemExit(3), "SystemExit: 3"),
        (Unprintable(), "Unprintable: (it has no text)"),
        (FileNotFoundError(2, "No such file", "/home/me/secret/notes.txt"), "FileNotFoundError: [Errno 2] No such file: 'notes.txt'"),
        (ValueError("see https://a.org/b/c, 1/2/3 and /etc/x/y"), "ValueError: see https://a.org/b/c, 1/2/3 and y"),
        (ValueError("x" * 5000), "ValueError: " + "x" * 997 + "..."),
        (ValueError("half \ud800"), "ValueError: half ?"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_an_error_of_a_tool_is_reported_without_directories(
    raised: BaseException, message: str, kind: str
) -> None:
    def fail() -> None:
        """Fails."""
        raise raised

    async def fail_later() -> None:
        """Fails."""
        fail()

    done = await call(tool(name="f")(fail if kind == "plain" else fail_later))
    assert (done.error, done.message) == ("ToolError", message)
    done.model_dump_json()


async def test_a_plain_function_does_not_block_the_event_loop() -> None:
    release = threading.Event()

    @tool
    def wait() -> str:
        """Waits."""
        return "released" if release.wait(20) else "stuck"

    running = asyncio.create_task(call(wait))
    asyncio.get_running_loop().call_soon(release.set)  # only a free loop gets here
    assert (await running).result == "released"


async def test_a_tool_that_hangs_times_out_and_an_async_one_is_cancelled() -> None:
    cancelled = asyncio.Event()
    release = threading.Event()

    @tool(timeout=0.05)
    async def sleep() -> None:
        """Sleeps."""
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    @tool(timeout=0.05)
    def block() -> None:
        """Blocks."""
        release.wait(20)

    for made in (sleep, block):
        done = await call(made)
        assert (done.error, done.message) == (
            "TimeoutError",
            f"{made.name}() took longer than 0.05 s",
        )
    await asyncio.wait_for(cancelled.wait(), 20)
    release.set()


async def test_a_tool_that_ignores_cancellation_blocks_nobody() -> None:
    release = asyncio.Event()

    @tool(timeout=0.05)
    async def stubborn() -> None:
        """Ignores cancellation."""
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    assert (await call(stubborn)).error == "TimeoutError"
    release.set()


async def test_a_call_that_is_cut_off_is_recorded() -> None:
    begun = asyncio.Event()

    @tool
    async def sleep() -> None:
        """Sleeps."""
        begun.set()
        await asyncio.Event().wait()

    box = Toolbox([sleep])
    running = asyncio.create_task(box.call("sleep", "{}"))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [(c.name, c.error, c.message) for c in box.take_calls()] == [
        ("sleep", "ToolError", "was not finished")
    ]


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("rm", "{}", "there is no such tool; there are: weather"),
        ("weather", "", "are not valid JSON"),
        ("weather", "[1]", "are not a JSON object"),
        ("weather", '{"city": NaN}', "are not valid JSON"),
        ("weather", '{"city": 1e999}', "are not valid JSON"),
        ("weather", '{"city": "\\ud800"}', "are not valid JSON"),
        ("weather", "[" * 100_000, "are not valid JSON"),
        (
            "weather",
            json.dumps({"city": "x" * 100_000}),
            "have 100,012 characters of JSON; 100,000",
        ),
    ],
)
async def test_a_forged_call_is_refused_and_not_recorded(
    name: str, arguments: str, says: str
) -> None:
    box = Toolbox([weather])
    done = await box.call(name, arguments)
    assert done.error == "ToolError" and says in done.message
    assert box.take_calls() == ()


async def test_calls_are_counted_per_run() -> None:
    @tool(max_calls=2)
    def send() -> str:
        """Sends."""
        return "sent"

    box = Toolbox([send, weather])
    errors = [(await box.call("send", "{}")).message for _ in range(4)]
    assert errors[:2] == ["", ""] and errors[2] == errors[3]
    assert errors[2] == "send() has reached its limit of 2 calls"
    assert (await box.call("weather", '{"city": "a"}')).error is None
    assert len(box.take_calls()) == 3
    box.renew()
    assert (await box.call("send", "{}")).result == "sent"


async def test_the_record_of_a_run_has_a_limit() -> None:
    @tool(max_chars=1_000_000)
    def much() -> str:
        """Says much."""
        return "x" * 999_000

    box = Toolbox([much])
    calls = [await box.call("much", "{}") for _ in range(22)]
    assert [c.error for c in calls] == [None] * 20 + ["ToolError"] * 2
    assert f"{RUN_CHARS:,} characters" in calls[-1].message


async def test_check_tool_accepts_valid_tools_and_rejects_invalid_ones() -> None:
    assert all(c.ok for c in await check_tool(weather, {"city": "Rom"}))

    class Lax:
        name, signature, description = "lax", "(city: str) -> str", "Takes all."
        timeout, max_calls, max_chars = 1.0, 10, 1000
        hints: tuple[Hint, ...] = ()

        def __init__(self) -> None:
            self.parameters: dict[str, Any] = {"type": "object", "required": ["city"]}

        async def call(self, arguments: dict[str, Any]) -> object:
            return "yes"

    failed = {c.name for c in await check_tool(Lax(), {"city": "Rom"}) if not c.ok}
    assert failed == {"an unknown argument is rejected", "a missing argument is rejected and named"}
    Lax.signature = "(city"
    (only,) = await check_tool(Lax(), {"city": "Rom"})
    assert not only.ok and "invalid signature '(city'" in only.detail
