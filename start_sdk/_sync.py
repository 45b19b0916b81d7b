"""Blocking API of the SDK, for scripts and notebooks."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import suppress
from typing import Any, Self, TypeVar

from start_sdk._loop.kernel import READER
from start_sdk.errors import ConfigError
from start_sdk.formats import ReasoningFormat
from start_sdk.protocols import Backend, Hint, Message, Tokenizer
from start_sdk.session import Event, Limits, ReasoningSession, Run
from start_sdk.trace import InsertionPoint, Trace

T = TypeVar("T")

INTERRUPT_SECONDS = 10.0
"""How long an interrupted call waits until its run has ended."""


class _Loop:
    """An event loop in a thread of its own, which ends with the program."""

    def __init__(self) -> None:
        self._loop = loop = asyncio.new_event_loop()

        def run() -> None:  # without a reference to this object, so that it can be dropped
            asyncio.set_event_loop(loop)
            loop.run_forever()
            for task in (tasks := asyncio.all_tasks(loop)):
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.close()

        self._thread = threading.Thread(target=run, name="start-sdk", daemon=True)
        self._thread.start()
        # A session that is dropped ends its thread; at the end of the program Python ends it.
        self._end = weakref.finalize(self, loop.call_soon_threadsafe, loop.stop)
        self._end.atexit = False

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine. An interrupt of this thread cancels it, and waits until it has ended.

        Raises:
            ConfigError: the loop was closed, or this is its own thread.
        """
        problem = ""
        if not self._end.alive:
            problem = "the session is closed"
        elif threading.current_thread() is self._thread:
            problem = "a blocking session cannot be called from inside its own run"
        if problem:
            work.close()
            raise ConfigError(problem)
        ended, tasks = threading.Event(), list[asyncio.Task[T]]()

        def start() -> None:
            tasks.append(self._loop.create_task(work))
            tasks[0].add_done_callback(lambda _: ended.set())

        token = READER.set(threading.get_ident())
        try:
            self._loop.call_soon_threadsafe(start)
        finally:
            READER.reset(token)
        try:
            ended.wait()
        except BaseException:
            self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])
            ended.wait(INTERRUPT_SECONDS)
            raise
        if tasks[0].cancelled():
            raise ConfigError("the session was closed during this call")
        return tasks[0].result()

    def close(self) -> None:
        """Ends the thread. Idempotent."""
        if self._end.alive:
            self._end()
            self._thread.join()


class SyncSession:
    """A `ReasoningSession` with blocking calls; its event loop runs in a separate thread.

        session = SyncSession("start-tiny", interpreter="python")
        print(session.run("Find the product of 34 and 57.").answer)

    Works where an event loop is already running (notebooks). It takes the same arguments as
    `ReasoningSession`. `close()`, or the end of a `with` block, ends its thread and closes what the
    session opened by name; a program that just ends needs neither.

    Raises:
        ConfigError: an argument cannot be used; also by all methods once the session is closed.
    """

    def __init__(self, model: Backend | str, **options: Any) -> None:
        self._session = ReasoningSession(model, **options)
        self._loop = _Loop()

    @property
    def tokenizer(self) -> Tokenizer:
        """See `ReasoningSession.tokenizer`."""
        return self._session.tokenizer

    @property
    def format(self) -> ReasoningFormat:
        """See `ReasoningSession.format`."""
        return self._session.format

    @property
    def limits(self) -> Limits:
        """See `ReasoningSession.limits`."""
        return self._session.limits

    def close(self) -> None:
        """Closes the session. Idempotent."""
        with suppress(ConfigError):  # it is closed
            self._loop.call(self._session.aclose())
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, prompt: str | Sequence[Message], *, seed: int | None = None) -> Trace:
        """See `ReasoningSession.run`."""
        return self._loop.call(self._session.run(prompt, seed=seed))

    def run_many(
        self,
        prompts: Sequence[str | Sequence[Message]],
        *,
        n: int = 1,
        max_concurrency: int = 32,
        seed: int | None = None,
    ) -> list[Trace]:
        """See `ReasoningSession.run_many`."""
        return self._loop.call(
            self._session.run_many(prompts, n=n, max_concurrency=max_concurrency, seed=seed)
        )

    def resume(self, trace: Trace, at: int, *, seed: int | None = None) -> Trace:
        """See `ReasoningSession.resume`."""
        return self._loop.call(self._session.resume(trace, at, seed=seed))

    def resume_hinted(
        self, trace: Trace, point: InsertionPoint, hint: Hint, *, seed: int | None = None
    ) -> Trace:
        """See `ReasoningSession.resume_hinted`."""
        return self._loop.call(self._session.resume_hinted(trace, point, hint, seed=seed))

    def steer(self, text: str) -> None:
        """See `ReasoningSession.steer`; may be called from any thread, also during a `run`."""

        async def steer() -> None:
            self._session.steer(text)

        self._loop.call(steer())

    def stream(self, prompt: str | Sequence[Message], *, seed: int | None = None) -> SyncRun:
        """See `ReasoningSession.stream`."""
        return SyncRun(self._loop, self._session.stream(prompt, seed=seed))

    def stream_from(self, trace: Trace, at: int, *, seed: int | None = None) -> SyncRun:
        """See `ReasoningSession.stream_from`."""
        return SyncRun(self._loop, self._session.stream_from(trace, at, seed=seed))


class SyncRun:
    """A `Run` as a plain iterator, which ends with the loop over it."""

    def __init__(self, loop: _Loop, run: Run) -> None:
        self._loop = loop
        self._run = run

    @property
    def trace(self) -> Trace:
        """See `Run.trace`."""
        return self._run.trace

    def steer(self, text: str) -> None:
        """See `Run.steer`; may be called from any thread."""

        async def steer() -> None:
            self._run.steer(text)

        self._loop.call(steer())

    def cancel(self) -> None:
        """See `Run.cancel`; may be called from any thread."""
        self._run.cancel()

    def close(self) -> None:
        """See `Run.aclose`."""
        with suppress(ConfigError):  # its session is closed, and with it the run
            self._loop.call(self._run.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Event]:
        events = aiter(self._run)

        async def following() -> Event | None:
            return await anext(events, None)

        try:
            while (event := self._loop.call(following())) is not None:
                yield event
        finally:
            self.close()
