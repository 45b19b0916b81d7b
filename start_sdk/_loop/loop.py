"""The loop of thinking, calling and hinting (START: Hint-infer)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from start_sdk._loop.budget import Budget
from start_sdk._loop.conclusion import Conclusion
from start_sdk._loop.context import Context
from start_sdk._loop.hinter import Hinter, Pending
from start_sdk._loop.kernel import LazyKernel
from start_sdk._loop.setup import Setup
from start_sdk._loop.timing import Timing
from start_sdk._loop.watch import ConclusionWatch, LoopWatch
from start_sdk.errors import BackendError, ConfigError, Interrupted
from start_sdk.generation import Chunk, Sampling, Stop, Watch
from start_sdk.protocols import HintContext
from start_sdk.trace import Finish, Limit, Phase, Position, Segment, Trace

NO_CALLS = "No more code can be run: the limit of {n} calls is reached. Go on without code."


@dataclass(frozen=True, slots=True)
class Delta:
    """Tokens of the model, as they arrive. The finished `Segment` with these tokens follows."""

    text: str
    token_ids: tuple[int, ...]
    phase: Phase


Event = Delta | Segment


class Loop:
    """Lets a model think until its run ends, and deals with what happens on the way.

    Args:
        setup: of the session.
        sampling: of this run.
        segments: a prompt, or the start of an earlier trace.
        staged: a hint to insert first.
        key: identifies the run to the backend.
        trace: returns the trace so far.

    Attributes:
        context: what is in the model's context.
        budget: what was spent.
        timing: where the time went.
        finish: why the run ended; None while it runs.
    """

    def __init__(
        self,
        setup: Setup,
        sampling: Sampling,
        segments: Sequence[Segment],
        *,
        staged: Pending | None,
        key: str,
        trace: Callable[[], Trace],
    ) -> None:
        self._setup = setup
        self._sampling = sampling
        self._key = key
        self._trace = trace
        self.budget = Budget(setup.limits, setup.backend.max_context)
        exact = setup.backend.capabilities.exact
        self.context = Context(setup.backend.tokenizer, setup.format, self.budget, exact=exact)
        triggers = setup.hints.triggers if setup.hints else ()
        self.context.load(segments, triggers)
        self.budget.check_prompt()
        self.kernel = setup.kept or (
            LazyKernel(setup.interpreter, setup.tools, setup.files) if setup.interpreter else None
        )
        runs_code = self.kernel is not None
        self._hinter = Hinter(self.context, setup.hints, runs_code=runs_code, staged=staged)
        self._conclusion = Conclusion(setup.conclude, self.context, setup.format)
        self._continues = setup.backend.capabilities.can_continue
        self.timing = Timing(setup.clock)
        self.finish: Finish | None = None
        self._late = False
        self._moved_at = 0
        self._last = Chunk()
        self._watch: LoopWatch | None = None

    def steer(self, text: str) -> None:
        """Queues a text to be inserted as soon as no block or formula is open.

        Raises:
            ConfigError: the backend cannot continue a thought.
        """
        if not self._continues:
            model = self._setup.backend.capabilities.model
            raise ConfigError(f"{model}: its thoughts cannot be continued, so nothing is inserted")
        self._hinter.add(text)
        if self._watch:
            self._watch.steered = True

    async def events(self) -> AsyncGenerator[Event, None]:
        context = self.context
        if self.kernel and not self._setup.kept:
            context.segments[:] = await self.kernel.replay(context.segments)
        if self.kernel and context.pending_code:  # a trace resumed right after a block
            await self._call(context.pending_code)
        await self._hinter.insert_staged()
        shown = 0
        while True:
            await self._hinter.insert_pending()
            for segment in context.segments[shown:]:
                shown += 1
                yield segment
            if self.finish:
                return
            async with aclosing(self._generate()) as deltas:
                async for delta in deltas:
                    yield delta
            async with aclosing(self._react(self._last)) as deltas:
                async for delta in deltas:
                    yield delta
            if self.finish:
                context.flush()

    async def _generate(self) -> AsyncGenerator[Delta, None]:
        """Lets the model continue until it pauses; `_last` says why it paused."""
        context, backend = self.context, self._setup.backend
        thinking = context.phase == "thinking"
        reserves = thinking and self._continues  # else the answer comes in the same stream
        room = self.budget.room(thinking=reserves) - (0 if thinking else self._conclusion.kept())
        self._last = Chunk(reason="length")
        if room <= 0:
            return
        prefix, spliced = tuple(context.token_ids), context.take_spliced()
        self.budget.start()
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
            self.timing.generated(len(prefix), spliced, len(context.token_ids), chunk)

    def _watched(self) -> Watch:
        context, setup = self.context, self._setup
        if self._conclusion.given:
            return ConclusionWatch(setup.format, self._conclusion.text)
        self._watch = LoopWatch(
            context.reader,
            setup.format.languages if self.kernel else (),
            final_program=not setup.format.end_tag,
            repetition=context.repetition(setup.limits.max_repeats),
            begins=context.begins,
        )
        self._watch.steered = self._hinter.waiting
        return self._watch

    async def _next(self, chunks: AsyncGenerator[Chunk, None]) -> Chunk:
        left = self.budget.seconds_left(thinking=self.context.phase == "thinking")
        if left is not None and left <= 0:
            return self._out_of_time()
        limit = asyncio.timeout(left)
        try:
            with self.timing.model():
                if left is None:  # nearly always, and for each token
                    return await anext(chunks)
                async with limit:
                    return await anext(chunks)
        except TimeoutError as error:
            if limit.expired():
                return self._out_of_time()
            raise BackendError(f"the backend failed: {str(error) or 'TimeoutError'}") from error
        except Interrupted:  # another server continues what was delivered
            before, self._moved_at = self._moved_at, len(self.context.token_ids)
            if before == self._moved_at:  # two were lost at the same place
                raise
            self.context.abandon()
            return Chunk(reason="stop")
        except StopAsyncIteration:
            raise BackendError("the backend's last chunk has no `reason`") from None

    def _out_of_time(self) -> Chunk:
        self._late = True
        self.context.abandon()
        return Chunk(reason="length")

    async def _react(self, last: Chunk) -> AsyncGenerator[Delta, None]:
        """Decides what happens to withheld tokens, event by event, and what takes their place."""
        if last.reason == "length":
            self._limit("time" if self._late else "tokens")
        for i, stop in enumerate(last.stops):
            if not await self._accepts(stop, withheld=len(last.withheld_ids)):
                self.context.drop(last.stops[i:])
                return
            if stop.event and stop.event.kind in ("trigger", "answer") and stop.token_ids:
                self.context.sample(stop)
                yield Delta(stop.text, stop.token_ids, self.context.phase)

    async def _accepts(self, stop: Stop, withheld: int) -> bool:
        """Deals with an event; returns whether the tokens after it stay."""
        event = stop.event
        kind = event.kind if event else "eos"
        if self._conclusion.given and kind in ("block", "pause"):
            self.finish = "concluded"
            return False
        if event and kind == "block":
            await self._call(event.code)
            return False
        if event and kind == "pause":
            if event.text == "repeats":
                self._limit("repeats")
            return False
        if event and kind == "trigger":
            return not await self._hint("connective", event.text, withheld)
        return await self._ends(stop, withheld)

    async def _ends(self, stop: Stop, withheld: int) -> bool:
        """The thought or the text would end here, unless a hint or a conclusion follows."""
        context, event = self.context, stop.event
        within = event is not None and event.in_block
        trigger = event.text if event else ""
        if (
            context.phase == "thinking"
            and not within
            and await self._hint("end", trigger, withheld)
        ):
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
            self.finish = "eos"
        return True

    async def _call(self, code: str) -> None:
        """Runs a block that was just closed."""
        assert self.kernel
        if self.budget.calls_left() <= 0:
            notice = NO_CALLS.format(n=self._setup.limits.max_calls)
            self.context.splice_notice(self._setup.format.show_output(notice), "calls")
            return
        began = time.monotonic()
        left = self.budget.seconds_left(thinking=True)
        with self.timing.tool():
            call = await self.kernel.run(code, left)
        self._late = left is not None and time.monotonic() - began >= left
        await self.context.splice_output(call)
        await self._hint("output", "", 0)

    async def _hint(self, position: Position, trigger: str, withheld: int) -> bool:
        """Inserts a hint here if one is pending or the policy decides on one."""
        if self.budget.room(thinking=True) <= withheld:
            return False  # no tokens are left to answer a hint

        def observe() -> HintContext:
            calls_left = self.budget.calls_left(position) if self.kernel else 0
            return HintContext(self._trace(), position, trigger, self._sampling.seed, calls_left)

        return await self._hinter.insert(observe)

    def _limit(self, kind: Limit) -> None:
        """At a limit the thought ends, so that the model answers; else the run ends."""
        if self.context.phase == "thinking":
            if kind == "tokens" and self.budget.context_left() <= self.budget.reserve:
                kind = "context"
            if not (self._continues and self._conclusion.end_thinking(kind)):
                self.finish = "time" if self._late else "length"
        elif not self._late and self._conclusion.due(limited=True):
            self._conclusion.give()
        else:
            self.finish = "time" if self._late else "length"
