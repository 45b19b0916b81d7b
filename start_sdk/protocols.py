"""What others implement: any object with these methods will do, there is no class to inherit."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, TypedDict

from pydantic import Field, JsonValue

from start_sdk.errors import ConfigError
from start_sdk.trace import Position, Settings, Status, ToolCall, Trace


class Message(TypedDict):
    """One message of a conversation, as chat templates take it."""

    role: str
    content: str


class Tokenizer(Protocol):
    """Text to ids and back. `decode` keeps control tokens, so that text is a faithful view."""

    @property
    def eos_ids(self) -> Collection[int]: ...

    @property
    def chat_template(self) -> str | None: ...

    def encode(self, text: str, *, control: bool = False) -> list[int]:
        """Ids of a text, nothing put before or after it.

        With `control=False` no text can become a control token: "</think>" in a tool's output
        comes out as ordinary tokens. With `control=True` tags become the ids they stand for.
        """
        ...

    def decode(self, token_ids: Sequence[int]) -> str: ...

    def stream(self, prefix_ids: Sequence[int]) -> Callable[[int], str]:
        """A function that takes the ids that follow a prefix, one by one, and returns the text
        that each one completes ("" while a character is unfinished)."""
        ...

    def render(self, messages: Sequence[Message]) -> list[int]:
        """Ids of a conversation up to where the model goes on.

        Raises:
            ModelError: the tokenizer has no chat template.
        """
        ...


class Sampling(Settings):
    """How tokens are drawn. The noise of a token depends on (seed, position) alone."""

    temperature: Annotated[float, Field(ge=0)] = 0.6
    """0 is greedy. The default and `top_p` are the paper's (START section 3.4)."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    seed: Annotated[int, Field(ge=0)] = 0
    logprobs: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a generation. Only the last one of a generation has a reason."""

    token_ids: tuple[int, ...] = ()
    text: str = ""
    logprobs: tuple[float, ...] | None = None
    reason: Literal["eos", "stop", "length"] | None = None
    stop: str = ""
    """The stop text that matched."""
    matched_ids: tuple[int, ...] = ()
    """Withheld: the tokens that hold the match, or the end-of-sequence token. They are not in
    `token_ids` of any chunk; who asked decides whether they are appended or dropped."""
    matched_text: str = ""
    """Text of `matched_ids`: may be longer than `stop`, since tokens are never split."""
    matched_logprobs: tuple[float, ...] | None = None
    cached: int | None = None
    """On the last chunk: tokens of the prefix whose cache rows were reused; None: not told."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do, and what it runs."""

    model: str
    exact: bool = True
    """Returns the ids it sampled; False if only text comes back."""
    logprobs: bool = True
    seeded: bool = True
    note: str = ""
    """Device and number format, for people."""


class Backend(Protocol):
    """Continues a prefix of token ids; that is all it does."""

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
        stop: Sequence[str] = (),
        *,
        max_tokens: int,
        key: str | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """Continues `prefix_ids` until EOS, a stop text, or `max_tokens` sampled tokens.

        A stop text that matches is withheld, wherever it stands, also split over tokens. `key`
        names a session: a backend keeps that session's cache until `release(key)`. Closing or
        cancelling the iterator stops the work.

        Raises:
            BackendError: the engine failed.
        """
        ...

    async def release(self, key: str) -> None: ...

    async def reset_cache(self) -> None: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class CellResult:
    """What came of a cell. Code that raises is a result, not an error."""

    status: Status
    text: str
    """What the model reads: output, then a line on how the cell ended if it did not end well."""
    seconds: float
    state_kept: bool = True
    """False if the kernel's variables are gone."""
    cut: int = 0
    """Characters left out of `text` between its head and its tail."""
    pictures: tuple[str, ...] = ()
    """What it drew: PNG, in base64. `text` has a line for each."""
    latex: tuple[str, ...] = ()
    """Values that have a form in LaTeX, say of sympy, in that form."""


