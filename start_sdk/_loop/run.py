"""One run of a session: the loop of thinking, calling and hinting (START: Hint-infer)."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from typing import Any

from start_sdk._loop.budget import Budget
from start_sdk._loop.conclusion import Conclusion
from start_sdk._loop.context import Context
from start_sdk._loop.hinter import Hinter, Pending
from start_sdk._loop.kernel import LazyKernel
from start_sdk._loop.setup import Setup
from start_sdk._loop.timing import Timing
from start_sdk._loop.watch import ConclusionWatch, LoopWatch
from start_sdk.errors import BackendError, ConfigError, StartError
from start_sdk.generation import Chunk, Sampling, Stop, Watch
from start_sdk.protocols import HintContext
from start_sdk.trace import Finish, Limit, Parent, Phase, Position, Segment, Trace

NO_CALLS = "No more code can be run: the limit of {n} calls is reached. Go on without code."


@dataclass(frozen=True, slots=True)
class Delta:
    """Tokens of the model, as they arrive. The finished `Segment` with these tokens follows."""

    text: str
    token_ids: tuple[int, ...]
    phase: Phase


Event = Delta | Segment


class Run:
    """One run: iterate over it for events; `trace` is the trace so far."""

    def __init__(
        self,
        setup: Setup,
        sampling: Sampling,
        segments: Sequence[Segment],
        parent: Parent | None = None,
        staged: Pending | None = None,
        prompt: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._setup = setup
        self._sampling = sampling
        self._parent = parent
        self._prompt = tuple(map(dict, prompt))
        self._budget = Budget(setup.limits, setup.backend.max_context)
        exact = setup.backend.capabilities.exact
        self._context = Context(setup.backend.tokenizer, setup.format, self._budget, exact=exact)
        triggers = setup.hints.triggers if setup.hints else ()
        self._context.load(segments, triggers)
        self._kernel = setup.kept or (
            LazyKernel(setup.interpreter, setup.tools) if setup.interpreter else None
        )
        runs_code = self._kernel is not None
        self._hinter = Hinter(self._context, setup.hints, runs_code=runs_code, staged=staged)
        self._conclusion = Conclusion(setup.conclude, self._context, setup.format)
        self._budget.check_prompt()
        self._key = uuid.uuid4().hex
        self._finish: Finish | None = None
        self._late = self._over = False
        self._last = Chunk()
        self._watch: LoopWatch | None = None
        self._timing = Timing(setup.clock)
        self._events = self._drive()

    def __aiter__(self) -> AsyncGenerator[Event, None]:
        return self._events

    def steer(self, text: str) -> None:
        """Inserts a text into the running thought, as soon as no block or formula is open in it.

        It is recorded like a hint (id "steer"). A thought that would end first continues with it.

        Raises:
            ConfigError: the text is empty, or the thought is over.
        """
        if not text.strip():
            raise ConfigError("the text to steer with is empty")
        if not self.thinking:
            raise ConfigError("the thought is over: only a running thought can be steered")
        self._hinter.add(text)
        if self._watch:
            self._watch.steered = True

    @property
    def thinking(self) -> bool:
        """Whether the thought is still running, so that it can be steered."""
        return not (self._over or self._finish) and self._context.phase == "thinking"

    async def aclose(self) -> None:
        """Stops the run; its trace is kept, with finish "cancelled" unless the run had ended."""
        await self._events.aclose()

    @property
    def trace(self) -> Trace:
        capabilities = self._setup.backend.capabilities
        return Trace(
            segments=self._context.snapshot(),
            finish=self._finish or "cancelled",
            model=capabilities.model,
            seed=self._sampling.seed,
            config=self._setup.hash(self._sampling),
            exact=capabilities.exact,
            dropped=self._budget.dropped,
            seconds={k: round(seconds, 4) for k, seconds in self._timing.seconds.items()},
            idle=round(self._timing.idle, 4),
            recomputed=self._timing.recomputed,
            parent=self._parent,
            prompt=self._prompt,
        )

    async def _drive(self) -> AsyncGenerator[Event, None]:
        kept = self._setup.kept
        try:
            async with kept.turn() if kept else nullcontext(), aclosing(self._loop()) as events:
                async for event in events:
                    yield event
        except Exception as error:
            self._finish = "error"
            if isinstance(error, StartError):
                error.trace = self.trace
            raise
        finally:
            self._over = True
            await self._setup.backend.release(self._key)
            if self._kernel and not kept:
                await self._kernel.aclose()

    async def _loop(self) -> AsyncGenerator[Event, None]:
        context = self._context
        if self._kernel and not self._setup.kept:
            context.segments[:] = await self._kernel.replay(context.segments)
        if self._kernel and context.pending_code:  # a trace resumed right after a block
            await self._call(context.pending_code)
        self._hinter.insert_staged()
        shown = 0
        while True:
            self._hinter.insert_pending()
            for segment in context.segments[shown:]:
                shown += 1
                yield segment
            if self._finish:
                return
            async with aclosing(self._generate()) as deltas:
                async for delta in deltas:
                    yield delta
            async with aclosing(self._react(self._last)) as deltas:
                async for delta in deltas:
                    yield delta
            if self._finish:
                context.flush()

    async def _generate(self) -> AsyncGenerator[Delta, None]:
        """Lets the model continue until it pauses; `_last` says why it paused."""
        context, backend = self._context, self._setup.backend
        thinking = context.phase == "thinking"
        room = self._budget.room(thinking=thinking) - (0 if thinking else self._conclusion.kept())
        self._last = Chunk(reason="length")
        if room <= 0:
            return
        prefix, spliced = tuple(context.token_ids), context.take_spliced()
        chunks = backend.generate(
            prefix, self._sampling, watch=self._watched(), max_tokens=room, key=self._key
        )
        with self._setup.clock.generating():
            async with aclosing(chunks):
                while True:
                    chunk = await self._next(chunks)
                    context.sample(chunk)
                    if chunk.token_ids:
                        yield Delta(chunk.text, chunk.token_ids, context.phase)
                    if chunk.reason:
                        self._last = chunk
                        break
        if not self._late:
            self._timing.generated(len(prefix), spliced, len(context.token_ids), chunk)

    def _watched(self) -> Watch:
        context, setup = self._context, self._setup
        if self._conclusion.given:
            return ConclusionWatch(setup.format, self._conclusion.text)
        self._watch = LoopWatch(
            context.reader,
            setup.format.languages if self._kernel else (),
            final_program=not setup.format.end_tag,
            repetition=context.repetition(setup.limits.max_repeats),
            begins=context.begins,
        )
        self._watch.steered = self._hinter.waiting
        return self._watch

    async def _next(self, chunks: AsyncGenerator[Chunk, None]) -> Chunk:
        left = self._budget.seconds_left(thinking=self._context.phase == "thinking")
        try:
            with self._timing.model():
                return await asyncio.wait_for(anext(chunks), left)
        except TimeoutError:
            self._late = True
            self._context.abandon()
            return Chunk(reason="length")
        except StopAsyncIteration:
            raise BackendError("the backend's last chunk has no `reason`") from None

    async def _react(self, last: Chunk) -> AsyncGenerator[Delta, None]:
        """Decides what happens to withheld tokens, event by event, and what takes their place."""
        if last.reason == "length":
            self._limit("time" if self._late else "tokens")
        for i, stop in enumerate(last.stops):
            if not await self._accepts(stop, withheld=len(last.withheld_ids)):
                self._context.drop(last.stops[i:])
                return
            if stop.event and stop.event.kind in ("trigger", "answer") and stop.token_ids:
                self._context.sample(stop)
                yield Delta(stop.text, stop.token_ids, self._context.phase)

    async def _accepts(self, stop: Stop, withheld: int) -> bool:
        """Deals with an event; returns whether the tokens after it stay."""
        event = stop.event
        kind = event.kind if event else "eos"
        if self._conclusion.given and kind in ("block", "pause"):
            self._finish = "concluded"
            return False
        if event and kind == "block":
            await self._call(event.code)
            return False
        if event and kind == "pause":
            if event.text == "repeats":
                self._limit("repeats")
            return False
        if event and kind == "trigger":
            return not self._hint("connective", event.text, withheld)
        return self._ends(stop, withheld)

    def _ends(self, stop: Stop, withheld: int) -> bool:
        """The thought or the text would end here, unless a hint or a conclusion follows."""
        context, event = self._context, stop.event
        within = event is not None and event.in_block
        trigger = event.text if event else ""
        if context.phase == "thinking" and not within and self._hint("end", trigger, withheld):
            return False
        if event and event.kind == "answer":
            context.open_answer()
        elif event:
            context.close(stop)
        elif self._conclusion.due():
            self._conclusion.give()
            return False
        else:
            context.close(stop)
            self._finish = "eos"
        return True

    async def _call(self, code: str) -> None:
        """Runs a block that was just closed."""
        assert self._kernel
        if self._budget.calls_left() <= 0:
            notice = NO_CALLS.format(n=self._setup.limits.max_calls)
            self._context.splice_notice(self._setup.format.show_output(notice), "calls")
            return
        began = time.monotonic()
        left = self._budget.seconds_left(thinking=True)
        with self._timing.tool():
            call = await self._kernel.run(code, left)
        self._late = left is not None and time.monotonic() - began >= left
        self._context.splice_output(call)
        self._hint("output", "", 0)

    def _hint(self, position: Position, trigger: str, withheld: int) -> bool:
        """Inserts a hint here if one is pending or the policy decides on one."""
        if self._budget.room(thinking=True) <= withheld:
            return False  # no tokens are left to answer a hint

        def observe() -> HintContext:
            calls_left = self._budget.calls_left() if self._kernel else 0
            return HintContext(self.trace, position, trigger, self._sampling.seed, calls_left)

        return self._hinter.insert(observe)

    def _limit(self, kind: Limit) -> None:
        """At a limit the thought ends, so that the model answers; else the run ends."""
        if self._context.phase == "thinking":
            if kind == "tokens" and self._budget.context_left() <= self._budget.reserve:
                kind = "context"
            self._conclusion.end_thinking(kind)
        elif not self._late and self._conclusion.due(limited=True):
            self._conclusion.give()
        else:
            self._finish = "time" if self._late else "length"
