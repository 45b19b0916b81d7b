"""Policies beyond the paper: hint at calculations, only when unsure, or to trust a result.

A forced hint rescues wrong answers and breaks right ones (START, EMNLP version, table 5: 33.0 % and
10.4 %), so hinting everything helps below a base accuracy of about 76 % and harms above it. These
policies hint less, or earlier. docs/hints.md compares them with the paper's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from start_sdk.errors import ConfigError
from start_sdk.hints._features import features, surprisals
from start_sdk.hints._library import HintLibrary
from start_sdk.protocols import Hint, HintContext, HintPolicy

_LEFT_SIDE = re.compile(r"(\d+)[\s)]*[-+*/^×·÷%]\s*\(?(\d+)[^=\n]*=\s*$")
"""Two numbers with an operator between them, and an equals sign at the very end."""


@dataclass(frozen=True)
class AtCalculation:
    """Hints where the model starts to calculate by hand: after "17 * 289 =".

    CoRT (arXiv 2506.09820) found that START-like models calculate by hand first and ask Python to
    check it afterwards. Its authors placed such hints by hand; here the position is after an
    expression that is followed by an equals sign.

    Args:
        digits: minimum digits of the longer of the two numbers before the sign.
        surprise: with logprobs, minimum mean nats per token of the last 16 sampled tokens.
        max_hints: limit of this policy's hints per run.
        hint: id of the hint.
        library: library in which the id is looked up.

    Raises:
        ConfigError: `digits` or `max_hints` is below 1, or the hint is unknown.
    """

    digits: int = 2
    surprise: float = 0.0
    max_hints: int = 1
    hint: str = "calculation"
    library: HintLibrary | None = None
    triggers: tuple[str, ...] = ("=",)

    def __post_init__(self) -> None:
        if self.digits < 1 or self.max_hints < 1:
            raise ConfigError("digits and max_hints must be at least 1")
        _ = self.candidates  # checks it

    def decide(self, context: HintContext) -> Hint | None:
        given = sum(h.position == "calculation" for h in context.trace.hints)
        if context.position != "connective" or context.trigger not in self.triggers:
            return None
        line = context.trace.thinking[-200:].rpartition("\n")[2]
        match = _LEFT_SIDE.search(line)
        if given >= self.max_hints or not match or max(map(len, match.groups())) < self.digits:
            return None
        nats = surprisals(context.trace)[-16:]
        if nats and sum(nats) / len(nats) < self.surprise:
            return None
        return self.candidates[0]

    @property
    def candidates(self) -> list[Hint]:
        """The hint that it gives."""
        hint = (self.library or HintLibrary.load()).get(self.hint)
        return [hint.model_copy(update={"positions": ("calculation",)})]


@dataclass(frozen=True)
class WhenUnsure:
    """Applies another policy only to thoughts that are not settled.

    A thought is left alone if its last two results agree and, with logprobs, the model was sure
    of every stretch of it: then a hint has little to rescue and something to break.

    Args:
        policy: the policy to apply to unsettled thoughts.
        surprise: with logprobs, a thought is unsure if the worst 8 tokens in a row have at least
            this mean in nats per token; None considers the results alone.
        results: whether a thought is unsettled if its results disagree.

    Raises:
        ConfigError: it considers neither.
    """

    policy: HintPolicy
    surprise: float | None = None
    results: bool = True

    def __post_init__(self) -> None:
        if self.surprise is None and not self.results:
            raise ConfigError("WhenUnsure needs results=True, a value for surprise, or both")

    @property
    def triggers(self) -> Sequence[str]:
        return self.policy.triggers

    @property
    def candidates(self) -> list[Hint]:
        """The other policy's hints."""
        return list(getattr(self.policy, "candidates", ()))

    def decide(self, context: HintContext) -> Hint | None:
        found = features(context.trace)
        unsettled = self.results and bool(found["unsettled"])
        surprised = self.surprise is not None and found["worst_surprise"] >= self.surprise
        return self.policy.decide(context) if unsettled or surprised else None


@dataclass(frozen=True)
class TrustResult:
    """After an output without an error, hints that the result can be trusted.

    For models that recalculate the result of code by hand (CoRT's finding). Combine it with a
    policy that makes the model run code: `FirstOf((BeforeEnd(), TrustResult()))`.
    """

    library: HintLibrary | None = None
    triggers: tuple[str, ...] = ()

    def decide(self, context: HintContext) -> Hint | None:
        if context.position != "output" or context.trace.calls[-1].status != "ok":
            return None
        return (self.library or HintLibrary.load()).get("trust")
