"""The one data model: a trace is a list of segments. Token ids are the truth, text is a view.

What a model sampled is stored as it was sampled and never encoded again. A hint, an output or a
notice was encoded once, when it was spliced in. Everything else (text, thought, answer, calls,
usage, loss mask) is derived from the segments, so that it cannot disagree with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    computed_field,
)

from start_sdk._text.answers import last_boxed
from start_sdk.errors import ConfigError

Source = Literal["prompt", "model", "hint", "tool", "notice"]
"""Who wrote a segment: a hint comes from a policy, a notice from the session (limits)."""

Position = Literal["connective", "end", "calculation", "output", "steer"]
"""Where a hint is put: behind a word such as "Wait", where the thought would end, where it begins
to calculate by hand, behind an output, or wherever somebody outside put it (`Run.steer`)."""

Phase = Literal["prompt", "thinking", "close", "answer"]
"""Where a segment stands; "close" is the end-of-thinking tag or the end-of-sequence token."""

Finish = Literal["eos", "length", "time", "cancelled", "error"]
"""Why a trace ended: by itself, out of tokens, out of time, stopped from outside, or failed."""

Status = Literal["ok", "error", "timeout", "killed", "oom", "died"]
"""How a cell ended: "timeout" kept the kernel's state; "killed", "oom" and "died" lost it."""

Limit = Literal["calls", "tokens", "context", "time", "repeats"]
"""What a run had no more of; "repeats": the thought went round in circles."""

ToolFailure = Literal["ToolError", "TypeError", "ValueError", "TimeoutError"]
"""What a call to a tool of the host can raise in a cell."""

Count = Annotated[int, Field(ge=0)]
TRAIN_ON: tuple[Source, ...] = ("model", "hint")


class Frozen(BaseModel):
    """A value that is checked when it is made and cannot be changed afterwards."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Settings(Frozen):
    """Values that a caller gives: a wrong or misspelt one is a ConfigError of one line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    if not TYPE_CHECKING:  # checkers see pydantic's own signature

        def __init__(self, **values):
            try:
                super().__init__(**values)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"])) or type(self).__name__
                value = "" if first["type"] == "missing" else f"={first['input']!r}"
                raise ConfigError(f"{where}{value}: {first['msg']}") from error


class HintRecord(Frozen):
    """Which hint a segment is, and why it stands where it stands."""

    id: str
    category: str
    domain: str
    position: Position
    trigger: str
    """The text at which the policy was asked: a connective, an end-of-thinking tag, "" for EOS."""
    round: int
    """1 for the first hint of a trace, 2 for the second, and so on."""


class ToolCall(Frozen):
    """A call that a cell made to a tool of the host, and what came of it."""

    name: str
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    result: JsonValue = None
    error: ToolFailure | None = None
    """The exception that was raised in the cell: wrong arguments are a TypeError or a ValueError, a
    tool that took too long is a TimeoutError, anything else a ToolError."""
    message: str = ""
    """The text of that exception."""
    seconds: float = 0.0


class CallRecord(Frozen):
    """The cell behind a tool segment."""

    code: str
    output: str
    """What the interpreter returned; the model may have been shown less of it (`cut`)."""
    status: Status
    seconds: float
    state_kept: bool
    cut: Count = 0
    """Characters of the output that were left out between its head and its tail."""
    pictures: tuple[str, ...] = ()
    """What the cell drew: PNG, in base64."""
    latex: tuple[str, ...] = ()
    """Values of the cell in LaTeX, where they have such a form."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Calls that it made to tools of the host, in order."""
    replay: Literal["same", "differs"] | None = None
    """Set when a resumed trace ran this cell again to rebuild the kernel's state. Tools are not
    called again: their answers are those of `tool_calls`."""


class Segment(Frozen):
    """A run of tokens from one source."""

    source: Source
    text: str
    token_ids: tuple[int, ...]
    phase: Phase
    hint: HintRecord | None = None
    call: CallRecord | None = None
    notice: Limit | None = None
    """For a notice: the limit that was reached."""
    logprobs: tuple[float, ...] | None = None
    """For a model segment, on request: natural log of each token's probability."""


class InsertionPoint(Frozen):
    """A place in a trace behind which a hint may stand."""

    at: Count
    """Number of tokens before it."""
    position: Position
    trigger: str
    """The connective before it; at the end of a thought, the tag behind it ("" for EOS)."""


class Parent(Frozen):
    """Where a resumed trace was cut from."""

    trace_id: str
    at: Count
    """Number of tokens that were kept."""


