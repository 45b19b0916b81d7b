"""Host functions that code in a cell can call."""

from start_sdk.tools._function import FunctionTool, tool
from start_sdk.tools._toolbox import RUN_CHARS, Toolbox

__all__ = ["RUN_CHARS", "FunctionTool", "Toolbox", "tool"]
