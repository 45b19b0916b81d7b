"""A policy that was fitted: which hint, if any, is worth its risk at the end of a thought."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from start_sdk.errors import ConfigError
from start_sdk.hints._features import FEATURES, features
from start_sdk.hints._library import HintLibrary
from start_sdk.protocols import Hint, HintContext
from start_sdk.trace import Settings


class Logit(Settings):
    """A logistic regression on features of a trace."""

    intercept: float
    weights: dict[str, float]
    """By name of the feature; for features that are not scaled."""

    @field_validator("weights")
    @classmethod
    def _known(cls, weights: dict[str, float]) -> dict[str, float]:
        if unknown := weights.keys() - set(FEATURES):
            raise ValueError(f"there are no features {', '.join(sorted(unknown))}")
        return weights

    def __call__(self, found: Mapping[str, float]) -> float:
        """The probability."""
        z = self.intercept + sum(w * found[name] for name, w in self.weights.items())
        return 1 / (1 + exp(-max(-700.0, min(700.0, z))))


class LearnedPolicy(Settings):
    """What `recipes.fit_policy` fits and saves.

    Attributes:
        correct: the probability that the answer would be right without a hint.
        hinted: by id of a hint, the probability that it is right with it.
        margin: how much likelier right an answer must get for a hint to be given.
    """

    correct: Logit
    hinted: Annotated[dict[str, Logit], Field(min_length=1)]
    margin: float = 0.0


@dataclass(frozen=True)
class Learned:
    """Speaks before the end of a thought if a fitted model expects more rescue than harm.

    Args:
        policy: the fitted model; `Learned.load` reads one from a file.
        library: where the ids of its hints are looked up.
    """

    policy: LearnedPolicy
    library: HintLibrary | None = None
    triggers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for hint in self.policy.hinted:
            (self.library or HintLibrary.load()).get(hint)

    @staticmethod
    def load(path: str | Path, library: HintLibrary | None = None) -> Learned:
        """Reads a policy that was saved as JSON.

        Raises:
            ConfigError: the file cannot be read, or is none.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
            return Learned(LearnedPolicy(**data), library)
        except (OSError, ValueError, TypeError, ConfigError) as error:
            raise ConfigError(f"{str(path)!r} is no fitted policy: {error}") from error

    def decide(self, context: HintContext) -> Hint | None:
        if context.position != "end" or any(h.position == "end" for h in context.trace.hints):
            return None
        found = features(context.trace)
        gains = {hint: p(found) for hint, p in self.policy.hinted.items()}
        best = max(gains, key=gains.__getitem__)
        if gains[best] - self.policy.correct(found) <= self.policy.margin:
            return None
        return (self.library or HintLibrary.load()).get(best)
