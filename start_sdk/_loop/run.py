"""One run of a session: the loop of thinking, calling and hinting (START: Hint-infer)."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass

from start_sdk._loop.budget import Budget
from start_sdk._loop.context import Context
from start_sdk._loop.hinter import Hinter, Pending
from start_sdk._loop.kernel import LazyKernel
from start_sdk._loop.setup import Setup
from start_sdk._loop.timing import Timing
from start_sdk._text.repetition import repetition
from start_sdk.errors import BackendError, ConfigError, StartError
from start_sdk.formats import FENCE_END
from start_sdk.protocols import Chunk, HintContext, Sampling
from start_sdk.trace import Finish, Limit, Parent, Phase, Position, Segment, Trace

NO_CALLS = "No more code can be run: the limit of {n} calls is reached. Go on without code."
NO_ROOM = "(I have no {kind} left for thinking, so I give my answer now.)\n"
REPEATS = "(I am going round in circles, so I give my answer now.)\n"
CHECK_EVERY = 16
"""Tokens between two checks for repetition."""


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
        pending: Sequence[Pending] = (),
    ) -> None:
        self._setup = setup
        self._sampling = sampling
        self._parent = parent
        self._budget = Budget(setup.limits, setup.backend.max_context)
        self._context = Context(setup.backend.tokenizer, setup.format, self._budget)
        self._context.load(segments)
        self._hinter = Hinter(self._context, setup.format, setup.hints, pending)
        self._budget.check_prompt()
        self._kernel = setup.kept or (
            LazyKernel(setup.interpreter, setup.tools) if setup.interpreter else None
        )
        self._key = uuid.uuid4().hex
        self._finish: Finish | None = None
        self._late = self._repeating = self._over = False
        self._last = Chunk()
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
        if self._kernel and not self._setup.kept:
            self._context.segments[:] = await self._kernel.replay(self._context.segments)
        await self._call()  # a trace resumed right after a block has a pending call
        shown = 0
        while True:
            self._hinter.give_pending()
            for segment in self._context.segments[shown:]:
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
                self._context.flush()

    async def _generate(self) -> AsyncGenerator[Delta, None]:
        """Lets the model continue until it pauses; `_last` says why it paused."""
        context, backend = self._context, self._setup.backend
        room = self._budget.room(thinking=context.phase == "thinking")
        self._last = Chunk(reason="length")
        if room <= 0:
            return
        prefix, spliced = tuple(context.token_ids), context.take_spliced()
        chunks = backend.generate(
            prefix, self._sampling, self._stops(), max_tokens=room, key=self._key
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
                    if self._repeats():
                        self._repeating = True
                        return
                    if self._hinter.due:
                        self._last = Chunk()
                        return
        if not self._late:
            self._timing.generated(len(prefix), spliced, len(context.token_ids), chunk)

    def _repeats(self) -> bool:
        copies, ids = self._setup.limits.max_repeats, self._context.token_ids
        if copies is None or self._context.phase != "thinking" or len(ids) % CHECK_EVERY:
            return False
        return repetition(ids, copies) > 0

    async def _next(self, chunks: AsyncGenerator[Chunk, None]) -> Chunk:
        left = self._budget.seconds_left(thinking=self._context.phase == "thinking")
        try:
            with self._timing.model():
                return await asyncio.wait_for(anext(chunks), left)
        except TimeoutError:
            self._late = True
            return Chunk(reason="length")
        except StopAsyncIteration:
            raise BackendError("the backend's last chunk has no `reason`") from None

    def _stops(self) -> list[str]:
        if self._context.phase != "thinking":
            return []
        stops = list(self._setup.format.end_stops)
        if self._setup.interpreter:
            stops.append(FENCE_END)
        if self._setup.hints:
            stops += self._setup.hints.triggers
        return list(dict.fromkeys(stops))

    async def _react(self, last: Chunk) -> AsyncGenerator[Delta, None]:
        """Decides what happens to a withheld match, and what is spliced in its place."""
        context, format = self._context, self._setup.format
        if last.reason is None:  # stopped to insert a pending hint
            return
        if last.reason == "length":
            self._limit()
        elif context.phase == "answer":
            context.end(last)
            self._finish = "eos"
        elif last.stop == FENCE_END:
            yield self._accept(last)
            await self._call()
        elif last.reason == "stop" and last.stop not in format.end_stops:
            yield self._accept(last)
            # Not inside a word: neither "Wait" in a token "Waiting" nor "Wait" after a letter.
            before = context.thought.removesuffix(last.stop)[-1:]
            inside = before.isascii() and before.isalnum() and last.stop[:1].isalnum()
            quoted = format.in_quote(context.thought)
            if context.thought.endswith(last.stop) and not inside and not quoted:
                self._hint("connective", last)
        elif not last.stop and self._code() is not None:
            # The model closed a block and ended at once: it expects the output.
            context.drop(last)
            await self._call()
        elif self._hint("end", last):
            context.drop(last)
        elif last.stop:
            context.end_thinking(last)
            if not format.think:  # a marker opens the answer
                yield self._accept(last)
        else:
            context.end(last)
            self._finish = "eos"

    def _accept(self, last: Chunk) -> Delta:
        self._context.accept(last)
        return Delta(last.matched_text, last.matched_ids, self._context.phase)

    def _code(self) -> str | None:
        return self._setup.format.call(self._context.thought) if self._kernel else None

    async def _call(self) -> None:
        """Runs the block that was just closed, if any."""
        code = self._code()
        if code is None or self._kernel is None:
            return
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
        self._hint("output", Chunk())

    def _hint(self, position: Position, last: Chunk) -> bool:
        """Inserts a hint here if one is pending or the policy decides on one."""

        def observe() -> HintContext | None:
            calls_left = self._budget.calls_left() if self._kernel else 0
            if self._kernel and calls_left <= 0:
                return None
            if self._budget.room(thinking=True) <= len(last.matched_ids):
                return None  # no tokens are left to answer a hint
            return HintContext(self.trace, position, last.stop, self._sampling.seed, calls_left)

        return self._hinter.give(observe)

    def _limit(self) -> None:
        """At a limit: closes an open block, adds a notice and ends the thought, or ends the run."""
        context, format = self._context, self._setup.format
        if context.phase == "answer":
            self._finish = "time" if self._late else "length"
            return
        kind: Limit = "repeats" if self._repeating else "time" if self._late else "tokens"
        if kind == "tokens" and self._budget.context_left() <= self._budget.reserve:
            kind = "context"
        block = format.open_block(context.thought)
        if block:
            context.splice_notice("`" * block.ticks + "\n", kind)
        why = REPEATS if self._repeating else NO_ROOM.format(kind=kind)
        context.splice_notice(why, kind, join="paragraph")
        context.splice_notice(format.closing(), kind, ends_thinking=True)
