"""The tools of a run: checks, limits, runs and records every call from a cell."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, JsonValue
from pydantic_core import from_json

from start_sdk.errors import ConfigError, ToolError
from start_sdk.protocols import Tool
from start_sdk.tools._function import check, format_error
from start_sdk.trace import ToolCall, ToolFailure

RUN_CHARS = 20_000_000
"""Limit for all calls of a run and their results, in characters of JSON: traces store them."""


class Toolbox:
    """A `ToolHost`, passed to an interpreter as `open(tools=...)`; sessions create their own.

    A call from a cell may be forged: the name must be one of these tools, the arguments must be
    valid, and size, time and number of calls are limited (see `tool`).

    Args:
        tools: the tools that may be called.

    Raises:
        ConfigError: a tool is invalid, or two have the same name.
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        self.tools = tuple(tools)
        self._named: dict[str, Tool] = {}
        for tool in tools:
            check(tool)
            if tool.name in self._named:
                raise ConfigError(f"two tools are named {tool.name!r}: rename one")
            self._named[tool.name] = tool
        self._calls: list[ToolCall] = []
        self._recorded: deque[ToolCall] | None = None
        self._drifted = False
        self.renew()

    def renew(self) -> None:
        """Resets the limits for a new run."""
        self._counts: Counter[str] = Counter()
        self._room = RUN_CHARS

    def take_calls(self) -> tuple[ToolCall, ...]:
        """Returns the calls since the last time, in order."""
        taken, self._calls = tuple(self._calls), []
        return taken

    def begin_replay(self, recorded: Sequence[ToolCall]) -> None:
        """Answers calls from a record from now on, if they match it, and runs no tool."""
        self._recorded = deque(recorded)
        self._drifted = False

    def end_replay(self) -> bool:
        """Runs tools again. Returns whether the calls since `begin_replay` matched the record."""
        same = not self._drifted and not self._recorded
        self._recorded = None
        self._calls.clear()
        return same

    async def call(self, name: str, arguments: str) -> ToolCall:
        """See `ToolHost.call`. Calls refused before a tool runs are not recorded."""
        try:
            tool, values = self._admit(name, arguments)
        except ToolError as refusal:
            return _failed(ToolCall(name=name if name in self._named else ""), refusal)
        at = len(self._calls)
        # Recorded before it runs: a call may be cut off after it had side effects.
        call = ToolCall(name=name, arguments=values, error="ToolError", message="was not finished")
        self._calls.append(call)
        calls, began = self._calls, time.monotonic()
        if self._recorded is not None:
            call = self._replayed(self._recorded, call)
        else:
            call = await self._run(tool, call)
        calls[at] = call.model_copy(update={"seconds": round(time.monotonic() - began, 4)})
        return calls[at]

    def _admit(self, name: str, arguments: str) -> tuple[Tool, dict[str, JsonValue]]:
        tool = self._named.get(name)
        if not tool:
            raise ToolError(f"there is no such tool; there are: {', '.join(self._named) or 'none'}")
        if len(arguments) > tool.max_chars:
            size = f"{len(arguments):,} characters of JSON; {tool.max_chars:,} may be passed"
            raise ToolError(f"{name}(): the arguments have {size}")
        try:
            values = from_json(arguments, allow_inf_nan=False)
            json.dumps(values, allow_nan=False)  # 1e999
        except ValueError as error:
            raise ToolError(f"{name}(): the arguments are not valid JSON: {error}") from None
        if not isinstance(values, dict):
            raise ToolError(f"{name}(): the arguments are not a JSON object")
        self._counts[name] += 1
        if self._counts[name] > tool.max_calls:
            raise ToolError(f"{name}() has reached its limit of {tool.max_calls:,} calls")
        self._spend(len(arguments))
        return tool, values

    def _spend(self, chars: int) -> None:
        self._room -= chars
        if self._room < 0:
            raise ToolError(
                f"the calls of this run have reached their limit of {RUN_CHARS:,} characters"
            )

    async def _run(self, tool: Tool, call: ToolCall) -> ToolCall:
        # In its own task, so that one that ignores its cancellation can be abandoned.
        task = asyncio.ensure_future(tool.call(call.arguments))
        try:
            await asyncio.wait([task], timeout=tool.timeout)
        finally:
            if not task.done():
                task.cancel()
                task.add_done_callback(_retrieve)
        try:
            if not task.done():
                raise TimeoutError(f"{tool.name}() took longer than {tool.timeout:g} s")
            if task.cancelled():
                raise ToolError(f"{tool.name}() was cancelled")
            result, size = as_json(task.result())
            if size > tool.max_chars:
                limit = f"{tool.max_chars:,} may be returned: ask for less"
                raise ToolError(f"{tool.name}() returned {size:,} characters of JSON; {limit}")
            self._spend(size)
        except Exception as error:  # a boundary: the cell gets every error
            return _failed(call, error)
        return ToolCall(name=call.name, arguments=call.arguments, result=result)

    def _replayed(self, recorded: deque[ToolCall], call: ToolCall) -> ToolCall:
        if not self._drifted and recorded:
            old = recorded.popleft()
            if (old.name, old.arguments) == (call.name, call.arguments):
                return old
        self._drifted = True
        text = f"{call.name}() differs from the recorded call: resuming a run calls no tools"
        return _failed(call, ToolError(text))


def as_json(value: object) -> tuple[JsonValue, int]:
    """Returns a tool's result as JSON, and its size in characters."""
    try:
        result = plain(value)
        # Encoding fails on lone surrogates, json.dumps on huge integers.
        return result, len(json.dumps(result, ensure_ascii=False).encode().decode())
    except (ValueError, RecursionError) as error:
        raise ToolError(f"the tool returned a value that cannot be JSON: {error}") from error


def plain(value: object) -> JsonValue:
    """Converts a value to JSON types; pydantic models and dataclasses become dicts.

    Raises:
        ToolError: it contains something that JSON cannot represent.
    """
    match value:
        case None | bool() | str():
            return value
        case int():
            return int(value)
        case float() if math.isfinite(value):
            return float(value)
        case BaseModel():
            return plain(value.model_dump(mode="json"))
        case list() | tuple():
            return [plain(item) for item in value]
        case dict() if all(isinstance(key, str) for key in value):
            return {key: plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    what = f"{value}" if isinstance(value, float) else f"a {type(value).__name__}"
    what = "a dict whose keys are not all strings" if isinstance(value, dict) else what
    raise ToolError(f"the tool returned {what}, which JSON cannot represent")


def _failed(call: ToolCall, error: Exception) -> ToolCall:
    kinds: tuple[tuple[type[Exception], ToolFailure], ...] = (
        (ToolError, "ToolError"),
        (TypeError, "TypeError"),
        (ValueError, "ValueError"),
        (TimeoutError, "TimeoutError"),
    )
    kind = next((name for known, name in kinds if isinstance(error, known)), None)
    text = str(error) if kind else format_error(error)
    text = text.encode(errors="replace").decode()[:2000]
    return call.model_copy(update={"error": kind or "ToolError", "message": text})


def _retrieve(task: asyncio.Future[Any]) -> None:
    """Retrieves the exception, since asyncio would warn that nobody did."""
    if not task.cancelled():
        task.exception()
