"""One run of a session, as its caller sees it: iterate over it, steer it, cancel it."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import aclosing, nullcontext, suppress
from typing import Any

from start_sdk._loop.hinter import Pending
from start_sdk._loop.loop import Event, Loop
from start_sdk._loop.setup import Setup
from start_sdk.errors import ConfigError, StartError
from start_sdk.generation import Sampling
from start_sdk.trace import Parent, Segment, Trace

log = logging.getLogger(__name__)


class Run:
    """One run: iterate over it for events; `trace` is the trace so far.

    A run that is left in the middle keeps its kernel and its place in the backend's cache until
    `aclose`, so close it: `async with aclosing(session.stream(...)) as run`.
    """

    def __init__(
        self,
        setup: Setup,
        sampling: Sampling,
        segments: Sequence[Segment],
        parent: Parent | None = None,
        staged: Pending | None = None,
        prompt: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        setup.check(sampling)
        self._setup = setup
        self._settings = setup.settings(sampling)
        self._seed = sampling.seed
        self._parent = parent
        self._prompt = tuple(map(dict, prompt))
        self._key = uuid.uuid4().hex
        self._loop = Loop(
            setup, sampling, segments, staged=staged, key=self._key, trace=lambda: self.trace
        )
        self._cancelled = False
        self._iterators = 0
        self._scope: asyncio.Timeout | None = None  # set while the next event is awaited
        self._ended = asyncio.Event()
        self.reader: asyncio.Task[Any] | None = None
        self._events = self._drive()

    def __aiter__(self) -> Events:
        return Events(self)

    def steer(self, text: str) -> None:
        """Inserts a text into the running thought, as soon as no block or formula is open in it.

        It is recorded like a hint (id "steer"). A thought that would end first continues with it.

        Raises:
            ConfigError: the text is empty, or the thought is over.
        """
        if not isinstance(text, str) or not text.strip():
            raise ConfigError("the text to steer with is empty")
        if not self.thinking:
            raise ConfigError("the thought is over: only a running thought can be steered")
        self._loop.steer(text)

    def cancel(self) -> None:
        """Stops the run, also in the middle of a cell: its events end, and its trace so far is kept
        with finish "cancelled". Call it in the run's event loop; a run that is over is unchanged.
        """
        self._cancelled = True
        if self._scope:
            self._scope.reschedule(asyncio.get_running_loop().time())

    @property
    def thinking(self) -> bool:
        """Whether the thought is still running, so that it can be steered."""
        ended = self._ended.is_set() or self._cancelled or self._loop.finish
        return not ended and self._loop.context.phase == "thinking"

    @property
    def abandoned(self) -> bool:
        """Whether it was begun and left: it is not over, and no iterator over it is left."""
        return not (self._iterators or self._scope or self._ended.is_set())

    async def aclose(self) -> None:
        """Stops the run; its trace is kept, with finish "cancelled" unless the run had ended."""
        self.cancel()
        if self._scope:  # another task awaits the next event
            await self._ended.wait()
        else:
            await self._events.aclose()

    @property
    def trace(self) -> Trace:
        """The trace so far, and the complete one once the events are exhausted."""
        capabilities, loop = self._setup.backend.capabilities, self._loop
        return Trace(
            segments=loop.context.snapshot(),
            finish=loop.finish or "cancelled",
            model=capabilities.model,
            seed=self._seed,
            settings=self._settings,
            exact=capabilities.exact,
            dropped=loop.budget.dropped,
            seconds={k: round(seconds, 4) for k, seconds in loop.timing.seconds.items()},
            idle=round(loop.timing.idle, 4),
            recomputed=loop.timing.recomputed,
            parent=self._parent,
            prompt=self._prompt,
        )

    async def _next(self) -> Event:
        """The next event.

        Raises:
            StopAsyncIteration: there is none, or the run was cancelled.
        """
        if self._cancelled:
            await self._events.aclose()
        limit, self.reader = asyncio.timeout(None), asyncio.current_task()
        try:
            async with limit:
                self._scope = limit
                return await anext(self._events)
        except TimeoutError:
            if not limit.expired():
                raise
            raise StopAsyncIteration from None
        finally:
            self._scope = None

    async def _drive(self) -> AsyncGenerator[Event, None]:
        kept = self._setup.kept
        try:
            turn = kept.turn(self) if kept else nullcontext()
            async with turn, aclosing(self._loop.events()) as events:
                async for event in events:
                    yield event
        except Exception as error:
            self._loop.finish = "error"
            if isinstance(error, StartError):
                error.trace = self.trace
            raise
        finally:
            try:
                await self._release()
            finally:
                self._ended.set()

    async def _release(self) -> None:
        """Frees what the run used. A failure costs no result: it is logged."""
        try:
            await _logged(self._setup.backend.release(self._key))
        finally:
            if (kernel := self._loop.kernel) and not self._setup.kept:
                await _logged(kernel.aclose())


class Events:
    """An iterator over a run's events."""

    def __init__(self, run: Run) -> None:
        self._run = run
        run._iterators += 1

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Event:
        return await self._run._next()

    async def aclose(self) -> None:
        """Stops the run."""
        await self._run.aclose()

    def __del__(self) -> None:
        self._run._iterators -= 1
        if kept := self._run._setup.kept:
            with suppress(RuntimeError):  # no event loop, so nobody waits for the kernel
                kept.let_go(self._run)


async def _logged(work: Awaitable[None]) -> None:
    try:
        await work
    except Exception:
        log.warning("a run could not free what it used", exc_info=True)
