"""Policies: when to insert a hint, and which. Each is a pure function of a `HintContext`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from start_sdk.errors import ConfigError
from start_sdk.hints._library import HintLibrary
from start_sdk.protocols import Hint, HintContext, HintPolicy
from start_sdk.trace import Position

ROUNDS = tuple(f"round-{n}" for n in range(1, 7))
"""The paper's three texts, then three of ours."""


@dataclass(frozen=True, slots=True)
class NoHints:
    """Never hints: the baseline."""

    triggers: tuple[str, ...] = ()

    def decide(self, context: HintContext) -> Hint | None:
        return None


@dataclass(frozen=True)
class BeforeEnd:
    """Hints just before a thought would end: START's position (b), section 3.

    Each round is one hint. START's test-time scaling (figure 5) repeats this: `rounds=n` uses the
    paper's texts for the first three rounds, ours for the next three, and the last one for any
    more. A single round uses the paper's general hint.

    Args:
        rounds: number of hints, at least 1.
        hints: hint ids, or hints such as a tool's, to use instead: the i-th in round i, the last
            one in any further round.
        library: library in which ids are looked up.

    Raises:
        ConfigError: rounds < 1, no hints, an unknown id, or a hint with fields to fill in.
    """

    rounds: int = 1
    hints: tuple[str | Hint, ...] | None = None
    library: HintLibrary | None = None

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ConfigError(f"rounds={self.rounds}: must be at least 1")
        _ = self.candidates  # checks them

    @property
    def triggers(self) -> tuple[str, ...]:
        return ()

    def decide(self, context: HintContext) -> Hint | None:
        given = sum(h.position == "end" for h in context.trace.hints)
        if context.position != "end" or given >= self.rounds:
            return None
        texts = self.candidates
        return texts[min(given, len(texts) - 1)]

    @property
    def candidates(self) -> list[Hint]:
        """The hints that it gives, by round."""
        ids = (
            self.hints if self.hints is not None else (("general",) if self.rounds == 1 else ROUNDS)
        )
        return _look_up(ids, "end", self.library)


@dataclass(frozen=True)
class AfterConnective:
    """Hints after words like "Wait" and "Alternatively": START's position (a), section 3.

    The paper only says that position and hint are chosen at random. Here each occurrence is used
    with `probability`, and its hint is drawn uniformly; both depend only on (seed, the run's seed,
    position), so that runs are reproducible and samples differ.

    Args:
        words: the connectives; the library's for `lang` by default.
        probability: probability that an occurrence is used, 0 to 1.
        max_hints: limit of this policy's hints per run.
        hints: hint ids, or hints, to draw from; the math hints of `lang` by default.

    Raises:
        ConfigError: a probability outside [0, 1], max_hints < 1, no words, or a bad hint id.
    """

    words: tuple[str, ...] | None = None
    probability: float = 1.0
    max_hints: int = 1
    seed: int = 0
    hints: tuple[str | Hint, ...] | None = None
    lang: str = "en"
    library: HintLibrary | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ConfigError(f"probability={self.probability}: must be between 0 and 1")
        if self.max_hints < 1:
            raise ConfigError(f"max_hints={self.max_hints}: must be at least 1")
        if not self.triggers:
            raise ConfigError(f"there are no connectives for lang={self.lang!r}: pass `words`")
        _ = self.candidates  # checks them

    @property
    def triggers(self) -> tuple[str, ...]:
        if self.words is not None:
            return self.words
        return (self.library or HintLibrary.load()).connectives.get(self.lang, ())

    def decide(self, context: HintContext) -> Hint | None:
        given = sum(h.position == "connective" for h in context.trace.hints)
        if context.position != "connective" or context.trigger not in self.triggers:
            return None
        position = len(context.trace.token_ids)
        noise = random.Random(f"{self.seed}:{context.seed}:{position}")
        if given >= self.max_hints or noise.random() >= self.probability:
            return None
        return noise.choice(self.candidates)

    @property
    def candidates(self) -> list[Hint]:
        """The hints that it draws from."""
        if self.hints is not None:
            return _look_up(self.hints, "connective", self.library)
        library = self.library or HintLibrary.load()
        found = list(library.select(domain="math", lang=self.lang, position="connective"))
        if not found:
            raise ConfigError(f"the library has no math hints for lang={self.lang!r}: pass `hints`")
        return found


@dataclass(frozen=True)
class FirstOf:
    """Asks several policies in order and uses the first hint."""

    policies: tuple[HintPolicy, ...]

    @property
    def triggers(self) -> Sequence[str]:
        return tuple(dict.fromkeys(t for p in self.policies for t in p.triggers))

    @property
    def candidates(self) -> list[Hint]:
        """The hints of all policies."""
        return [hint for p in self.policies for hint in getattr(p, "candidates", ())]

    def decide(self, context: HintContext) -> Hint | None:
        return next((hint for p in self.policies if (hint := p.decide(context))), None)


def _look_up(
    hints: Sequence[str | Hint], position: Position, library: HintLibrary | None
) -> list[Hint]:
    library = library or HintLibrary.load()
    found = [hint if isinstance(hint, Hint) else library.get(hint) for hint in hints]
    if not found:
        raise ConfigError("`hints` is empty: pass at least one hint")
    for hint in found:
        if position not in hint.positions:
            raise ConfigError(
                f"hint {hint.id!r} is for {', '.join(hint.positions)}, not for {position!r}"
            )
        if hint.fields:
            raise ConfigError(
                f"hint {hint.id!r} has fields to fill in first: {', '.join(hint.fields)}"
            )
    return found
