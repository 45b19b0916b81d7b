"""What drives a run and ends it.

The caller holds a `Run`, to which this has no reference: so a run that is dropped is noticed at
once, and closed in order.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from start_sdk._loop.hinter import Pending
from start_sdk._loop.kernel import who_reads
from start_sdk._loop.loop import Event, Loop
from start_sdk._loop.setup import Setup
from start_sdk.errors import ConfigError
from start_sdk.generation import Sampling
from start_sdk.trace import Parent, Segment, Trace

RELEASE_SECONDS = 30.0
"""How long a run waits for a kernel or a backend that does not let go."""
log = logging.getLogger(__name__)


class Drive:
    """Drives a run: one event at a time, until it ends, is cancelled or is closed.

    Args:
        setup: of the session.
        sampling: of this run.
        segments: a prompt, or the start of an earlier trace.
        parent: the trace that this one continues.
        staged: a hint to insert first.
        prompt: the messages that the prompt was rendered from.

    Attributes:
        loop: the loop of thinking, calling and hinting.
        iterators: how many iterators over the run exist.
        reader: who last asked for an event.
    """

    def __init__(
        self,
        setup: Setup,
        sampling: Sampling,
        segments: Sequence[Segment],
        parent: Parent | None,
        staged: Pending | None,
        prompt: Sequence[Mapping[str, Any]],
    ) -> None:
        self._setup = setup
        self._settings = setup.settings(sampling)
        self._seed = sampling.seed
        self._parent = parent
        self._prompt = tuple(map(dict, prompt))
        self._key = uuid.uuid4().hex
        self.loop = Loop(
            setup, sampling, segments, staged=staged, key=self._key, trace=lambda: self.trace
        )
        self.iterators = 0
        self.reader: object = None
        self._cancelled = False
        self._scope: asyncio.Timeout | None = None  # set while the next event is awaited
        self._home: asyncio.AbstractEventLoop | None = None
        self._closing = False
        self._ended = asyncio.Event()
        self._events = self._drive()

    @property
    def over(self) -> bool:
        """Whether it ended, or is about to."""
        return self._ended.is_set() or self._cancelled or self.loop.finish is not None

    @property
    def abandoned(self) -> bool:
        """Whether it was begun and left: it is not over, and no iterator over it is left."""
        begun = self._home is not None and not self._ended.is_set()
        return begun and not (self.iterators or self._scope or self._closing)

    @property
    def trace(self) -> Trace:
        """The trace so far."""
        capabilities, loop = self._setup.backend.capabilities, self.loop
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

    async def next(self) -> Event:
        """The next event.

        Raises:
            StopAsyncIteration: there is none, or the run was cancelled.
            ConfigError: another task is waiting for it.
        """
        if self._scope:
            raise ConfigError("another task is reading this run: a run has one reader at a time")
        if self._cancelled:
            await self.aclose()
            raise StopAsyncIteration
        limit = self._scope = asyncio.timeout(None)
        self._home, self.reader = asyncio.get_running_loop(), who_reads()
        try:
            async with limit:
                return await anext(self._events)
        except TimeoutError:
            if not limit.expired():
                raise
            raise StopAsyncIteration from None
        finally:
            self._scope = None

    def cancel(self) -> None:
        """Stops it: what is awaited now is cancelled."""
        self._cancelled = True
        if self._scope and self._home:
            self._home.call_soon_threadsafe(self._interrupt)

    def _interrupt(self) -> None:
        if self._scope:
            self._scope.reschedule(asyncio.get_running_loop().time())

    async def aclose(self) -> None:
        """Stops it and waits until it has freed what it used."""
        self.cancel()
        if self._ended.is_set():
            return
        if self._scope or self._closing:  # another task awaits the next event, or closes it
            await self._ended.wait()
            return
        self._closing = True
        try:
            await self._events.aclose()
        finally:
            self._ended.set()  # also if it had not begun

    def drop(self) -> None:
        """Nobody can read it any more: closes it in its own event loop, if that still runs."""
        home = self._home
        if home and not self._ended.is_set() and home.is_running():
            with suppress(RuntimeError):  # it was closed meanwhile
                home.call_soon_threadsafe(lambda: _keep(home.create_task(self.aclose())))

    async def _drive(self) -> AsyncGenerator[Event, None]:
        kept = self._setup.kept
        try:
            if kept:
                await kept.take_turn(self)
            events = self.loop.events()
            try:
                async for event in events:
                    yield event
            finally:
                with suppress(RuntimeError):  # an event loop that ends closes it, too
                    await events.aclose()
        except Exception as error:
            self.loop.finish = "error"
            with suppress(AttributeError):  # an error of others' code may take no attributes
                error.trace = self.trace  # type: ignore[attr-defined]
            raise
        finally:
            try:
                await self._release()
            finally:
                self._ended.set()

    async def _release(self) -> None:
        """Frees what the run used. A failure costs no result: it is logged."""
        kernel, kept = self.loop.kernel, self._setup.kept
        try:
            await _logged(self._setup.backend.release(self._key))
        finally:
            if kept:
                kept.end_turn(self)
            elif kernel:
                await _logged(kernel.aclose())


async def _logged(work: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(RELEASE_SECONDS):
            await work
    except Exception as error:
        log.warning("a run could not free what it used: %s", str(error) or type(error).__name__)


_tasks: set[asyncio.Task[None]] = set()


def _keep(task: asyncio.Task[None]) -> None:
    """Holds a task until it is done: event loops hold them weakly."""
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
