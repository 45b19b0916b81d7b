"""Creates kernels from settings. Imports Jupyter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from start_sdk.errors import InterpreterError
from start_sdk.protocols import ToolHost
from start_tools.python import files
from start_tools.python.boxed import BoxedProcess
from start_tools.python.bubbles import Bubblewrap
from start_tools.python.calls import definitions
from start_tools.python.isolation import Level
from start_tools.python.kernel import PythonKernel
from start_tools.python.output import Output
from start_tools.python.parent import Settings
from start_tools.python.plain import PlainProcess
from start_tools.python.pool import pool
from start_tools.python.process import ANSWER_WAITS, Process, first
from start_tools.python.zygote import Zygote

if TYPE_CHECKING:
    from start_tools.python import PythonTool


def kernel(
    tool: PythonTool, level: Level, tools: ToolHost | None, contents: Mapping[str, bytes]
) -> PythonKernel:
    """Creates a kernel, without starting it."""
    launch = launcher(tool, level)
    if contents:
        launch = partial(with_files, launch, contents)
    if tools:
        launch = partial(with_tools, launch, tools)
    return PythonKernel(launch, tool.timeout, tool.max_chars, tool.cpu_time, tools, tool.tool_time)


def launcher(tool: PythonTool, level: Level) -> Callable[[], Awaitable[Process]]:
    """Returns a function that starts a process which is ready to run cells."""
    if level == "plain":
        return partial(PlainProcess.start, tool.preload, tool.max_chars)
    settings = Settings(
        preload=tool.preload,
        max_chars=tool.max_chars,
        memory=tool.memory_mb << 20,
        disk=tool.disk_mb << 20,
        processes=tool.processes,
    )
    kind = Zygote if level == "namespaces" else Bubblewrap
    kernels = pool(kind, settings, tool.warm, tool.max_kernels)
    return partial(BoxedProcess.start, kernels, tool.wait)


async def with_files(
    launch: Callable[[], Awaitable[Process]], contents: Mapping[str, bytes]
) -> Process:
    """Starts a process with files in its working directory. Also used to replace a lost kernel.

    Raises:
        InterpreterError: a file does not fit on the kernel's disk.
    """
    process = await launch()
    name = ""
    try:
        for name, data in contents.items():
            fd = await process.open_file(name, new=True)
            await asyncio.to_thread(files.write, fd, data)
    except BaseException as error:
        await process.close()
        if isinstance(error, OSError):
            raise InterpreterError(f"file {name!r} of the kernel: {error.strerror}") from error
        raise
    return process


async def with_tools(launch: Callable[[], Awaitable[Process]], tools: ToolHost) -> Process:
    """Starts a process whose cells can call the tools. Also used to replace a lost kernel.

    Raises:
        InterpreterError: the tools could not be defined in the kernel.
    """
    reason: object = ""
    for limit in ANSWER_WAITS:
        process = await launch()
        try:
            cell = process.execute(definitions(tools.tools), Output(1000), tools)
            await first(cell.done, process.exited, timeout=limit)
        except BaseException:
            await process.close()
            raise
        if cell.complete and not cell.failed:
            return process
        await process.close()
        reason = cell.error or "the kernel did not answer"
        if cell.failed:
            break
    raise InterpreterError(f"the tools could not be defined in the kernel: {reason}")
