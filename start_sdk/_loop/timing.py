"""What a run costs: seconds by who worked, how long the engine stood still, what was read again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from start_sdk.protocols import Chunk


class EngineClock:
    """A clock that runs while no run of a session has its backend generate."""

    def __init__(self) -> None:
        self._generating = 0
        self._idle = 0.0
        self._since = time.monotonic()

    @property
    def idle(self) -> float:
        """Seconds so far."""
        return self._idle + (0.0 if self._generating else time.monotonic() - self._since)

    @contextmanager
    def generating(self) -> Iterator[None]:
        self._idle = self.idle
        self._generating += 1
        try:
            yield
        finally:
            self._generating -= 1
            if not self._generating:
                self._since = time.monotonic()


class Timing:
    """Counts the cost of one run.

    Attributes:
        seconds: of wall clock, by who worked: model and tool.
        idle: of the tool's seconds, those in which the engine had nothing to do for this session.
        recomputed: see `Trace.recomputed`.
    """

    def __init__(self, clock: EngineClock) -> None:
        self.seconds = {"model": 0.0, "tool": 0.0}
        self.idle = 0.0
        self.recomputed: tuple[int, ...] | None = ()
        self._clock = clock
        self._computed: int | None = None

    @contextmanager
    def model(self) -> Iterator[None]:
        """The run waits for the model."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds["model"] += time.monotonic() - began

    @contextmanager
    def tool(self) -> Iterator[None]:
        """The run waits for a cell."""
        began, idle = time.monotonic(), self._clock.idle
        try:
            yield
        finally:
            self.seconds["tool"] += time.monotonic() - began
            self.idle += self._clock.idle - idle

    def generated(self, prefix: int, spliced: int, end: int, last: Chunk) -> None:
        """A generation is over.

        Args:
            prefix: tokens that it continued.
            spliced: how many of them were put in since the generation before.
            end: tokens with what was sampled, without what was withheld.
            last: its last chunk.
        """
        if self._computed is not None and self.recomputed is not None:
            # Of the last token that was sampled the engine has no cache row: nobody read it yet.
            known = min(self._computed, prefix - spliced)
            if last.cached is None:
                self.recomputed = None
            else:
                self.recomputed += (max(0, known - last.cached),)
        self._computed = end + len(last.matched_ids) - 1