class Usage(Frozen):
    """Tokens by source, what was sampled but dropped again in favour of a hint, and calls."""

    prompt: Count = 0
    model: Count = 0
    hint: Count = 0
    tool: Count = 0
    notice: Count = 0
    dropped: Count = 0
    tool_calls: Count = 0
    """Calls of cells to tools of the host."""


class Trace(Frozen):
    """One run of a session, whole: what stood in the model's context, and who put it there."""

    segments: tuple[Segment, ...]
    finish: Finish
    model: str = ""
    seed: int = 0
    config: str = ""
    """Hash of all that shaped the run besides the prompt and the seed."""
    exact: bool = True
    """False if the backend returned text only, so that ids are a re-encoding of it."""
    dropped: Count = 0
    seconds: dict[str, float] = Field(default_factory=dict)
    """Wall time by who worked: "model" and "tool"."""
    idle: float = 0.0
    """Of the tool's seconds, those in which the engine had nothing to do: no other run of the
    session had it generate."""
    recomputed: tuple[Count, ...] | None = None
    """Each time the model went on behind a pause: tokens before the pause that the engine had
    computed and had to compute again. What was spliced in is not among them, nor the last sampled
    token, which is always new to the engine. None where the backend does not tell."""
    parent: Parent | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def id(self) -> str:
        """Hash of the tokens, their sources and the configuration: equal runs have equal ids."""
        digest = hashlib.blake2b(f"{self.config}|{self.finish}".encode(), digest_size=8)
        for s in self.segments:
            digest.update(f"|{s.source}:{','.join(map(str, s.token_ids))}".encode())
        return digest.hexdigest()

    @property
    def token_ids(self) -> list[int]:
        return [i for s in self.segments for i in s.token_ids]

    @property
    def starts(self) -> list[int]:
        """For each segment, how many tokens stand before it: where a trace can be cut."""
        return list(accumulate((len(s.token_ids) for s in self.segments[:-1]), initial=0))

    @property
    def text(self) -> str:
        return "".join(s.text for s in self.segments)

    @property
    def thinking(self) -> str:
        """The chain of thought with its hints, outputs and notices, without the tags around it.

        Where the prompt does not open the thought the model does (Qwen3): that tag goes, too.
        """
        text = "".join(s.text for s in self.segments if s.phase == "thinking")
        return text.removeprefix("<think>")

    @property
    def response(self) -> str:
        """What stands after the thought: the part that a user is shown."""
        return "".join(s.text for s in self.segments if s.phase == "answer").strip()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def answer(self) -> str | None:
        r"""The last `\boxed{...}` of the response, else the response itself.

        Without a response (the model stopped inside its thought, or thinks without tags) the last
        box of the thought, else, if it ended by itself, its last paragraph; else None.
        """
        boxed = last_boxed(self.response or self.thinking)
        if boxed is not None or self.response:
            return boxed if boxed is not None else self.response
        last = self.thinking.strip().rpartition("\n\n")[2]
        return last or None if self.finish == "eos" else None

    @property
    def calls(self) -> list[CallRecord]:
        return [s.call for s in self.segments if s.call is not None]

    @property
    def hints(self) -> list[HintRecord]:
        return [s.hint for s in self.segments if s.hint is not None]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def usage(self) -> Usage:
        counts: dict[str, int] = {}
        for s in self.segments:
            counts[s.source] = counts.get(s.source, 0) + len(s.token_ids)
        tool_calls = sum(len(call.tool_calls) for call in self.calls)
        return Usage(**counts, dropped=self.dropped, tool_calls=tool_calls)

    @property
    def timing(self) -> str:
        """One line: seconds by who worked, the engine's idle ones, tokens that were read again."""
        model, tool = self.seconds.get("model", 0.0), self.seconds.get("tool", 0.0)
        again = "unknown" if self.recomputed is None else sum(self.recomputed)
        return (
            f"model {model:.2f} s, tool {tool:.2f} s (engine idle {self.idle:.2f} s), "
            f"tokens read again: {again}"
        )

    def loss_mask(self, train_on: Sequence[Source] = TRAIN_ON) -> list[int]:
        """1 for each token that a model should learn to write, 0 for the others; one per token.

        The end-of-sequence token is a model segment, so it carries loss: without it a trained
        model never learns to stop. Hints carry loss by default: with them masked a model would
        never learn to open a block by itself (START, arXiv 2503.04625, masks them in one stage
        by one account; pass `train_on=("model",)` for that).
        """
        return [int(s.source in train_on) for s in self.segments for _ in s.token_ids]
