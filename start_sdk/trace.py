"""The data model: a trace is a list of segments. Token ids are the truth, text is a view.

What a model sampled is stored as sampled and never re-encoded. A hint, an output or a notice is
encoded once, when it is spliced in. Everything else is derived, so it cannot disagree with them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, computed_field

from start_sdk._files import write_whole
from start_sdk._text.answers import answer_of
from start_sdk._text.tags import without_opening
from start_sdk._text.unicode import Json, Message, Text
from start_sdk.errors import ConfigError
from start_sdk.values import Frozen, first_problem

Source = Literal["prompt", "model", "hint", "tool", "notice"]
"""Who wrote a segment: a hint comes from a policy, a notice from the session (limits)."""

Position = Literal["connective", "end", "calculation", "output", "steer"]
"""Where a hint is inserted: after a word such as "Wait", where the thought would end, where the
model starts to calculate by hand, after an output, or wherever the caller steered (`Run.steer`)."""

Phase = Literal["prompt", "thinking", "close", "answer"]
"""The part of a trace that a segment is in; "close" is the end-of-thinking tag or the EOS token."""

Finish = Literal["eos", "concluded", "length", "time", "cancelled", "error"]
"""Why a run ended: by EOS, when the answer after a concluding text was complete, out of tokens, out
of time, stopped by the caller, or failed."""

Status = Literal["ok", "error", "timeout", "killed", "oom", "died"]
"""How a cell ended: "timeout" keeps the kernel's state; "killed", "oom" and "died" lose it."""

Limit = Literal["calls", "tokens", "context", "time", "repeats"]
"""The limit that a run reached; "repeats": the thought repeated itself."""

Notice = Literal[Limit, "conclusion"]
"""Why the session wrote something: a limit, or to ask for the answer."""

ToolFailure = Literal["ToolError", "TypeError", "ValueError", "TimeoutError"]
"""What a call to a host tool can raise in a cell."""

Count = Annotated[int, Field(ge=0)]
_ENDING = ("tokens", "context", "time", "repeats")
TRAIN_ON: tuple[Source, ...] = ("model", "hint")


class HintRecord(Frozen):
    """Which hint a segment holds, and why it was inserted there."""

    id: str
    category: str
    domain: str
    position: Position
    trigger: str
    """The text that triggered it: a connective, an end-of-thinking tag, "" for EOS."""
    round: int
    """1 for the first hint of a trace, 2 for the second, and so on."""


class ToolCall(Frozen):
    """A call from a cell to a host tool, and its result."""

    name: str
    arguments: dict[Text, Json] = Field(default_factory=dict)
    result: Json = None
    error: ToolFailure | None = None
    """Raised in the cell: TypeError or ValueError for wrong arguments, TimeoutError for a tool that
    took too long, else ToolError."""
    message: Text = ""
    """The exception's message."""
    seconds: float = 0.0


class CallRecord(Frozen):
    """The cell that produced a tool segment."""

    code: Text
    output: Text
    """What the interpreter returned; the model may have seen less of it (`cut`)."""
    status: Status
    seconds: float
    state_kept: bool
    cut: Count = 0
    """Characters omitted from the middle of the output."""
    pictures: tuple[str, ...] = ()
    """Images that the cell displayed: base64-encoded PNG."""
    latex: tuple[str, ...] = ()
    """LaTeX forms of displayed values that have one."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Its calls to host tools, in order."""
    replay: Literal["same", "differs"] | None = None
    """Set when a resumed run ran this cell again; tools are then answered from `tool_calls`."""


class Segment(Frozen):
    """A run of tokens from one source."""

    source: Source
    text: Text
    token_ids: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...]
    phase: Phase
    hint: HintRecord | None = None
    call: CallRecord | None = None
    notice: Notice | None = None
    """For a notice: why it is there."""
    logprobs: tuple[float, ...] | None = None
    """For a model segment, if requested: natural log of each token's probability."""


class InsertionPoint(Frozen):
    """A position in a trace at which a hint can be inserted."""

    at: Count
    """Number of tokens before it."""
    position: Position
    trigger: str
    """The connective before it; at the end of a thought, the tag after it ("" for EOS)."""


class Parent(Frozen):
    """The trace that a resumed trace continues, and where it was cut."""

    trace_id: str
    at: Count
    """Number of tokens that were kept."""


class Usage(Frozen):
    """Tokens by source, tokens sampled but dropped in favour of a hint, and tool calls."""

    prompt: Count = 0
    model: Count = 0
    hint: Count = 0
    tool: Count = 0
    notice: Count = 0
    dropped: Count = 0
    tool_calls: Count = 0
    """Calls from cells to host tools."""


