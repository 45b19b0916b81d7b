"""Sequential test-time scaling: a thought that has ended goes on, round by round (START, figure 5).

async for trace in think_in_rounds(session, "...", round_hints(3), stop_when=stable(2)):
    print(trace.answer)
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol

from start_sdk.errors import ConfigError
from start_sdk.formats import ReasoningFormat
from start_sdk.hints._insertion_points import find_insertion_points
from start_sdk.hints._library import HintLibrary
from start_sdk.hints._policies import ROUNDS
from start_sdk.protocols import Hint, Message, Tokenizer
from start_sdk.trace import InsertionPoint, Trace

StopWhen = Callable[[Sequence[Trace]], bool]
"""Told the traces so far, oldest first; True ends it."""


class Session(Protocol):
    """The part of a `ReasoningSession` that rounds use: sessions import hints, not the reverse."""

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def format(self) -> ReasoningFormat: ...

    async def run(self, prompt: str | Sequence[Message], *, seed: int | None = None) -> Trace: ...

    async def resume_hinted(
        self, trace: Trace, point: InsertionPoint, hint: Hint, *, seed: int | None = None
    ) -> Trace: ...


def round_hints(rounds: int, library: HintLibrary | None = None) -> list[Hint]:
    """The paper's texts for the first three rounds, ours for the next three, then the last again.

    Raises:
        ConfigError: rounds < 1.
    """
    if rounds < 1:
        raise ConfigError(f"rounds={rounds}: give at least 1")
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

    A round takes the trace before it, drops its end of thinking and its answer, puts the hint in
    their place and goes on (`Trace.parent` says from where). So each round has an answer of its
    own, and what came before is the same in all. It ends early if a limit ended a thought, as then
    there is no room for another round.

    Args:
        session: with a policy of its own, that one is asked in every round, too.
        prompt: as `ReasoningSession.run` takes it; or a finished trace, which is round 0 then.
        hints: one per round, e.g. `round_hints(3)`.
        seed: of all rounds; the session's by default.
        stop_when: asked after each round, e.g. `stable(2)` or `spent(4000)`.

    Raises:
        StartError: as `ReasoningSession.run` does; the rounds before were yielded already.
    """
    first = prompt if isinstance(prompt, Trace) else await session.run(prompt, seed=seed)
    traces = [first]
    yield traces[0]
    for hint in hints:
        last = traces[-1]
        points = find_insertion_points(last, session.tokenizer, session.format)
        if not points or points[-1].position != "end" or (stop_when and stop_when(traces)):
            return
        trace = await session.resume_hinted(last, points[-1], hint, seed=seed)
        traces.append(trace)
        yield trace


def stable(rounds: int) -> StopWhen:
    """Stops when the answers of so many rounds in a row are one and the same, word for word."""

    def stop(traces: Sequence[Trace]) -> bool:
        last = [trace.answer for trace in traces[-rounds:]]
        return len(last) == rounds and last[0] is not None and len(set(last)) == 1

    return stop


def spent(tokens: int) -> StopWhen:
    """Stops when the model has sampled so many tokens, in all rounds together."""
    return lambda traces: sum(map(sampled, traces)) >= tokens


def sampled(trace: Trace) -> int:
    """Tokens that the model sampled for this trace, not counting what it was resumed with."""
    kept = trace.parent.at if trace.parent else 0
    return trace.dropped + sum(
        len(s.token_ids)
        for start, s in zip(trace.starts, trace.segments, strict=True)
        if s.source == "model" and start >= kept
    )
