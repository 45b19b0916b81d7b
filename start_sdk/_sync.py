"""Blocking API of the SDK, for scripts and notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from start_sdk.protocols import Backend, Hint, Message
from start_sdk.session import Event, Limits, ReasoningSession, Run
from start_sdk.trace import InsertionPoint, Trace

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal


class SyncSession:
    """A `ReasoningSession` with blocking calls; its event loop runs in a separate thread.

        session = SyncSession("start-tiny", interpreter="python")
        print(session.run("Find the product of 34 and 57.").answer)

    Works where an event loop is already running (notebooks). It takes the same arguments as
    `ReasoningSession`. `close()` ends its thread and closes what the session opened by name. So do
    the end of a `with` block and the end of the program.
    """

    def __init__(self, model: Backend | str, **options: Any) -> None:
        from anyio.from_thread import start_blocking_portal  # takes 50 ms, so only on use

        self._stack = ExitStack()
        self._portal = self._stack.enter_context(start_blocking_portal("asyncio"))
        try:
            self._session = ReasoningSession(model, **options)
        except BaseException:
            self._stack.close()
            raise
        self._stack.callback(self._portal.call, self._session.aclose)

    @property
    def limits(self) -> Limits:
        """See `ReasoningSession.limits`."""
        return self._session.limits

    def close(self) -> None:
        """Closes the session. Idempotent."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, prompt: str | Sequence[Message], *, seed: int | None = None) -> Trace:
        """See `ReasoningSession.run`."""
        return self._portal.call(lambda: self._session.run(prompt, seed=seed))

    def run_many(
        self,
        prompts: Sequence[str | Sequence[Message]],
        *,
        n: int = 1,
        max_concurrency: int = 32,
        seed: int | None = None,
    ) -> list[Trace]:
        """See `ReasoningSession.run_many`."""
        return self._portal.call(
            lambda: self._session.run_many(prompts, n=n, max_concurrency=max_concurrency, seed=seed)
        )

    def resume(self, trace: Trace, at: int, *, seed: int | None = None) -> Trace:
        """See `ReasoningSession.resume`."""
        return self._portal.call(lambda: self._session.resume(trace, at, seed=seed))

    def resume_hinted(
        self, trace: Trace, point: InsertionPoint, hint: Hint, *, seed: int | None = None
    ) -> Trace:
        """See `ReasoningSession.resume_hinted`."""
        return self._portal.call(lambda: self._session.resume_hinted(trace, point, hint, seed=seed))

    def steer(self, text: str) -> None:
        """See `ReasoningSession.steer`; may be called from any thread, also during a `run`."""
        self._portal.call(self._session.steer, text)

    def stream_from(self, trace: Trace, at: int, *, seed: int | None = None) -> SyncRun:
        """See `ReasoningSession.stream_from`."""
        return SyncRun(self._portal, self._session.stream_from(trace, at, seed=seed))

    def stream(self, prompt: str | Sequence[Message], *, seed: int | None = None) -> SyncRun:
        """See `ReasoningSession.stream`."""
        return SyncRun(self._portal, self._session.stream(prompt, seed=seed))


class SyncRun:
    """A `Run` as a plain iterator; `trace` is the trace so far."""

    def __init__(self, portal: BlockingPortal, run: Run) -> None:
        self._portal = portal
        self._run = run

    @property
    def trace(self) -> Trace:
        return self._run.trace

    def steer(self, text: str) -> None:
        """See `Run.steer`; may be called from any thread."""
        self._portal.call(self._run.steer, text)

    def cancel(self) -> None:
        """See `Run.cancel`; may be called from any thread."""
        self._portal.call(self._run.cancel)

    def __iter__(self) -> Iterator[Event]:
        events = aiter(self._run)
        try:
            while (event := self._portal.call(anext, events, None)) is not None:
                yield event
        finally:
            self._portal.call(self._run.aclose)