class Trace(Frozen):
    """One complete run of a session: what was in the model's context, and who put it there."""

    segments: tuple[Segment, ...]
    finish: Finish
    model: str = ""
    seed: int = 0
    settings: dict[str, Json] = Field(default_factory=dict)
    """Everything that shaped the run except the prompt and the seed, readable."""
    exact: bool = True
    """False if the backend returned only text, so that the ids are a re-encoding of it."""
    dropped: Count = 0
    seconds: dict[str, float] = Field(default_factory=dict)
    """Wall-clock seconds spent in "model" and "tool"."""
    idle: float = 0.0
    """Of the tool's seconds, those in which no other run of the session was generating."""
    recomputed: tuple[Count, ...] | None = None
    """For each pause: tokens that the engine had computed and had to compute again, without the
    last sampled one, which is always new to it. None if the backend does not report it."""
    parent: Parent | None = None
    prompt: tuple[Message, ...] = ()
    """The messages that the prompt was rendered from."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def config(self) -> str:
        """Hash of the settings."""
        text = json.dumps(self.settings, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def id(self) -> str:
        """Hash of the tokens, their sources and the configuration: equal runs have equal ids."""
        digest = hashlib.blake2b(f"{self.config}|{self.finish}".encode(), digest_size=8)
        for s in self.segments:
            digest.update(f"|{s.source}:{','.join(map(str, s.token_ids))}".encode())
        return digest.hexdigest()

    def __repr__(self) -> str:
        return f"Trace({self.finish}, answer={self.answer!r}, {len(self.token_ids)} tokens)"

    @property
    def token_ids(self) -> list[int]:
        return [i for s in self.segments for i in s.token_ids]

    @property
    def starts(self) -> list[int]:
        """For each segment, the tokens before it: where a trace can be cut."""
        return list(accumulate((len(s.token_ids) for s in self.segments[:-1]), initial=0))

    @property
    def text(self) -> str:
        return "".join(s.text for s in self.segments)

    @property
    def thinking(self) -> str:
        """The chain of thought with its hints, outputs and notices, without the tags around it."""
        return without_opening("".join(s.text for s in self.segments if s.phase == "thinking"))

    @property
    def response(self) -> str:
        """The text after the thought: the part shown to a user."""
        return "".join(s.text for s in self.segments if s.phase == "answer").strip()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def answer(self) -> str | None:
        r"""The answer, never a hint, a block of code, an output or a notice.

        What the response states (its last box, else what follows "the answer is"), else the
        response. Without one, or without tags before it, what the model's prose states; else None.
        """
        return answer_of(self.segments)

    @property
    def truncated(self) -> bool:
        """Whether a limit ended the thought or the answer."""
        return bool(self.limit) or self.finish in ("length", "time")

    @property
    def limit(self) -> Notice | None:
        """The limit that ended the thought, if one did."""
        return next((s.notice for s in self.segments if s.notice in _ENDING), None)

    def messages(self) -> list[dict[str, Any]]:
        """The prompt's messages and the assistant's, whose thought is its `reasoning_content`."""
        response, thinking = self.response, self.thinking.strip()
        reply = {"role": "assistant", "content": response or thinking}
        if response and thinking:
            reply["reasoning_content"] = thinking
        return [*map(dict, self.prompt), reply]

    @property
    def calls(self) -> list[CallRecord]:
        return [s.call for s in self.segments if s.call is not None]

    @property
    def pictures(self) -> list[bytes]:
        """The images that cells displayed, as PNG files."""
        return [base64.b64decode(picture) for call in self.calls for picture in call.pictures]

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

    def loss_mask(self, train_on: Sequence[Source] = TRAIN_ON) -> list[int]:
        """1 for each token that a model should learn to write, else 0.

        The end-of-sequence token is in a model segment: without it a trained model never learns to
        stop. Hints carry loss by default, or a model would never learn to open a block by itself
        (START, arXiv 2503.04625, masks them in one stage by one account: `train_on=("model",)`).
        """
        return [int(s.source in train_on) for s in self.segments for _ in s.token_ids]

    def save(self, path: str | Path) -> None:
        """Writes the trace to a JSON file, whole or not at all.

        Raises:
            ConfigError: the file cannot be written.
        """
        try:
            write_whole(path, self.model_dump_json(indent=2) + "\n")
        except (OSError, ValueError, TypeError) as error:
            why = getattr(error, "strerror", None) or error
            raise ConfigError(f"cannot write the trace {str(path)!r}: {why}") from error

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Reads a trace that `save` wrote.

        Raises:
            ConfigError: the file cannot be read or holds no trace.
        """
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except ValidationError as error:
            raise ConfigError(f"{str(path)!r} is no trace: {first_problem(error)}") from error
        except (OSError, ValueError, TypeError) as error:
            why = getattr(error, "strerror", None) or error
            raise ConfigError(f"cannot read the trace {str(path)!r}: {why}") from error
