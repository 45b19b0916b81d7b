"""One budget for everything a run may spend: tokens by source, calls and wall-clock time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import Field

from start_sdk.errors import PromptError
from start_sdk.trace import Segment, Settings, Source

Positive = Annotated[int, Field(gt=0)]


class Limits(Settings):
    """What a run may spend.

    At a limit the session closes an open block, states what happened and ends the thought, so
    that the model still answers. Token counts are per run; the model's context limit also applies.
    """

    max_tokens: Positive = 32_768
    """Tokens sampled by the model, its answer included (the paper's generation limit)."""
    max_hint_tokens: Annotated[int, Field(ge=0)] = 4_096
    max_output_tokens: Annotated[int, Field(ge=0)] = 16_384
    """Tokens of all outputs together; an output that does not fit is cut in the middle."""
    max_calls: Annotated[int, Field(ge=0)] = 6
    """Number of cells that are run (START allows 6 per inference)."""
    max_seconds: Annotated[float, Field(gt=0)] | None = None
    """Wall-clock time of a run; the thought gets nine tenths of it, to leave time for an answer."""
    max_repeats: Annotated[int, Field(ge=2)] | None = None
    """Ends a thought that repeats the same words this many times in a row; None never does."""
    answer_reserve: Positive = 1_024
    """Tokens reserved for the answer; at most a quarter of the model's context."""


class Budget:
    """Tracks what a run has spent against its limits and the model's context."""

    def __init__(
        self, limits: Limits, max_context: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limits = limits
        self.max_context = max_context
        self.reserve = min(limits.answer_reserve, max_context // 4, limits.max_tokens // 2 or 1)
        self.dropped = 0
        self.calls = 0
        self._spent: dict[Source, int] = {}
        self._clock = clock
        self._start = clock()

    def add(self, segments: Sequence[Segment]) -> None:
        for s in segments:
            self.spend(s.source, len(s.token_ids))
            self.calls += s.call is not None

    def spend(self, source: Source, tokens: int) -> None:
        self._spent[source] = self._spent.get(source, 0) + tokens

    def spent(self, source: Source) -> int:
        return self._spent.get(source, 0)

    def check_prompt(self) -> None:
        """Raises PromptError if the context has no room for a thought and an answer."""
        prompt, room = self.spent("prompt"), self.max_context - 2 * self.reserve
        if prompt > room:
            raise PromptError(
                f"the prompt has {prompt} tokens; the model's context is {self.max_context}, of "
                f"which {2 * self.reserve} are reserved for thought and answer: shorten the prompt"
            )

    def context_left(self) -> int:
        return self.max_context - sum(self._spent.values())

    def room(self, *, thinking: bool) -> int:
        """Tokens that the model may still sample. Dropped tokens count as sampled."""
        kept = self.reserve if thinking else 0
        model = self.limits.max_tokens - self.spent("model") - self.dropped
        return max(0, min(model, self.context_left()) - kept)

    def splice_room(self, source: Source) -> int:
        """Tokens that a hint or an output may still have."""
        limits = self.limits
        cap = limits.max_hint_tokens if source == "hint" else limits.max_output_tokens
        left = self.context_left() - self.reserve - (source == "hint")  # room to answer a hint
        return max(0, min(cap - self.spent(source), left))

    def calls_left(self) -> int:
        return self.limits.max_calls - self.calls if self.splice_room("tool") else 0

    def seconds_left(self, *, thinking: bool) -> float | None:
        """Seconds until the thought (or the whole run) must end; None without a limit."""
        if self.limits.max_seconds is None:
            return None
        share = 0.9 if thinking else 1.0
        return self.limits.max_seconds * share - (self._clock() - self._start)
