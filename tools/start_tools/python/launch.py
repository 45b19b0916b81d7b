"""From settings to a kernel. Imports Jupyter."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from start_tools.python.boxed import BoxedProcess
from start_tools.python.bubbles import Bubbles
from start_tools.python.isolation import Level
from start_tools.python.kernel import PythonKernel
from start_tools.python.parent import Settings
from start_tools.python.plain import PlainProcess
from start_tools.python.pool import pool
from start_tools.python.zygote import Zygote

if TYPE_CHECKING:
    from start_tools.python import PythonTool


def kernel(tool: PythonTool, level: Level) -> PythonKernel:
    """A kernel that has not started yet."""
    if level == "plain":
        launch = partial(PlainProcess.start, tool.preload, tool.max_chars)
        return PythonKernel(launch, tool.timeout, tool.max_chars, tool.cpu_time)
    settings = Settings(
        preload=tool.preload,
        max_chars=tool.max_chars,
        memory=tool.memory_mb << 20,
        disk=tool.disk_mb << 20,
        processes=tool.processes,
    )
    kind = Zygote if level == "namespaces" else Bubbles
    kernels = pool(kind, settings, tool.warm, tool.max_kernels)
    boxed = partial(BoxedProcess.start, kernels, tool.wait)
    return PythonKernel(boxed, tool.timeout, tool.max_chars, tool.cpu_time)
