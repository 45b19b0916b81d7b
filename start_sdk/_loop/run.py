"""One run of a session, as its caller sees it: iterate over it, steer it, cancel it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from start_sdk._loop.drive import Drive
from start_sdk._loop.hinter import Pending
from start_sdk._loop.loop import Event
from start_sdk._loop.setup import Setup
from start_sdk.errors import ConfigError
from start_sdk.generation import Sampling
from start_sdk.trace import Parent, Segment, Trace


class Run:
    """One run: iterate over it for events; `trace` is the trace so far.

    Leaving the loop over it does not end it, since it can be iterated over again. It ends with
    `aclose`, at the end of an `async with` block, and when nothing refers to it any more.
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
        self._kept = setup.kept
        self._drive = Drive(setup, sampling, segments, parent, staged, prompt)

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
        self._drive.loop.steer(text)

    def cancel(self) -> None:
        """Stops the run, also in the middle of a cell: its events end, and its trace so far is kept
        with finish "cancelled". May be called from any thread; a run that is over is unchanged.
        """
        self._drive.cancel()

    @property
    def thinking(self) -> bool:
        """Whether the thought is still running, so that it can be steered."""
        return not self._drive.over and self._drive.loop.context.phase == "thinking"

    @property
    def trace(self) -> Trace:
        """The trace so far, and the complete one once the events are exhausted."""
        return self._drive.trace

    async def aclose(self) -> None:
        """Stops the run; its trace is kept, with finish "cancelled" unless the run had ended."""
        await self._drive.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if drive := getattr(self, "_drive", None):  # none if it could not be made
            drive.drop()


class Events:
    """An iterator over a run's events."""

    def __init__(self, run: Run) -> None:
        self._run = run
        run._drive.iterators += 1

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Event:
        return await self._run._drive.next()

    async def aclose(self) -> None:
        """Stops the run."""
        await self._run.aclose()

    def __del__(self) -> None:
        run = self._run
        run._drive.iterators -= 1
        if run._kept:
            run._kept.let_go(run._drive)
