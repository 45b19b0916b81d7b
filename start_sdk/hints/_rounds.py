"""Sequential test-time scaling: continues a finished thought, round by round (START, figure 5).

async for trace in think_in_rounds(session, "...", round_hints(3), stop_when=stable(2)):
    print(trace.answer)
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol

from start_sdk.errors import ConfigError, HintRefused
from start_sdk.formats import ReasoningFormat
from start_sdk.hints._insertion_points import find_insertion_points
from start_sdk.hints._library import HintLibrary
from start_sdk.hints._policies import ROUNDS
from start_sdk.protocols import Hint, Message, Tokenizer
from start_sdk.trace import InsertionPoint, Trace

StopWhen = Callable[[Sequence[Trace]], bool]
"""Receives the traces so far, oldest first; returns True to stop."""


class Session(Protocol):
    """The part of a `ReasoningSession` that rounds use; avoids a circular import."""

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def format(self) -> ReasoningFormat: ...

    async def run(self, prompt: str | Sequence[Message], *, seed: int | None = None) -> Trace: ...

    async def resume_hinted(
        self, trace: Trace, point: InsertionPoint, hint: Hint, *, seed: int | None = None
    ) -> Trace: ...


def round_hints(rounds: int, library: HintLibrary | None = None) -> list[Hint]:
    """Returns the paper's texts for three rounds, ours for three more, then the last one again.

    Raises:
        ConfigError: rounds < 1.
    """
    if rounds < 1:
        raise ConfigError(f"rounds={rounds}: must be at least 1")
    library = library or HintLibrary.load()
    return [library.get(ROUNDS[min(i, len(ROUNDS) - 1)]) for i in range(rounds)]


async def think_in_rounds(
    session: Session,
    prompt: str | Sequence[Message] | Trace,
    hints: Sequence[Hint],
    *,
    seed: int | None = None,
    stop_when: StopWhen | None = None,
) -> AsyncGenerator[Trace, None]:
    """Thinks to the end, then once more for each hint; yields the finished trace of each round.

    A round takes the previous trace, replaces its end of thinking and its answer with the hint, and
    continues (`Trace.parent` says from where). So each round has its own answer, and everything
    before it is the same in all rounds. It stops early if a limit ended a thought, since then there
    is no room for another round.

    Args:
        session: runs the rounds; if it has a policy, that applies in every round as well.
        prompt: a prompt for `ReasoningSession.run`, or a finished trace, which becomes round 0.
        hints: one per round, e.g. `round_hints(3)`.
        seed: seed of all rounds; by default the session's, or the trace's if one is passed.
        stop_when: called after each round, e.g. `stable(2)` or `spent(4000)`.

    Raises:
        StartError: as `ReasoningSession.run` does; earlier rounds have been yielded already.
    """
    first = prompt if isinstance(prompt, Trace) else await session.run(prompt, seed=seed)
    traces = [first]
    yield traces[0]
    for hint in hints:
        last = traces[-1]
        points = find_insertion_points(last, session.tokenizer, session.format)
        if not points or points[-1].position != "end" or (stop_when and stop_when(traces)):
            return
        try:
            trace = await session.resume_hinted(last, points[-1], hint, seed=seed)
        except HintRefused:  # no room or no calls are left for another round
            return
        traces.append(trace)
        yield trace


def stable(rounds: int) -> StopWhen:
    """Stops when the last `rounds` answers are identical."""

    def stop(traces: Sequence[Trace]) -> bool:
        last = [trace.answer for trace in traces[-rounds:]]
        return len(last) == rounds and last[0] is not None and len(set(last)) == 1

    return stop


def spent(tokens: int) -> StopWhen:
    """Stops when the model has sampled `tokens` tokens in all rounds together."""
    return lambda traces: sum(map(sampled, traces)) >= tokens


def sampled(trace: Trace) -> int:
    """Returns the tokens that the model sampled for this trace, not counting its parent's."""
    kept = trace.parent.at if trace.parent else 0
    return trace.dropped + sum(
        len(s.token_ids)
        for start, s in zip(trace.starts, trace.segments, strict=True)
        if s.source == "model" and start >= kept
    )
