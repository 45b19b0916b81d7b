"""A fitted policy: decides which hint, if any, is worth its risk at the end of a thought."""

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
from start_sdk.values import Settings


class Logit(Settings):
    """A logistic regression on features of a trace."""

    intercept: float
    weights: dict[str, float]
    """Weight by feature name, for unscaled features."""

    @field_validator("weights")
    @classmethod
    def _known(cls, weights: dict[str, float]) -> dict[str, float]:
        if unknown := weights.keys() - set(FEATURES):
            raise ValueError(f"unknown features: {', '.join(sorted(unknown))}")
        return weights

    def __call__(self, found: Mapping[str, float]) -> float:
        """Returns the probability for feature values by name."""
        z = self.intercept + sum(w * found[name] for name, w in self.weights.items())
        return 1 / (1 + exp(-max(-700.0, min(700.0, z))))


class LearnedPolicy(Settings):
    """The parameters that `recipes.fit_policy` fits and saves.

    Attributes:
        correct: the probability that the answer would be right without a hint.
        hinted: by hint id, the probability that the answer would be right with that hint.
        margin: by how much a hint must raise that probability to be inserted.
    """

    correct: Logit
    hinted: Annotated[dict[str, Logit], Field(min_length=1)]
    margin: float = 0.0

    def choice(self, found: Mapping[str, float]) -> str | None:
        """The id of the hint for a thought with these features; None if no hint is worth it."""
        gains = {hint: p(found) for hint, p in self.hinted.items()}
        best = max(gains, key=gains.__getitem__)
        return best if gains[best] - self.correct(found) > self.margin else None


@dataclass(frozen=True)
class Learned:
    """Hints at the end of a thought if a fitted model expects it to rescue more than it harms.

    Args:
        policy: the fitted model; `Learned.load` reads one from a file.
        library: library that contains its hints.
    """

    policy: LearnedPolicy
    library: HintLibrary | None = None
    triggers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _ = self.candidates  # checks them

    @property
    def candidates(self) -> list[Hint]:
        """The hints that it chooses from."""
        return [(self.library or HintLibrary.load()).get(hint) for hint in self.policy.hinted]

    @staticmethod
    def load(path: str | Path, library: HintLibrary | None = None) -> Learned:
        """Reads a policy saved as JSON.

        Raises:
            ConfigError: the file cannot be read or is not a valid policy.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
            return Learned(LearnedPolicy(**data), library)
        except (OSError, ValueError, TypeError, ConfigError) as error:
            raise ConfigError(f"{str(path)!r} is not a valid policy file: {error}") from error

    def decide(self, context: HintContext) -> Hint | None:
        if context.position != "end" or any(h.position == "end" for h in context.trace.hints):
            return None
        chosen = self.policy.choice(features(context.trace))
        return (self.library or HintLibrary.load()).get(chosen) if chosen else None
