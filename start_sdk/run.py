"""One run of a session: the loop of thinking, calling and hinting (START: Hint-infer)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field
from typing import Literal

from start_sdk.cells import KernelSlot
from start_sdk.context import Context
from start_sdk.cost import Engagement, Meter
from start_sdk.dialect import FENCE_END, Dialect
from start_sdk.errors import BackendError, StartError
from start_sdk.limits import Ledger, Limits
from start_sdk.protocols import Backend, Chunk, HintPolicy, Interpreter, Moment, Sampling, Tool
from start_sdk.trace import Finish, HintRecord, Parent, Phase, Place, Segment, Trace

NO_CALLS = "No more code can be run: the limit of {n} calls is reached. Go on without code."
NO_ROOM = "(I have no {kind} left for thinking, so I give my answer now.)\n"


@dataclass(frozen=True, slots=True)
class Delta:
    """Tokens of the model, as they come. The finished `Segment` that holds them follows."""

    text: str
    token_ids: tuple[int, ...]
    phase: Phase


Event = Delta | Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the runs of a session share."""

    backend: Backend
    interpreter: Interpreter | None
    tools: tuple[Tool, ...]
    hints: HintPolicy | None
    dialect: Dialect
    limits: Limits
    kept: KernelSlot | None
    engagement: Engagement = field(default_factory=Engagement)

    def hash(self, sampling: Sampling) -> str:
        """Hash of all that shapes a run besides its prompt and its seed."""
        config = {
            "model": self.backend.capabilities.model,
            "sampling": sampling.model_dump(exclude={"seed"}),
            "limits": self.limits.model_dump(),
            "dialect": self.dialect.model_dump(),
            # A repr without one of its own holds an address, which says nothing.
            "hints": re.sub(r" at 0x\w+", "", repr(self.hints)),
            "interpreter": re.sub(r" at 0x\w+", "", repr(self.interpreter)),
        }
        if self.tools:  # not for all: hashes of older runs stay what they are
            config["tools"] = re.sub(r" at 0x\w+", "", repr(self.tools))
        text = json.dumps(config, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class Run:
    """One run: iterate over it for events; `trace` is what is there so far."""

    def __init__(
        self,
        setup: Setup,
        sampling: Sampling,
        segments: Sequence[Segment],
        parent: Parent | None = None,
    ) -> None:
        self._setup = setup
        self._sampling = sampling
        self._parent = parent
        self._ledger = Ledger(setup.limits, setup.backend.max_context)
        self._context = Context(setup.backend.tokenizer, setup.dialect, self._ledger)
        self._context.load(segments)
        self._ledger.check_prompt()
        self._slot = setup.kept or (
            KernelSlot(setup.interpreter, setup.tools) if setup.interpreter else None
        )
        self._key = uuid.uuid4().hex
        self._finish: Finish | None = None
        self._late = False
        self._last = Chunk()
        self._meter = Meter(setup.engagement)
        self._events = self._drive()

    def __aiter__(self) -> AsyncGenerator[Event, None]:
        return self._events

    async def aclose(self) -> None:
        """Stops the run; its trace stays, marked "cancelled" unless it had ended."""
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
            dropped=self._ledger.dropped,
            seconds={who: round(took, 4) for who, took in self._meter.seconds.items()},
            idle=round(self._meter.idle, 4),
            recomputed=self._meter.recomputed,
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
            await self._setup.backend.release(self._key)
            if self._slot and not kept:
                await self._slot.aclose()

    async def _loop(self) -> AsyncGenerator[Event, None]:
        if self._slot and not self._setup.kept:
            self._context.segments[:] = await self._slot.replay(self._context.segments)
        await self._call()  # a trace that is resumed right behind a block has a call to make
        shown = 0
        while True:
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
        """Lets the model go on until it pauses; why it paused is in `_last`."""
        context, backend = self._context, self._setup.backend
        room = self._ledger.room(thinking=context.phase == "thinking")
        self._last = Chunk(reason="length")
        if room <= 0:
            return
        prefix, spliced = tuple(context.token_ids), context.take_spliced()
        chunks = backend.generate(
            prefix, self._sampling, self._stops(), max_tokens=room, key=self._key
        )
        with self._setup.engagement.generating():
            async with aclosing(chunks):
                while True:
                    chunk = await self._next(chunks)
                    context.sample(chunk)
                    if chunk.token_ids:
                        yield Delta(chunk.text, chunk.token_ids, context.phase)
                    if chunk.reason:
                        break
        if not self._late:
            self._meter.generated(len(prefix), spliced, len(context.token_ids), chunk)
        self._last = chunk

    async def _next(self, chunks: AsyncGenerator[Chunk, None]) -> Chunk:
        left = self._ledger.seconds_left(thinking=self._context.phase == "thinking")
        try:
            with self._meter.model():
                return await asyncio.wait_for(anext(chunks), left)
        except TimeoutError:
            self._late = True
            return Chunk(reason="length")
        except StopAsyncIteration:
            raise BackendError("the backend's last chunk has no reason") from None

    def _stops(self) -> list[str]:
        if self._context.phase != "thinking":
            return []
        stops = list(self._setup.dialect.end_stops)
        if self._setup.interpreter:
            stops.append(FENCE_END)
        if self._setup.hints:
            stops += self._setup.hints.triggers
        return list(dict.fromkeys(stops))

    async def _react(self, last: Chunk) -> AsyncGenerator[Delta, None]:
        """Decides what becomes of a withheld match, and what is spliced in its place."""
        context, dialect = self._context, self._setup.dialect
        if last.reason == "length":
            self._limit()
        elif context.phase == "answer":
            context.end(last)
            self._finish = "eos"
        elif last.stop == FENCE_END:
            yield self._accept(last)
            await self._call()
        elif last.reason == "stop" and last.stop not in dialect.end_stops:
            yield self._accept(last)
            # Not inside a word: neither "Wait" of a token "Waiting" nor "Wait" behind a letter.
            before = context.thought.removesuffix(last.stop)[-1:]
            inside = before.isascii() and before.isalnum() and last.stop[:1].isalnum()
            if context.thought.endswith(last.stop) and not inside:
                self._hint("connective", last)
        elif not last.stop and self._code() is not None:
            # The model closed a block and ended at once: it wants to see the output.
            context.drop(last)
            await self._call()
        elif self._hint("end", last):
            pass
        elif last.stop:
            context.end_thinking(last)
            if not dialect.think:  # a marker is the beginning of the answer
                yield self._accept(last)
        else:
            context.end(last)
            self._finish = "eos"

    def _accept(self, last: Chunk) -> Delta:
        self._context.accept(last)
        return Delta(last.matched_text, last.matched_ids, self._context.phase)

    def _code(self) -> str | None:
        return self._setup.dialect.call(self._context.thought) if self._slot else None

    async def _call(self) -> None:
        """Runs the block that was just closed, if one was."""
        code = self._code()
        if code is None or self._slot is None:
            return
        if self._ledger.calls_left() <= 0:
            notice = NO_CALLS.format(n=self._setup.limits.max_calls)
            self._context.splice_notice(self._setup.dialect.show_output(notice), "calls")
            return
        began = time.monotonic()
        left = self._ledger.seconds_left(thinking=True)
        with self._meter.tool():
            call = await self._slot.run(code, left)
        self._late = left is not None and time.monotonic() - began >= left
        self._context.splice_output(call)

    def _hint(self, place: Place, last: Chunk) -> bool:
        """Asks the policy; splices its hint, in place of the withheld match at the end."""
        context, policy = self._context, self._setup.hints
        calls_left = self._ledger.calls_left() if self._slot else 0
        dialect = self._setup.dialect
        if policy is None or (self._slot and calls_left <= 0):
            return False
        if dialect.open_block(context.thought) or dialect.in_latex(context.thought):
            return False
        moment = Moment(self.trace, place, last.stop, self._sampling.seed, calls_left)
        hint = policy.decide(moment)
        if hint is None:
            return False
        record = HintRecord(
            id=hint.id,
            category=hint.category,
            domain=hint.domain,
            place=place,
            trigger=last.stop,
            round=len(moment.trace.hints) + 1,
        )
        if place == "connective":
            return context.splice_hint(hint.text, "connective", record)
        spliced = context.splice_hint(hint.opening + hint.text, "paragraph", record)
        if spliced:
            context.drop(last)
        return spliced

    def _limit(self) -> None:
        """At a limit: close an open block, say so, end the thought; or end the run."""
        context, dialect = self._context, self._setup.dialect
        if context.phase == "answer":
            self._finish = "time" if self._late else "length"
            return
        kind: Literal["tokens", "context", "time"] = "time" if self._late else "tokens"
        if not self._late and self._ledger.context_left() <= self._ledger.reserve:
            kind = "context"
        block = dialect.open_block(context.thought)
        if block:
            context.splice_notice("`" * block.ticks + "\n", kind)
        context.splice_notice(NO_ROOM.format(kind=kind), kind, join="paragraph")
        context.splice_notice(dialect.closing(), kind, ends_thinking=True)
