"""Protocols for users to implement. Any object with these methods will do; nothing to inherit."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypedDict

from pydantic import JsonValue

from start_sdk.errors import ConfigError
from start_sdk.generation import Capabilities, Chunk, Sampling, Watch
from start_sdk.trace import Position, Status, ToolCall, Trace
from start_sdk.values import Settings


class Message(TypedDict):
    """One message of a conversation, as chat templates take it.

    The content may also be a list of text parts, `[{"type": "text", "text": "..."}]`.
    """

    role: str
    content: str


class Tokenizer(Protocol):
    """Converts text to ids and back. `decode` keeps control tokens, so text is a faithful view."""

    @property
    def eos_ids(self) -> Collection[int]: ...

    @property
    def control_ids(self) -> Collection[int]:
        """Ids of all added tokens: their text counts as a tag only if it comes as that token."""
        ...

    @property
    def chat_template(self) -> str | None: ...

    def encode(self, text: str, *, control: bool = False) -> list[int]:
        """Encodes a text without adding anything before or after it.

        With `control=False` no text can become a control token: "</think>" in a tool's output
        becomes ordinary tokens. With `control=True` tags become their control tokens.
        """
        ...

    def decode(self, token_ids: Sequence[int]) -> str: ...

    def stream(self, prefix_ids: Sequence[int]) -> Callable[[int], str]:
        """Returns a function that takes the ids after a prefix one by one and returns the text
        that each completes ("" while a character is incomplete)."""
        ...

    def render(
        self, messages: Sequence[Message], template: Mapping[str, Any] | None = None
    ) -> list[int]:
        """Encodes a conversation up to where the model continues.

        Args:
            messages: their contents are strings.
            template: options of the chat template, such as `enable_thinking`.

        Raises:
            ModelError: the tokenizer has no chat template, or it rejects the messages.
            ConfigError: the chat template has no such option.
        """
        ...


class Backend(Protocol):
    """Continues a prefix of token ids; it does nothing else."""

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def max_context(self) -> int: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def generate(
        self,
        prefix_ids: Sequence[int],
        sampling: Sampling,
        *,
        watch: Watch | None = None,
        max_tokens: int,
        key: str | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """Continues `prefix_ids` until EOS, an event of the watch, or `max_tokens` sampled tokens.

        A backend pushes every sampled id, in order, into a `Continuation`, which asks the watch and
        withholds what comes after an event; what an engine sampled beyond is discarded. An error of
        the watch ends this generation only. `key` identifies a run: the backend keeps its cache
        until `release(key)`. Closing or cancelling the iterator stops the work.

        Raises:
            BackendError: the engine failed.
        """
        ...

    async def release(self, key: str) -> None: ...

    async def reset_cache(self) -> None: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class CellResult:
    """The result of a cell. Code that raises gives a result, not an error."""

    status: Status
    text: str
    """What the model reads: the output, then a line that explains any abnormal end."""
    seconds: float
    state_kept: bool = True
    """False if the kernel's variables were lost."""
    cut: int = 0
    """Characters omitted from the middle of `text`."""
    pictures: tuple[str, ...] = ()
    """Displayed images: base64-encoded PNG. `text` has a line for each."""
    latex: tuple[str, ...] = ()
    """LaTeX forms of displayed values that have one, e.g. sympy expressions."""


class Kernel(Protocol):
    """Runs cells one after another and keeps their state."""

    async def run(self, code: str, *, timeout: float | None = None) -> CellResult:
        """Runs a cell; `timeout` in seconds overrides the interpreter's own limit.

        Raises:
            InterpreterError: the kernel can no longer run cells and could not be replaced.
        """
        ...


class Interpreter(Protocol):
    """Hands out kernels. Concurrent runs never share one."""

    def open(
        self, *, tools: ToolHost | None = None, files: Mapping[str, bytes] | None = None
    ) -> AbstractAsyncContextManager[Kernel]:
        """Opens a fresh kernel that has already run a cell; leaving the context closes it.

        Cells can call `tools` as functions, and `files` are in their working directory, also after
        the kernel was replaced. An interpreter whose `open` lacks one of these parameters works
        only in sessions without tools or without files.

        Raises:
            InterpreterError: a kernel cannot be started.
        """
        ...


