"""Resuming a trace with a real kernel restores the state that its cells left behind."""

from __future__ import annotations

import base64
import struct
from dataclasses import replace

import pytest
from start_tools.python import PythonTool

from start_sdk import ReasoningSession, Trace, verify_trace
from start_sdk.testing import CharTokenizer, ScriptedBackend

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 3, 2)).decode()
PICTURE = f"display({{'image/png': '{PNG}', 'text/plain': 'p'}}, raw=True)"


async def think(tool: PythonTool, *cells: str) -> Trace:
    blocks = [f"```python\n{cell}\n```\n" for cell in cells]
    session = ReasoningSession(ScriptedBackend([*blocks, "so</think>1"]), interpreter=tool)
    return await session.run("?")


async def resumed(tool: PythonTool, trace: Trace, cell: str) -> Trace:
    """Resumes after the last call with one more cell."""
    last = max(i for i, segment in enumerate(trace.segments) if segment.call)
    at = trace.starts[last] + len(trace.segments[last].token_ids)
    script = [f"```python\n{cell}\n```\n", "so</think>2"]
    again = await ReasoningSession(ScriptedBackend(script), interpreter=tool).resume(trace, at)
    verify_trace(again, CharTokenizer())
    return again


@pytest.mark.usefixtures("patient")
async def test_state_is_rebuilt_however_the_cells_ended(tool: PythonTool) -> None:
    tool = replace(tool, timeout=2.0)
    trace = await think(
        tool,
        "x = [1]",
        "x.append(2)\n1 / 0",
        "x.append(3)\nwhile True: pass",
        PICTURE,
        "x, id(object()) and __import__('time').time_ns()",
    )
    assert [call.status for call in trace.calls] == ["ok", "error", "timeout", "ok", "ok"]

    again = await resumed(tool, trace, "x")

    assert [call.replay for call in again.calls] == ["same"] * 4 + ["differs", None]
    assert again.calls[-1].output == "[1, 2, 3]" and len(again.calls[3].pictures) == 1


async def test_only_state_after_the_last_loss_is_rebuilt(tool: PythonTool) -> None:
    trace = await think(
        tool,
        "a = 1\nopen('runs', 'a').write('.')",
        "import os\nos._exit(3)",
        "c = 3",
    )
    assert [call.status for call in trace.calls] == ["ok", "died", "ok"]

    again = await resumed(tool, trace, "sorted({'a', 'c'} & set(globals()))")

    assert [call.replay for call in again.calls] == [None, None, "same", None]
    assert again.calls[-1].output == "['c']"
