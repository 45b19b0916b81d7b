"""A fitted policy: decides which hint, if any, is worth its risk at the end of a thought."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, isfinite, log, nan
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from start_sdk.errors import ConfigError, MissingExtra
from start_sdk.hints._features import FEATURES, features
from start_sdk.hints._library import HintLibrary
from start_sdk.protocols import Hint, HintContext
from start_sdk.values import Settings


@dataclass(frozen=True)
class Example:
    """A finished thought and what came of it.

    Attributes:
        features: of the thought without a hint, as `features` returns them.
        correct: whether its answer was right.
        hinted: by hint id, whether the answer was right with that hint at the end of the thought.
    """

    features: Mapping[str, float]
    correct: bool
    hinted: Mapping[str, bool]

    def right(self, hint: str | None) -> bool:
        """Whether the answer was right with this hint, or without one."""
        return self.correct if hint is None else self.hinted[hint]


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

    @staticmethod
    def fit(found: Sequence[Mapping[str, float]], outcomes: Sequence[bool]) -> Logit:
        """Fits the probability of an outcome (scikit-learn's, with its default L2 penalty).

        Args:
            found: feature values by name, of one or more traces.
            outcomes: what is predicted, one per trace.

        Raises:
            ConfigError: a feature is missing or not finite, or there is not one outcome per trace.
            MissingExtra: scikit-learn is not installed.
        """
        table = [[one.get(name, nan) for name in FEATURES] for one in found]
        if len(table) != len(outcomes) or not all(isfinite(x) for row in table for x in row):
            raise ConfigError("a fit needs all features of each trace, finite, and its outcome")
        try:
            from sklearn.linear_model import LogisticRegression
            from sklearn.preprocessing import StandardScaler
        except ImportError as error:
            raise MissingExtra("fitting a policy", "eval") from error
        hits = sum(outcomes)
        if hits in (0, len(outcomes)):  # nothing to tell apart: the share alone, by Laplace's rule
            return Logit(intercept=log((hits + 1) / (len(outcomes) - hits + 1)), weights={})
        scaler = StandardScaler().fit(table)
        fitted = LogisticRegression(C=1.0, max_iter=1_000).fit(scaler.transform(table), outcomes)
        weights = fitted.coef_[0] / scaler.scale_  # of features as they are
        intercept = fitted.intercept_[0] - weights @ scaler.mean_
        return Logit(
            intercept=float(intercept), weights=dict(zip(FEATURES, weights.tolist(), strict=True))
        )


class LearnedPolicy(Settings):
    """The parameters of `Learned`: fitted by `fit`, saved with `model_dump_json`.

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

    @staticmethod
    def fit(examples: Sequence[Example]) -> LearnedPolicy:
        """Fits a policy.

        Args:
            examples: one or more, all with the same hints.

        Raises:
            ConfigError: there are no examples, no hints, or not the same ones in all examples.
            MissingExtra: scikit-learn is not installed.
        """
        hints = _hints(examples)
        found = [one.features for one in examples]

        def chance(hint: str | None) -> Logit:
            return Logit.fit(found, [one.right(hint) for one in examples])

        return LearnedPolicy(correct=chance(None), hinted={hint: chance(hint) for hint in hints})


def best_constant(examples: Sequence[Example]) -> str | None:
    """The id of the hint with which most answers are right; None if that is without a hint.

    A fitted policy is worth its effort if it beats this one on problems that it has not seen.

    Raises:
        ConfigError: as `LearnedPolicy.fit`.
    """
    return max([None, *_hints(examples)], key=lambda hint: sum(one.right(hint) for one in examples))


def _hints(examples: Sequence[Example]) -> Sequence[str]:
    """The hints that all examples have."""
    if len({frozenset(one.hinted) for one in examples}) != 1 or not examples[0].hinted:
        raise ConfigError("a policy is fitted on examples that all have the same hints")
    return [*examples[0].hinted]


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
        except (OSError, ValueError, TypeError, RecursionError, ConfigError) as error:
            raise ConfigError(f"{str(path)!r} is not a valid policy file: {error}") from error

    def decide(self, context: HintContext) -> Hint | None:
        if context.position != "end" or any(h.position == "end" for h in context.trace.hints):
            return None
        chosen = self.policy.choice(features(context.trace))
        return (self.library or HintLibrary.load()).get(chosen) if chosen else None
