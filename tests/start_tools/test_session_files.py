"""Files that a session puts into its kernels' working directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from start_tools.python import PythonTool
from start_tools.python.isolation import trouble

from start_sdk import InterpreterError, ReasoningSession
from start_sdk.testing import ScriptedBackend

READ = "print(open('data.csv').read(), end='')"
KILL = "import os\nos.kill(os.getpid(), 9)"


async def test_files_are_there_also_after_a_lost_kernel_was_replaced(
    tool: PythonTool, tmp_path: Path
) -> None:
    source = tmp_path / "other.csv"
    source.write_bytes(b"a,b\n1,2\n")
    cells = [f"```python\n{code}\n```\n" for code in (READ, KILL, READ)]
    session = ReasoningSession(
        ScriptedBackend([*cells, "so</think>4"]),
        interpreter=tool,
        files={"data.csv": source, "x.bin": b"\0\xff"},
    )
    source.unlink()  # it was read when the session was made
    first, lost, again = (await session.run("?")).calls
    assert first.output == again.output == "a,b\n1,2"
    assert lost.status == "died" and not lost.state_kept


async def test_a_file_that_does_not_fit_is_an_error_that_names_it() -> None:
    if problem := trouble("namespaces"):
        pytest.skip(f"no namespaces here: {problem}")
    session = ReasoningSession(
        ScriptedBackend([f"```python\n{READ}\n```\n"]),
        interpreter=PythonTool(disk_mb=1, isolation="namespaces"),
        files={"data.csv": b"x" * (2 << 20)},
    )
    with pytest.raises(InterpreterError, match=r"file 'data.csv' of the kernel: "):
        await session.run("?")
