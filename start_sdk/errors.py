"""Every error that start_sdk raises on purpose.

    StartError                      one clear line; the command line prints it and exits with 2
    ├── ConfigError                 what the caller asked for cannot be done (also a ValueError)
    │   ├── PromptError             an empty prompt, or one that does not fit the model's context
    │   ├── ModelError              a model or tokenizer that cannot be found, read or used
    │   └── PluginError             a plugin name that is unknown, taken twice, or fails to load
    ├── MissingExtra                an optional dependency is not installed (also an ImportError)
    ├── BackendError                the engine failed while it generated (also a RuntimeError)
    ├── InterpreterError            a kernel could not be started or reached (also a RuntimeError)
    ├── ToolError                   raised by a tool: what the code that called it reads (likewise)
    └── TraceDrift                  ids, text and mask of a trace disagree (also a ValueError)

Code that raises inside a cell is not an error here: it is a result that the model reads. A kernel
that dies while a cell runs is told to the model, too. A backend that dies is an error.
"""

from __future__ import annotations

from typing import Any


class StartError(Exception):
    """Root of the tree: `except StartError` catches whatever start_sdk raises on purpose."""

    trace: Any = None
    """The `Trace` of what a session had computed when the error came, so that nothing is lost; None
    outside of sessions. (Untyped: traces raise these errors, so they cannot be imported here.)"""


class ConfigError(StartError, ValueError):
    """What the caller asked for cannot be done."""


class PromptError(ConfigError):
    """An empty prompt, or one that does not fit the model's context."""


class ModelError(ConfigError):
    """A model or tokenizer that cannot be found, read or used."""


class PluginError(ConfigError):
    """A plugin name that is unknown, taken twice, or fails to load."""


class MissingExtra(StartError, ImportError):
    """An optional dependency is not installed.

    Args:
        needed_for: what the user wanted, e.g. "the transformers backend".
        extra: the name of the extra of this package that brings it.
    """

    def __init__(self, needed_for: str, extra: str) -> None:
        super().__init__(f"{needed_for} needs an extra: pip install 'start-sdk[{extra}]'")
        self.extra = extra


class BackendError(StartError, RuntimeError):
    """The engine failed while it generated."""


class InterpreterError(StartError, RuntimeError):
    """A kernel could not be started or reached."""


class ToolError(StartError, RuntimeError):
    """Raised by a tool of the host: its text is what the code that called it shall read.

    In a cell, what fails on the host is an exception of this name.
    """


class TraceDrift(StartError, ValueError):
    """Ids, text and mask of a trace disagree."""
