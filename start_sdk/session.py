"""ReasoningSession: the public entry point. The loop itself is in `_loop/run.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from weakref import WeakSet

from start_sdk import _opening as opening
from start_sdk._loop.budget import Limits
from start_sdk._loop.cutting import cut_segments
from start_sdk._loop.hinter import Pending
from start_sdk._loop.kernel import LazyKernel
from start_sdk._loop.loop import Delta, Event
from start_sdk._loop.many import finish, finish_all
from start_sdk._loop.run import Run
from start_sdk._loop.setup import Setup
from start_sdk._text.repetition import repeats
from start_sdk.errors import ConfigError
from start_sdk.formats import ReasoningFormat
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

        async with ReasoningSession("start-tiny", interpreter="python", hints="end") as session:
            trace = await session.run("Find the product of 34 and 57.")

    A session can run many prompts, also concurrently; each run has its own kernel, opened at its
    first call. With `keep_state=True` a single kernel serves all runs, one run after another, until
    `aclose`. What the session opened by name it closes; what it was passed stays open.

    Args:
        model: an open backend, or the name of a model that `backend` runs.
        backend: with a model's name, the name of what runs it; by default "server" for an
            address, else "transformers".
        interpreter: runs the Python blocks in a thought, an object or a name ("python"); without
            one they remain text.
        tools: functions of this process that code in a cell can call (`start_sdk.tool`). The
            prompt lists them for the model.
        files: put into the kernel's working directory, by name: a path, read now, or bytes.
        hints: a policy that may insert hints into the thought, an object or a name ("end").
        format: how the model writes; detected from its tokenizer by default.
        limits: what one run may spend.
        conclude: when a run that would end without an answer is asked for it: "auto" after a hint,
            a cell or a limit, "always", or "never". Any other text is "always" with that text, e.g.
            `\boxed{` for mathematics or an open fence for programs.
        sampling: how tokens are sampled; its seed is the default seed of a run.
        system: the system message of conversations that have none.
        template: options of the model's chat template, e.g. `{"enable_thinking": True}`.
        keep_state: keep one kernel across runs.

    Raises:
        ConfigError: an argument is of the wrong type or out of range; the backend, interpreter or
            template cannot do what is wanted; or hints open blocks that no interpreter would run.
        ModelError: the model cannot be found, read or used.
        PluginError: nothing is installed under one of the names.
    """

    def __init__(
        self,
        model: Backend | str,
        *,
        backend: str | None = None,
        interpreter: Interpreter | str | None = None,
        tools: Sequence[Tool] = (),
        files: Mapping[str, str | Path | bytes] | None = None,
        hints: HintPolicy | str | None = None,
        format: ReasoningFormat | None = None,
        limits: Limits | None = None,
        conclude: str = "auto",
        sampling: Sampling | None = None,
        system: str | None = None,
        template: Mapping[str, Any] | None = None,
        keep_state: bool = False,
    ) -> None:
        interpreter = opening.opened_interpreter(interpreter)
        policy = opening.opened_policy(hints, runs_code=interpreter is not None)
        tools, contents = opening.checked_tools(tools), opening.read_files(files)
        if (tools or contents) and not interpreter:
            raise ConfigError("tools and files are used in cells: pass an interpreter too")
        kernel = LazyKernel(interpreter, tools, contents) if interpreter else None  # checks them
        limits = Limits() if limits is None else opening.of_type("limits", limits, Limits)
        self._sampling = (
            Sampling() if sampling is None else opening.of_type("sampling", sampling, Sampling)
        )
        if format is not None:
            opening.of_type("format", format, ReasoningFormat)
        opening.check_conclude(conclude)
        if system is not None and not opening.of_type("system", system, str).strip():
            raise ConfigError("system is empty: leave it out, or write a system message")
        options = opening.checked_options(template)
        opening.of_type("keep_state", keep_state, bool)
        opened = opening.opened_backend(model, backend)
        self._owned = opened if isinstance(model, str) else None
        try:
            self._setup = Setup(
                backend=opened,
                interpreter=interpreter,
                tools=tools,
                files=contents,
                hints=policy,
                format=opening.format_of(opened, format, options),
                limits=limits.within(opened.max_context),
                conclude=conclude,
                system=system,
                template=options,
                kept=kernel if keep_state else None,
            ).usable()
            self._setup.check(self._sampling)
        except BaseException:
            if self._owned:
                opening.discard(self._owned)
            raise
        self._runs: WeakSet[Run] = WeakSet()

    @property
    def tokenizer(self) -> Tokenizer:
        """The backend's tokenizer, which its traces use."""
        return self._setup.backend.tokenizer

    @property
    def format(self) -> ReasoningFormat:
        """How the model writes."""
        return self._setup.format

    @property
    def limits(self) -> Limits:
        """What a run may spend, cut to what fits the model's context."""
        return self._setup.limits

    async def run(self, prompt: str | Sequence[Message], *, seed: int | None = None) -> Trace:
        """Runs a prompt to the end.

        Raises:
            PromptError: the prompt is empty, no conversation, or does not fit the model's context.
            BackendError: the engine failed. The error's `trace` holds the trace so far.
            InterpreterError: a kernel could not be started. It has a `trace`, too.
        """
        messages = opening.conversation(prompt, self._setup.system)
        # On a thread: the tokenizer may have to ask a server.
        start = await asyncio.to_thread(self._setup.rendered, messages)
        return await finish(self._start(self._seeded(seed), [start], prompt=messages))

    def stream(self, prompt: str | Sequence[Message], *, seed: int | None = None) -> Run:
        """Like `run`, but yields events: a `Delta` as tokens arrive, then each finished `Segment`.

        The returned run's `trace` holds the trace so far at any time.
        """
        messages = opening.conversation(prompt, self._setup.system)
        start = self._setup.rendered(messages)
        return self._start(self._seeded(seed), [start], prompt=messages)

    async def run_many(
        self,
        prompts: Sequence[str | Sequence[Message]],
        *,
        n: int = 1,
        max_concurrency: int = 32,
        seed: int | None = None,
    ) -> list[Trace]:
        """Runs each prompt `n` times, several at once.

        Args:
            prompts: each as for `run`.
            n: samples per prompt; sample i has the seed `seed + i`.
            max_concurrency: runs at the same time.
            seed: of the first sample of each prompt; by default the session's.

        Returns:
            `n` traces for the first prompt, then `n` for the second, and so on.

        Raises:
            PromptError: one of the prompts cannot be used; nothing was run.
            StartError: a run failed. The others are finished first, and the error's `traces` holds
                all of them in order, failed ones up to where they failed.
        """
        if isinstance(prompts, str) or not isinstance(prompts, Sequence):
            raise ConfigError(f"prompts must be a list of prompts, not {opening.shown(prompts)}")
        for name, value in (("n", n), ("max_concurrency", max_concurrency)):
            if opening.of_type(name, value, int) < 1:
                raise ConfigError(f"{name}={value}: must be at least 1")
        first = self._seeded(seed).seed
        runs = [self.stream(p, seed=first + i) for p in prompts for i in range(n)]
        return await finish_all(runs, max_concurrency)

    async def resume(self, trace: Trace, at: int, *, seed: int | None = None) -> Trace:
        """Continues a trace after its first `at` tokens: a fork, or another round.

        The kernel's state is rebuilt by running the cells before `at` again; each of their
        records states whether the output was the same (`CallRecord.replay`). With `keep_state` the
        kept kernel is used as is. The seed defaults to the trace's own.

        Raises:
            ConfigError: `at` is outside the trace or inside a spliced segment.
        """
        return await finish(self.stream_from(trace, at, seed=seed))

    def stream_from(self, trace: Trace, at: int, *, seed: int | None = None) -> Run:
        """Like `resume`, but yields events, starting with the segments before `at`."""
        opening.of_type("trace", trace, Trace)
        segments = self._cut(trace, opening.of_type("at", at, int))
        sampling = self._seeded(trace.seed if seed is None else seed)
        parent = Parent(trace_id=trace.id, at=at)
        return self._start(sampling, segments, parent, prompt=trace.prompt)

    async def resume_hinted(
        self, trace: Trace, point: InsertionPoint, hint: Hint, *, seed: int | None = None
    ) -> Trace:
        """Cuts a trace at a point, inserts a hint and continues: staged Hint-infer (START, 3).

        After the hint, the session's own policy applies. `find_insertion_points` returns points.

        Raises:
            ConfigError: the point is outside the trace, or the hint has fields to fill in.
            HintRefused: the hint cannot be inserted there, e.g. inside a block.
        """
        opening.of_type("trace", trace, Trace)
        opening.of_type("point", point, InsertionPoint)
        opening.check_staged(hint, runs_code=self._setup.interpreter is not None)
        segments = self._cut(trace, point.at, spliced=True)
        sampling = self._seeded(trace.seed if seed is None else seed)
        staged = (hint, point.position, point.trigger)
        parent = Parent(trace_id=trace.id, at=point.at)
        run = self._start(sampling, segments, parent, staged, prompt=trace.prompt)
        return await finish(run)

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

    def _cut(self, trace: Trace, at: int, *, spliced: bool = False) -> list[Segment]:
        opening.check_tokenizer(trace, self._setup.backend)
        return cut_segments(trace, at, self._setup.backend.tokenizer, spliced=spliced)

    def _seeded(self, seed: int | None) -> Sampling:
        if seed is None:
            return self._sampling
        if opening.of_type("seed", seed, int) < 0:
            raise ConfigError(f"seed={seed}: must be 0 or more")
        return self._sampling.model_copy(update={"seed": seed})

    async def aclose(self) -> None:
        """Closes the kernel that `keep_state` kept, and the backend if it was opened by name."""
        try:
            if self._setup.kept:
                await self._setup.kept.aclose()
        finally:
            if self._owned:
                await self._owned.aclose()

    def __repr__(self) -> str:
        return f"ReasoningSession({self._setup.backend.capabilities.model!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
