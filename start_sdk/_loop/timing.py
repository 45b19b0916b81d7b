"""Timing of a run: seconds in model and tool, engine idle time, recomputed tokens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from start_sdk.generation import Chunk


class EngineClock:
    """Measures the time in which no run of a session is generating."""

    def __init__(self) -> None:
        self._generating = 0
        self._idle = 0.0
        self._since = time.monotonic()

    @property
    def idle(self) -> float:
        """Idle seconds so far."""
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
    """Measures one run.

    Attributes:
        seconds: wall-clock seconds spent in "model" and "tool".
        idle: of the tool's seconds, those in which the engine was idle for this session.
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
        """Times a wait for the model."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds["model"] += time.monotonic() - began

    @contextmanager
    def tool(self) -> Iterator[None]:
        """Times a wait for a cell."""
        began, idle = time.monotonic(), self._clock.idle
        try:
            yield
        finally:
            self.seconds["tool"] += time.monotonic() - began
            self.idle += self._clock.idle - idle

    def generated(self, prefix: int, spliced: int, end: int, last: Chunk) -> None:
        """Records a finished generation.

        Args:
            prefix: number of tokens that it continued.
            spliced: how many of them were spliced in since the previous generation.
            end: number of tokens after it, without the withheld ones.
            last: its last chunk.
        """
        if self._computed is not None and self.recomputed is not None:
            # The engine has no cache row for the last sampled token: it has not read it yet.
            known = min(self._computed, prefix - spliced)
            if last.cached is None:
                self.recomputed = None
            else:
                self.recomputed += (max(0, known - last.cached),)
        self._computed = end + len(last.withheld_ids) - 1
