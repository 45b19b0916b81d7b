"""Every error that start_sdk raises deliberately.

    StartError                      one clear line; the command line prints it and exits with 2
    ├── ConfigError                 the request cannot be carried out (also a ValueError)
    │   ├── PromptError             the prompt is empty or does not fit the model's context
    │   ├── ModelError              a model or tokenizer cannot be found, read or used
    │   └── PluginError             a plugin name is unknown or ambiguous, or fails to load
    ├── MissingExtra                an optional dependency is not installed (also an ImportError)
    ├── BackendError                the engine failed during generation (also a RuntimeError)
    │   └── Interrupted             a server was lost in the middle of a text; another continues it
    ├── InterpreterError            a kernel could not be started or reached (also a RuntimeError)
    ├── ToolError                   raised by a tool, for the code that called it (likewise)
    ├── HintRefused                 a hint cannot be inserted where it is wanted (a ValueError)
    └── TraceDrift                  ids, text and mask of a trace disagree (also a ValueError)

Code that raises inside a cell is not an error here: it is a result that the model reads. So is a
kernel that dies while a cell runs. A backend that dies is an error.
"""

from __future__ import annotations

from typing import Any, Literal

Refusal = Literal["no thought", "open block", "open formula", "no calls left", "no tokens left"]
"""Why a hint cannot be inserted."""


class StartError(Exception):
    """Root of the tree: `except StartError` catches every error raised deliberately."""

    trace: Any = None
    """The `Trace` of what a session had computed when the error occurred, so that nothing is lost;
    None outside sessions. (Untyped: traces raise these errors, so importing them is circular.)"""
    traces: Any = ()
    """From `run_many`: the traces of all its runs, in order."""


class ConfigError(StartError, ValueError):
    """The request cannot be carried out."""


class PromptError(ConfigError):
    """The prompt is empty or does not fit the model's context."""


class ModelError(ConfigError):
    """A model or tokenizer cannot be found, read or used."""


class PluginError(ConfigError):
    """A plugin name is unknown or ambiguous, or fails to load."""


class MissingExtra(StartError, ImportError):
    """An optional dependency is not installed.

    Args:
        needed_for: what needs it, e.g. "the transformers backend".
        extra: the extra of this package that installs it.
    """

    def __init__(self, needed_for: str, extra: str) -> None:
        super().__init__(f"{needed_for} needs an extra: pip install 'start-sdk[{extra}]'")
        self.needed_for, self.extra = needed_for, extra

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.needed_for, self.extra)


class BackendError(StartError, RuntimeError):
    """The engine failed during generation."""

    transient: bool = False
    """Whether another try, or another server, may help: a lost connection, a busy server."""
    retry_after: float | None = None
    """Seconds that the server asks to wait before it."""


class Interrupted(BackendError):
    """A server was lost in the middle of a text, and others are left.

    What it delivered holds: another generation continues it. Sessions do this by themselves.
    """


class InterpreterError(StartError, RuntimeError):
    """A kernel could not be started or reached."""


class ToolError(StartError, RuntimeError):
    """Raised by a host tool; its message is for the code that called it.

    In a cell, failures on the host are exceptions of this name.
    """


class TraceDrift(StartError, ValueError):
    """Ids, text and mask of a trace disagree."""


class HintRefused(StartError, ValueError):
    """A hint cannot be inserted where it is wanted, so no trace comes of it.

    Args:
        hint: its id.
        reason: why.
    """

    def __init__(self, hint: str, reason: Refusal) -> None:
        super().__init__(f"hint {hint!r} cannot be inserted there: {reason}")
        self.hint, self.reason = hint, reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.hint, self.reason), {"trace": self.trace}
