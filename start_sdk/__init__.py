"""start_sdk: long chains of thought that run Python as they think (START, arXiv 2503.04625)."""

from start_sdk._sync import SyncSession
from start_sdk._verify import verify_trace
from start_sdk.backends import open_backend
from start_sdk.errors import (
    BackendError,
    ConfigError,
    HintRefused,
    InterpreterError,
    Interrupted,
    MissingExtra,
    ModelError,
    PluginError,
    PromptError,
    StartError,
    ToolError,
    TraceDrift,
)
from start_sdk.formats import ReasoningFormat
from start_sdk.generation import Capabilities, Chunk, Sampling
from start_sdk.hints import (
    AfterConnective,
    BeforeEnd,
    FirstOf,
    HintLibrary,
    NoHints,
    draw_insertion_point,
    find_insertion_points,
    last_insertion_point,
)
from start_sdk.protocols import (
    Backend,
    CellResult,
    Hint,
    HintContext,
    HintPolicy,
    Interpreter,
    Kernel,
    Message,
    Tokenizer,
    Tool,
    ToolHost,
)
from start_sdk.session import Delta, Limits, ReasoningSession, Run
from start_sdk.tools import Toolbox, tool
from start_sdk.trace import CallRecord, HintRecord, InsertionPoint, Segment, ToolCall, Trace, Usage

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
    "FirstOf",
    "Hint",
    "HintContext",
    "HintLibrary",
    "HintPolicy",
    "HintRecord",
    "HintRefused",
    "InsertionPoint",
    "Interpreter",
    "InterpreterError",
    "Interrupted",
    "Kernel",
    "Limits",
    "Message",
    "MissingExtra",
    "ModelError",
    "NoHints",
    "PluginError",
    "PromptError",
    "ReasoningFormat",
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
    "draw_insertion_point",
    "find_insertion_points",
    "last_insertion_point",
    "open_backend",
    "tool",
    "verify_trace",
]
