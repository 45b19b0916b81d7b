"""start_sdk: long chains of thought that run Python as they think (START, arXiv 2503.04625)."""

from start_sdk.backends import open_backend
from start_sdk.dialect import Dialect
from start_sdk.errors import (
    BackendError,
    ConfigError,
    InterpreterError,
    MissingExtra,
    ModelError,
    PluginError,
    PromptError,
    StartError,
    ToolError,
    TraceDrift,
)
from start_sdk.hints import AfterConnective, BeforeEnd, FirstOf, Hint, HintLibrary, NoHints
from start_sdk.limits import Limits
from start_sdk.protocols import (
    Backend,
    Capabilities,
    CellResult,
    Chunk,
    HintPolicy,
    Interpreter,
    Kernel,
    Message,
    Moment,
    Sampling,
    Tokenizer,
    Tool,
    ToolHost,
)
from start_sdk.run import Delta, Run
from start_sdk.session import ReasoningSession
from start_sdk.sync import SyncSession
from start_sdk.toolbox import Toolbox
from start_sdk.tools import tool
from start_sdk.trace import CallRecord, HintRecord, Segment, ToolCall, Trace, Usage
from start_sdk.verify import verify_trace

__version__ = "0.1.0"

__all__ = [
    "AfterConnective",
    "Backend",
    "BackendError",
    "BeforeEnd",
    "CallRecord",
    "Capabilities",
    "CellResult",
    "Chunk",
    "ConfigError",
    "Delta",
    "Dialect",
    "FirstOf",
    "Hint",
    "HintLibrary",
    "HintPolicy",
    "HintRecord",
    "Interpreter",
    "InterpreterError",
    "Kernel",
    "Limits",
    "Message",
    "MissingExtra",
    "ModelError",
    "Moment",
    "NoHints",
    "PluginError",
    "PromptError",
    "ReasoningSession",
    "Run",
    "Sampling",
    "Segment",
    "StartError",
    "SyncSession",
    "Tokenizer",
    "Tool",
    "ToolCall",
    "ToolError",
    "ToolHost",
    "Toolbox",
    "Trace",
    "TraceDrift",
    "Usage",
    "open_backend",
    "tool",
    "verify_trace",
]