_FIELDS = {"code_template": "[A code template]", "sample_output": "[...]", "testcase": "{testcase}"}


class Hint(Settings):
    """A text that a policy inserts into a thought."""

    id: str
    text: str
    category: str
    domain: str
    positions: tuple[Position, ...] = ("connective", "end")
    lang: str = "en"
    origin: Literal["paper", "ours"] = "ours"
    opening: str = ""
    """Put before the text if it does not follow a connective, e.g. "Wait, "."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields that must be filled in before the hint can be inserted."""
        return tuple(name for name, mark in _FIELDS.items() if mark in self.text)

    def fill(self, **values: str) -> Hint:
        """Returns a copy with fields filled in: `code_template`, `sample_output`, `testcase`.

        Raises:
            ConfigError: a name is not a field of this hint.
        """
        for name in values:
            if name not in self.fields:
                raise ConfigError(f"hint {self.id!r} has no field {name!r}; it has {self.fields}")
        marks = {_FIELDS[name]: value for name, value in values.items()}
        # One pass: a value may itself contain text that looks like a field.
        pattern = "|".join(map(re.escape, marks)) or "(?!)"
        text = re.sub(pattern, lambda m: marks[m[0]], self.text)
        return self.model_copy(update={"text": text})


class Tool(Protocol):
    """A host function that code in a cell can call. `start_sdk.tool` makes one.

    Attributes:
        signature: as after the name in a `def`: "(city: str, days: int = 3) -> list[float]".
        description: its docstring in a cell. The prompt contains the first paragraph.
        parameters: JSON schema of the arguments, an object.
        timeout: limit for one call, in seconds.
        max_calls: limit of calls per run.
        max_chars: limit, in characters of JSON, for a call's arguments and for its result.
    """

    @property
    def name(self) -> str: ...

    @property
    def signature(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def parameters(self) -> dict[str, JsonValue]: ...

    @property
    def timeout(self) -> float: ...

    @property
    def max_calls(self) -> int: ...

    @property
    def max_chars(self) -> int: ...

    @property
    def hints(self) -> tuple[Hint, ...]: ...

    async def call(self, arguments: dict[str, JsonValue]) -> object:
        """Runs the tool on the host and returns a JSON-serialisable value.

        Raises:
            TypeError, ValueError: an argument is wrong; the message names it.
            ToolError: with the message that the cell sees. Other errors reach the cell as a
                ToolError that states their type.
        """
        ...


class ToolHost(Protocol):
    """The tools of a run, passed to an interpreter, which forwards calls without checking them."""

    @property
    def tools(self) -> tuple[Tool, ...]: ...

    async def call(self, name: str, arguments: str) -> ToolCall:
        """Runs a call from a cell if it is allowed; never raises. Both arguments are exactly what
        the cell sent: `arguments` should be the text of a JSON object."""
        ...


@dataclass(frozen=True, slots=True)
class HintContext:
    """What a policy sees when it decides."""

    trace: Trace
    """Everything so far, except what is withheld at the end of thinking."""
    position: Position
    trigger: str
    """The matched text: one of the policy's triggers, an end-of-thinking tag, "" for EOS."""
    seed: int
    """The run's seed, so that a random policy varies between samples but is reproducible."""
    calls_left: int


class HintPolicy(Protocol):
    """Decides when to insert a hint, and which. Pure: the same context gives the same result.

    A policy may also have `candidates`, the hints that it can give: then a session without an
    interpreter refuses it at once if one of them opens a block of code.
    """

    @property
    def triggers(self) -> Sequence[str]:
        """Texts inside a thought at which `decide` is called, besides the end of thinking."""
        ...

    def decide(self, context: HintContext) -> Hint | None: ...
