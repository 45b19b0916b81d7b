"""ReasoningSession: the public entry point. The loop itself is in `_loop/run.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from start_sdk._loop.budget import Limits
from start_sdk._loop.cutting import cut_segments
from start_sdk._loop.hinter import Pending
from start_sdk._loop.kernel import LazyKernel
from start_sdk._loop.run import Delta, Event, Run
from start_sdk._loop.setup import Setup
from start_sdk._text.inert import inert
from start_sdk._text.repetition import repeats
from start_sdk.errors import ConfigError, PromptError
from start_sdk.formats import ReasoningFormat, detect
from start_sdk.generation import Sampling
from start_sdk.protocols import Backend, Hint, HintPolicy, Interpreter, Message, Tokenizer, Tool
from start_sdk.trace import InsertionPoint, Parent, Segment, Trace

__all__ = [
    "Delta",
    "Event",
    "LazyKernel",
    "Limits",
    "ReasoningSession",
    "Run",
    "repeats",
]


class ReasoningSession:
    r"""Runs prompts with a backend, an interpreter and a hint policy.

    The caller owns the backend and the interpreter and closes them. A session can run many
    prompts, also concurrently; each run has its own kernel, opened at its first call. With
    `keep_state=True` a single kernel serves all runs, one run after another, until `aclose`.

    Args:
        backend: continues token ids.
        interpreter: runs the Python blocks in a thought; without one they remain text.
        tools: functions of this process that code in a cell can call (`start_sdk.tool`). The
            prompt lists them for the model.
        hints: a policy that may insert hints into the thought.
        format: how the model writes; detected from its tokenizer by default.
        limits: what one run may spend.
        conclude: when a run that would end without an answer is asked for it: "auto" after a hint,
            a cell or a limit, "always", or "never". Any other text is "always" with that text, e.g.
            `\boxed{` for mathematics or an open fence for programs.
        sampling: how tokens are sampled; its seed is the default seed of a run.
        keep_state: keep one kernel across runs.

    Raises:
        ConfigError: the tools cannot be called: there is no interpreter, the interpreter does not
            support tools, or two tools have the same name.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        interpreter: Interpreter | None = None,
        tools: Sequence[Tool] = (),
        hints: HintPolicy | None = None,
        format: ReasoningFormat | None = None,
        limits: Limits | None = None,
        conclude: str = "auto",
        sampling: Sampling | None = None,
        keep_state: bool = False,
    ) -> None:
        if tools and not interpreter:
            raise ConfigError("tools are called from cells: pass an interpreter too")
        kernel = LazyKernel(interpreter, tools) if interpreter else None  # checks the tools
        self._setup = Setup(
            backend=backend,
            interpreter=interpreter,
            tools=tuple(tools),
            hints=hints,
            format=_format_of(backend, format),
            limits=limits or Limits(),
            conclude=conclude,
            kept=kernel if keep_state else None,
        )
        self._sampling = sampling or Sampling()
        self._runs: WeakSet[Run] = WeakSet()

    @property
    def tokenizer(self) -> Tokenizer:
        """The backend's tokenizer, which its traces use."""
        return self._setup.backend.tokenizer

    @property
    def format(self) -> ReasoningFormat:
        """How the model writes."""
        return self._setup.format

    async def run(self, prompt: str | Sequence[Message], *, seed: int | None = None) -> Trace:
        """Runs a prompt to the end.

        Raises:
            PromptError: the prompt is empty or does not fit the model's context.
            BackendError: the engine failed. The error's `trace` holds the trace so far.
            InterpreterError: a kernel could not be started. It has a `trace`, too.
        """
        return await self._drain(self.stream(prompt, seed=seed))

    def stream(self, prompt: str | Sequence[Message], *, seed: int | None = None) -> Run:
        """Like `run`, but yields events: a `Delta` as tokens arrive, then each finished `Segment`.

        The returned run's `trace` holds the trace so far at any time, and the complete trace once
        the events are exhausted.
        """
        messages = [Message(role="user", content=prompt)] if isinstance(prompt, str) else prompt
        if not all(isinstance(m["content"], str) for m in messages):
            raise PromptError("the content of a message must be a string")
        if not any(m["content"].strip() for m in messages):
            raise PromptError("the prompt is empty")
        tokenizer = self._setup.backend.tokenizer
        asked = self._setup.format.describe_tools(messages, self._setup.tools)
        if not self._setup.backend.capabilities.exact:
            asked = [Message(role=m["role"], content=inert(m["content"])) for m in asked]
        ids = tuple(tokenizer.render(asked))
        text = tokenizer.decode(ids)
        start = Segment(source="prompt", text=text, token_ids=ids, phase="prompt")
        return self._start(self._seeded(seed), [start], prompt=messages)

    async def resume(self, trace: Trace, at: int, *, seed: int | None = None) -> Trace:
        """Continues a trace after its first `at` tokens: a fork, or another round.

        The kernel's state is rebuilt by running the cells before `at` again; each of their
        records states whether the output was the same (`CallRecord.replay`). With `keep_state` the
        kept kernel is used as is. The seed defaults to the trace's own.

        Raises:
            ConfigError: `at` is outside the trace or inside a spliced segment.
        """
        return await self._drain(self.stream_from(trace, at, seed=seed))

    def stream_from(self, trace: Trace, at: int, *, seed: int | None = None) -> Run:
        """Like `resume`, but yields events, starting with the segments before `at`."""
        segments = cut_segments(trace, at, self._setup.backend.tokenizer)
        sampling = self._seeded(trace.seed if seed is None else seed)
        parent = Parent(trace_id=trace.id, at=at)
        return self._start(sampling, segments, parent, prompt=trace.prompt)

    async def resume_hinted(
        self, trace: Trace, point: InsertionPoint, hint: Hint, *, seed: int | None = None
    ) -> Trace:
        """Cuts a trace at a point, inserts a hint and continues: staged Hint-infer (START, 3).

        After the hint, the session's own policy applies as in any run. `find_insertion_points`
        returns the points of a trace.

        Raises:
            ConfigError: the point is outside the trace, or the hint has fields to fill in.
            HintRefused: the hint cannot be inserted there, e.g. inside a block.
        """
        if hint.fields:
            raise ConfigError(
                f"hint {hint.id!r} has fields to fill in first: {', '.join(hint.fields)}"
            )
        segments = cut_segments(trace, point.at, self._setup.backend.tokenizer)
        sampling = self._seeded(trace.seed if seed is None else seed)
        staged = (hint, point.position, point.trigger)
        parent = Parent(trace_id=trace.id, at=point.at)
        run = self._start(sampling, segments, parent, staged, prompt=trace.prompt)
        return await self._drain(run)

    def steer(self, text: str) -> None:
        """Inserts a text into the running thought (`Run.steer`).

        Call it in the session's event loop; from another thread, use `call_soon_threadsafe`.

        Raises:
            ConfigError: the text is empty, or the number of thinking runs is not one.
        """
        thinking = [run for run in self._runs if run.thinking]
        if len(thinking) != 1:
            raise ConfigError(
                f"{len(thinking)} runs are thinking, expected one: call `Run.steer` on a run"
            )
        thinking[0].steer(text)

    def _start(
        self,
        sampling: Sampling,
        segments: Sequence[Segment],
        parent: Parent | None = None,
        staged: Pending | None = None,
        prompt: Sequence[Mapping[str, Any]] = (),
    ) -> Run:
        run = Run(self._setup, sampling, segments, parent, staged, prompt)
        self._runs.add(run)
        return run

    def _seeded(self, seed: int | None) -> Sampling:
        return self._sampling.model_copy(update={} if seed is None else {"seed": seed})

    async def aclose(self) -> None:
        """Closes the kernel that `keep_state` kept; the backend and interpreter stay open."""
        if self._setup.kept:
            await self._setup.kept.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        await self.aclose()

    @staticmethod
    async def _drain(run: Run) -> Trace:
        async with aclosing(run):
            async for _ in run:
                pass
        return run.trace


def _format_of(backend: Backend, format: ReasoningFormat | None) -> ReasoningFormat:
    """How the model writes. Text from a server never holds control tokens: tags are text there."""
    format = format or detect(backend.tokenizer)
    return (
        format if backend.capabilities.exact else format.model_copy(update={"tag_is_token": False})
    )