class Kernel(Protocol):
    """One stateful place where cells run, one after another."""

    async def run(self, code: str, *, timeout: float | None = None) -> CellResult:
        """Runs a cell; `timeout` in seconds replaces the interpreter's own limit.

        Raises:
            InterpreterError: no cell can run any more, and no new kernel could be had.
        """
        ...


class Interpreter(Protocol):
    """Hands out kernels. Two runs never share one."""

    def open(self, *, tools: ToolHost | None = None) -> AbstractAsyncContextManager[Kernel]:
        """A fresh kernel, ready: it has run a cell. Closed with the context.

        In its cells `tools` are functions. Without that parameter it serves sessions without tools.

        Raises:
            InterpreterError: no kernel can be started.
        """
        ...


_FIELDS = {"code_template": "[A code template]", "sample_output": "[...]", "testcase": "{testcase}"}


class Hint(Settings):
    """A text that a policy puts into a thought."""

    id: str
    text: str
    category: str
    domain: str
    positions: tuple[Position, ...] = ("connective", "end")
    lang: str = "en"
    origin: Literal["paper", "ours"] = "ours"
    opening: str = ""
    """Put before the text where no connective stands before it, e.g. "Wait, "."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of what has to be filled in before the hint can be given."""
        return tuple(name for name, mark in _FIELDS.items() if mark in self.text)

    def fill(self, **values: str) -> Hint:
        """A copy with fields filled in: `code_template`, `sample_output`, `testcase`.

        Raises:
            ConfigError: a name that is no field of this hint.
        """
        for name in values:
            if name not in self.fields:
                raise ConfigError(f"hint {self.id!r} has no field {name!r}; it has {self.fields}")
        marks = {_FIELDS[name]: value for name, value in values.items()}
        # In one pass: a value may itself contain what looks like a field.
        pattern = "|".join(map(re.escape, marks)) or "(?!)"
        text = re.sub(pattern, lambda m: marks[m[0]], self.text)
        return self.model_copy(update={"text": text})


class Tool(Protocol):
    """A function of the host that code in a cell can call. `start_sdk.tool` makes one.

    Attributes:
        signature: as behind the name in a `def`: "(city: str, days: int = 3) -> list[float]".
        description: its docstring in a cell. The model is told the first paragraph.
        parameters: JSON schema of the arguments: an object.
        timeout: seconds that a call may take.
        max_calls: per run.
        max_chars: characters of JSON that the arguments of a call may have, and its answer.
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
        """Runs it, here on the host, and returns values that JSON knows.

        Raises:
            TypeError, ValueError: of an argument, which the message names.
            ToolError: with what the cell shall read. Other errors are told with their type.
        """
        ...


class ToolHost(Protocol):
    """The tools of a run, as an interpreter is given them: it carries calls, and checks nothing."""

    @property
    def tools(self) -> tuple[Tool, ...]: ...

    async def call(self, name: str, arguments: str) -> ToolCall:
        """Does what a cell asked for, if it may; never raises. Both are as they came from the cell:
        `arguments` should be the text of a JSON object."""
        ...


@dataclass(frozen=True, slots=True)
class HintContext:
    """What a policy is shown when it is asked."""

    trace: Trace
    """Everything so far, without what was withheld at the end of thinking."""
    position: Position
    trigger: str
    """The matched text: one of the policy's triggers, an end-of-thinking tag, "" for EOS."""
    seed: int
    """The run's seed, so that a random policy differs between samples and repeats itself."""
    calls_left: int


class HintPolicy(Protocol):
    """Decides when to speak into a thought, and what. Pure: the same context, the same answer."""

    @property
    def triggers(self) -> Sequence[str]:
        """Texts inside a thought at which it wants to be asked, besides the end of thinking."""
        ...

    def decide(self, context: HintContext) -> Hint | None: ...
