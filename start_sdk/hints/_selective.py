"""Policies beyond the paper: where a calculation begins, only when unsure, and trust in results.

A forced hint rescues wrong answers and breaks right ones (START, EMNLP version, table 5: 33.0 % and
10.4 %), so hinting everything helps below a base accuracy of about 76 % and harms above it. These
policies hint less, or earlier. `python -m recipes.policies` measures them beside the paper's.
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
    """Speaks where a calculation begins to be worked out by hand: behind "17 * 289 = ".

    CoRT (arXiv 2506.09820) found that START-like models calculate by hand first and ask Python to
    check it afterwards. Its authors placed such hints by hand; here an expression with an equals
    sign behind it is the place.

    Args:
        digits: of the larger of the two numbers before the sign, at least.
        surprise: with logprobs, hint only if the last 16 sampled tokens cost so many nats each.
        max_hints: hints of this policy per run.
        hint: what to say.
        library: where its id is looked up.

    Raises:
        ConfigError: a number below 1, or an unknown hint.
    """

    digits: int = 2
    surprise: float = 0.0
    max_hints: int = 1
    hint: str = "calculation"
    library: HintLibrary | None = None
    triggers: tuple[str, ...] = ("=",)

    def __post_init__(self) -> None:
        if self.digits < 1 or self.max_hints < 1:
            raise ConfigError("digits and max_hints are at least 1")
        self._text()

    def decide(self, context: HintContext) -> Hint | None:
        given = sum(h.position == "calculation" for h in context.trace.hints)
        if context.position != "connective" or context.trigger not in self.triggers:
            return None
        line = context.trace.thinking[-200:].rpartition("\n")[2]
        begun = _LEFT_SIDE.search(line)
        if given >= self.max_hints or not begun or max(map(len, begun.groups())) < self.digits:
            return None
        nats = surprisals(context.trace)[-16:]
        if nats and sum(nats) / len(nats) < self.surprise:
            return None
        return self._text()

    def _text(self) -> Hint:
        hint = (self.library or HintLibrary.load()).get(self.hint)
        return hint.model_copy(update={"positions": ("calculation",)})


@dataclass(frozen=True)
class WhenUnsure:
    """Lets another policy speak only about a thought that is not settled.

    A thought is left alone if its last two results agree, or, with logprobs, if its model was sure
    of every stretch of it: then a hint has little to rescue and something to break.

    Args:
        policy: who is asked otherwise.
        surprise: with logprobs, the mean nats per token of the worst 8 tokens in a row from which
            on a thought is unsure; None looks at the results alone.
        results: whether results that agree settle a thought.

    Raises:
        ConfigError: it looks at neither.
    """

    policy: HintPolicy
    surprise: float | None = None
    results: bool = True

    def __post_init__(self) -> None:
        if self.surprise is None and not self.results:
            raise ConfigError("WhenUnsure looks at results, at surprise, or at both")

    @property
    def triggers(self) -> Sequence[str]:
        return self.policy.triggers

    def decide(self, context: HintContext) -> Hint | None:
        found = features(context.trace)
        unsettled = self.results and bool(found["unsettled"])
        surprised = self.surprise is not None and found["worst_surprise"] >= self.surprise
        return self.policy.decide(context) if unsettled or surprised else None


@dataclass(frozen=True)
class TrustResult:
    """Behind an output without an error, says that it may be relied on.

    An option for models that work the result of code out again by hand (CoRT's finding); combine it
    with a policy that makes the model call: `FirstOf((BeforeEnd(), TrustResult()))`.
    """

    library: HintLibrary | None = None
    triggers: tuple[str, ...] = ()

    def decide(self, context: HintContext) -> Hint | None:
        if context.position != "output" or context.trace.calls[-1].status != "ok":
            return None
        return (self.library or HintLibrary.load()).get("trust")
