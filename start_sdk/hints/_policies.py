"""Policies: when to speak into a thought, and what. Each is a pure function of a `HintContext`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from start_sdk.errors import ConfigError
from start_sdk.hints._library import HintLibrary
from start_sdk.protocols import Hint, HintContext, HintPolicy
from start_sdk.trace import Position

ROUNDS = tuple(f"round-{n}" for n in range(1, 7))
"""The paper's three, then ours."""


@dataclass(frozen=True, slots=True)
class NoHints:
    """Never speaks: the baseline."""

    triggers: tuple[str, ...] = ()

    def decide(self, context: HintContext) -> Hint | None:
        return None


@dataclass(frozen=True)
class BeforeEnd:
    """Speaks just before a thought would end: START's position (b), section 3.

    Each round is one hint. START's test-time scaling (its figure 5) repeats this: `rounds=n`
    takes the paper's text for each of the first three rounds, ours for the next three, the last
    one again when there are more. One round takes the paper's general hint.

    Args:
        rounds: how often to speak; at least 1.
        hints: ids, or hints as a tool has them, the one of round i at position i, instead of the
            ones above.
        library: where ids are looked up.

    Raises:
        ConfigError: rounds < 1, no hints, an unknown id, or one with fields to be filled in.
    """

    rounds: int = 1
    hints: tuple[str | Hint, ...] | None = None
    library: HintLibrary | None = None

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ConfigError(f"rounds={self.rounds}: a policy that hints has at least 1 round")
        self._texts()

    @property
    def triggers(self) -> tuple[str, ...]:
        return ()

    def decide(self, context: HintContext) -> Hint | None:
        given = sum(h.position == "end" for h in context.trace.hints)
        if context.position != "end" or given >= self.rounds:
            return None
        texts = self._texts()
        return texts[min(given, len(texts) - 1)]

    def _texts(self) -> list[Hint]:
        ids = (
            self.hints if self.hints is not None else (("general",) if self.rounds == 1 else ROUNDS)
        )
        return _look_up(ids, "end", self.library)


@dataclass(frozen=True)
class AfterConnective:
    """Speaks behind words like "Wait" and "Alternatively": START's position (a), section 3.

    The paper says that position and hint are chosen at random, and no more. Here each occurrence
    is taken with `probability`, and its hint is drawn uniformly; both depend only on (seed, the
    run's seed, position), so that a run is reproducible and samples differ.

    Args:
        words: the connectives; the library's for `lang` by default.
        probability: that an occurrence is taken, 0 to 1.
        max_hints: hints of this policy per run.
        hints: ids, or hints, to draw from; the math hints of `lang` by default.

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
            raise ConfigError(f"probability={self.probability} is not between 0 and 1")
        if self.max_hints < 1:
            raise ConfigError(f"max_hints={self.max_hints}: a policy that hints gives at least 1")
        if not self.triggers:
            raise ConfigError(f"no connectives are known for lang={self.lang!r}: give `words`")
        self._texts()

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
        return noise.choice(self._texts())

    def _texts(self) -> list[Hint]:
        if self.hints is not None:
            return _look_up(self.hints, "connective", self.library)
        library = self.library or HintLibrary.load()
        found = list(library.select(domain="math", lang=self.lang, position="connective"))
        if not found:
            raise ConfigError(f"the library has no math hints for lang={self.lang!r}: give `hints`")
        return found


@dataclass(frozen=True)
class FirstOf:
    """Asks several policies in turn; the first that speaks is heard."""

    policies: tuple[HintPolicy, ...]

    @property
    def triggers(self) -> Sequence[str]:
        return tuple(dict.fromkeys(t for p in self.policies for t in p.triggers))

    def decide(self, context: HintContext) -> Hint | None:
        return next((hint for p in self.policies if (hint := p.decide(context))), None)


def _look_up(
    hints: Sequence[str | Hint], position: Position, library: HintLibrary | None
) -> list[Hint]:
    library = library or HintLibrary.load()
    found = [hint if isinstance(hint, Hint) else library.get(hint) for hint in hints]
    if not found:
        raise ConfigError("no hints are given")
    for hint in found:
        if position not in hint.positions:
            raise ConfigError(
                f"hint {hint.id!r} may stand at {hint.positions}, not at {position!r}"
            )
        if hint.fields:
            raise ConfigError(
                f"hint {hint.id!r} has fields to fill in first: {', '.join(hint.fields)}"
            )
    return found
