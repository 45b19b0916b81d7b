"""Fits a policy that learns which hint is worth its risk: logistic regression (scikit-learn).

    python -m recipes.hint_matrix --n 20 --seed 1 --out runs/matrix
    python -m recipes.fit_policy runs/matrix --out runs/learned

Inputs, from the matrix's rows: features of each thought without a hint
(start_sdk/hints/features.py), whether its answer was correct, and whether it was correct with each
hint at the end of the thought. For each family, `without-FAMILY.json` is fitted on all other
families and evaluated on this one; `all.json` is fitted on all. A policy that does not beat the
best constant policy (one hint for all, or none) on unseen families has learned nothing that
generalizes.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recipes.command import CommandLine
from recipes.experiment import program
from recipes.report import row
from start_sdk import ConfigError, MissingExtra, Trace
from start_sdk.batch import read_rows
from start_sdk.cli import say
from start_sdk.grading.statistics import paired_difference
from start_sdk.hints import FEATURES, LearnedPolicy, Logit, features

NONE = "none"


@dataclass(frozen=True)
class Example:
    """A thought and what came of it: without a hint, and with each at its end."""

    family: str
    features: dict[str, float]
    correct: dict[str, bool]
    """By id of the hint; `none` without one."""


def read(folder: Path) -> list[Example]:
    """The rows of a matrix in which the thought came to an end.

    Raises:
        ConfigError: there are none.
    """
    try:
        found = [example(r.job.input["family"], r.result) for r in read_rows(folder) if r.result]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder} has no matrix of recipes.hint_matrix: {error}") from error
    found = [one for one in found if len(one.correct) > 1]
    if not found:
        raise ConfigError(f"{folder} contains no thought with a hint at its end")
    return found


def example(family: str, result: dict[str, Any]) -> Example:
    """One row."""
    right = {NONE: bool(result["correct"])}
    for name, arm in result["arms"].items():
        hint, _, position = name.partition(" @ ")
        if position == "end":
            right[hint] = bool(arm["correct"])
    return Example(family, features(Trace.model_validate(result["trace"])), right)


def fit(examples: Sequence[Example]) -> LearnedPolicy:
    """The policy of some examples."""
    hints = [hint for hint in examples[0].correct if hint != NONE]
    return LearnedPolicy(
        correct=logit(examples, NONE), hinted={hint: logit(examples, hint) for hint in hints}
    )


def logit(examples: Sequence[Example], hint: str) -> Logit:
    """The probability of a right answer with a hint."""
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise MissingExtra("fitting a policy", "eval") from error
    outcomes = [one.correct[hint] for one in examples]
    hits = sum(outcomes)
    if hits in (0, len(outcomes)):  # nothing to tell apart: the share alone, by Laplace's rule
        return Logit(intercept=math.log((hits + 1) / (len(outcomes) - hits + 1)), weights={})
    table = [[one.features[name] for name in FEATURES] for one in examples]
    scaler = StandardScaler().fit(table)
    fitted = LogisticRegression(C=1.0, max_iter=1_000).fit(scaler.transform(table), outcomes)
    weights = np.asarray(fitted.coef_[0]) / np.asarray(scaler.scale_)  # of features as they are
    shift = float(weights @ np.asarray(scaler.mean_))
    return Logit(
        intercept=float(fitted.intercept_[0]) - shift,
        weights=dict(zip(FEATURES, map(float, weights), strict=True)),
    )


def choice(policy: LearnedPolicy, one: Example) -> str:
    """The hint that a policy gives to a thought, or none."""
    gains = {hint: p(one.features) for hint, p in policy.hinted.items()}
    best = max(gains, key=gains.__getitem__)
    return best if gains[best] - policy.correct(one.features) > policy.margin else NONE


def best_constant(examples: Sequence[Example]) -> str:
    """The hint, or none, with which most of these were right."""
    return max(examples[0].correct, key=lambda hint: sum(one.correct[hint] for one in examples))


def run(folder: Path, out: Path) -> None:
    """Fits, judges family by family, writes."""
    examples = read(folder)
    families = sorted({one.family for one in examples})
    if len(families) < 2:
        raise ConfigError("policies are evaluated on unseen families: give two or more")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot create folder {str(out)!r}: {error.strerror}") from error
    (out / "all.json").write_text(fit(examples).model_dump_json(indent=1), encoding="utf-8")
    learned: list[float] = []
    constant: list[float] = []
    unhinted: list[float] = []
    say(row(["left out", "thoughts", "no hint", "best constant", "learned", "hinted"]))
    say(row(["---", *["---:"] * 5]))
    for family in families:
        seen = [one for one in examples if one.family != family]
        unseen = [one for one in examples if one.family == family]
        policy, usual = fit(seen), best_constant(seen)
        (out / f"without-{family}.json").write_text(
            policy.model_dump_json(indent=1), encoding="utf-8"
        )
        chosen = [choice(policy, one) for one in unseen]
        own = [float(one.correct[hint]) for one, hint in zip(unseen, chosen, strict=True)]
        best = [float(one.correct[usual]) for one in unseen]
        none = [float(one.correct[NONE]) for one in unseen]
        learned, constant, unhinted = learned + own, constant + best, unhinted + none
        percent = [f"{100 * sum(some) / len(unseen):.1f}" for some in (none, best, own)]
        hinted = sum(hint != NONE for hint in chosen) / len(unseen)
        say(row([family, str(len(unseen)), *percent, f"{hinted:.0%}"]))
    percent = [f"{100 * sum(some) / len(some):.1f}" for some in (unhinted, constant, learned)]
    say(row(["all", str(len(examples)), *percent, ""]))
    gain = paired_difference(constant, learned)
    low, high = 100 * gain.low, 100 * gain.high
    say(f"\nlearned - best constant: {100 * gain.value:+.1f} points [{low:+.1f}, {high:+.1f}]")
    if gain.low > 0:
        say("the policy generalizes")
    elif gain.value > 0:
        say("inconclusive: the interval contains 0")
    else:
        say("the policy does not generalize: use the constant one")


def main() -> int:
    """The fit; 2 for bad input."""
    parser = CommandLine(
        prog="python -m recipes.fit_policy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("matrix", type=Path, help="folder of recipes.hint_matrix")
    parser.add_argument("--out", type=Path, required=True, help="output folder for the policies")
    config = parser.parse_args()
    return program(parser, lambda: run(config.matrix, config.out))


if __name__ == "__main__":
    sys.exit(main())
