"""One budget for everything a run may spend: tokens by source, calls and wall-clock time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import ConfigDict, Field

from start_sdk.errors import PromptError
from start_sdk.trace import Position, Segment, Source
from start_sdk.values import Settings

Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]


class Limits(Settings):
    """What a run may spend.

    At a limit the session closes an open block, states what happened and ends the thought, so
    that the model still answers. Token counts are per run. None of them can exceed the model's
    context; `ReasoningSession.limits` shows what applies.

    Args:
        max_tokens: tokens sampled by the model, its answer included (the paper's generation limit).
        max_hint_tokens: tokens of all hints together.
        max_output_tokens: tokens of all outputs together; an output that does not fit is cut in the
            middle.
        max_calls: cells that are run (START allows 6 per inference). With several rounds of hints
            it counts anew from the second round on.
        max_seconds: wall-clock time of a run, counted from the first token that is requested; the
            thought gets nine tenths of it, to leave time for an answer. None sets no limit.
        max_repeats: ends a thought that repeats the same tokens this many times in a row, which
            small models do until their context is full; None never does.
        answer_reserve: tokens reserved for the answer; at most a quarter of the model's context.

    Raises:
        ConfigError: a value is out of range, or a name is unknown.
    """

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    max_tokens: Positive = 32_768
    max_hint_tokens: Count = 4_096
    max_output_tokens: Count = 16_384
    max_calls: Count = 6
    max_seconds: Annotated[float, Field(gt=0)] | None = None
    max_repeats: Annotated[int, Field(ge=2)] | None = 8
    answer_reserve: Positive = 1_024

    def within(self, max_context: int) -> Limits:
        """The limits that apply to a model with a context of `max_context` tokens."""
        reserve = min(self.answer_reserve, max_context // 4, self.max_tokens // 2 or 1)
        capped = {
            name: min(getattr(self, name), max_context)
            for name in ("max_tokens", "max_hint_tokens", "max_output_tokens")
        }
        return self.model_copy(update={**capped, "answer_reserve": reserve})


class Budget:
    """Tracks what a run has spent against its limits and the model's context.

    Args:
        limits: those that apply to the model (`Limits.within`).
        max_context: the model's, in tokens.
        clock: returns seconds.
    """

    def __init__(
        self, limits: Limits, max_context: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limits = limits
        self.max_context = max_context
        self.reserve = limits.answer_reserve
        self.dropped = 0
        self.calls = 0
        self._rounds = 0
        self._spent: dict[Source, int] = {}
        self._clock = clock
        self._start: float | None = None

    def start(self) -> None:
        """The first token is requested: from here on time counts."""
        if self._start is None:
            self._start = self._clock()

    def add(self, segments: Sequence[Segment]) -> None:
        for s in segments:
            self.spend(s.source, len(s.token_ids))
            self.calls += s.call is not None
            if s.hint and s.hint.position == "end":
                self.calls = self.calls_before("end")
                self._rounds += 1

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

    def calls_before(self, position: Position) -> int:
        """The calls that count when a hint is inserted: the second one at an end begins a round."""
        return 0 if position == "end" and self._rounds else self.calls

    def calls_left(self, position: Position = "output") -> int:
        """Cells that may be run, or that may be run after a hint at this position."""
        calls = self.calls_before(position)
        return self.limits.max_calls - calls if self.splice_room("tool") else 0

    def seconds_left(self, *, thinking: bool) -> float | None:
        """Seconds until the thought (or the whole run) must end; None without a limit."""
        if self.limits.max_seconds is None:
            return None
        share = 0.9 if thinking else 1.0
        spent = 0.0 if self._start is None else self._clock() - self._start
        return self.limits.max_seconds * share - spent
