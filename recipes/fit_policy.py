"""Fits a policy that learns which hint is worth its risk: logistic regression (scikit-learn).

    python -m recipes.hint_matrix --n 20 --seed 1 --out runs/matrix
    python -m recipes.fit_policy runs/matrix --out runs/learned

Inputs, from the matrix's rows: features of each thought without a hint
(start_sdk/hints/_features.py), whether its answer was correct, and whether it was correct with each
hint at the end of the thought. For each family, `without-FAMILY.json` is fitted on all other
families and evaluated on this one; `all.json` is fitted on all. A policy that does not beat the
best constant policy (one hint for all, or none) on unseen families, by an interval above 0, has
learned nothing that generalizes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recipes.command import CommandLine, created, program
from recipes.markup import table
from recipes.policies import parts
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
    """The thoughts of a matrix that came to an end.

    Raises:
        ConfigError: there are none.
    """
    thoughts: dict[str, tuple[str, dict[str, float]]] = {}
    correct: dict[str, dict[str, bool]] = {}
    for row in read_rows(folder):
        kind, hint = parts(row.job.policy)
        if row.result is None or row.job.sample or kind not in (NONE, "end"):
            continue
        correct.setdefault(row.job.problem, {})[hint or kind] = bool(row.result["correct"])
        if kind == NONE:
            trace = Trace.model_validate(row.result["trace"])
            thoughts[row.job.problem] = str(row.job.input.get("family")), features(trace)
    hints = {hint for found in correct.values() for hint in found}
    tried = [p for p in thoughts if correct[p].keys() == hints and len(hints) > 1]
    if not tried:
        raise ConfigError(f"{folder} contains no thought with a hint at its end")
    return [Example(*thoughts[problem], correct[problem]) for problem in tried]


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


def best_constant(examples: Sequence[Example]) -> str:
    """The hint, or none, with which most of these were right."""
    return max(examples[0].correct, key=lambda hint: sum(one.correct[hint] for one in examples))


def judged(one: Example, policy: LearnedPolicy, constant: str) -> tuple[bool, bool, bool, bool]:
    """Whether a thought was right: without a hint, with the constant one, with the one that the
    policy chooses; and whether that is a hint."""
    hint = policy.choice(one.features)
    return one.correct[NONE], one.correct[constant], one.correct[hint or NONE], hint is not None


def run(folder: Path, out: Path) -> None:
    """Fits, judges family by family, writes."""
    examples = read(folder)
    families = sorted({one.family for one in examples})
    if len(families) < 2:
        raise ConfigError("policies are evaluated on unseen families: give two or more")
    fitted = {"all.json": fit(examples)}
    found: dict[str, list[tuple[bool, ...]]] = {}
    for family in families:
        seen = [one for one in examples if one.family != family]
        policy, constant = fit(seen), best_constant(seen)
        fitted[f"without-{family}.json"] = policy
        found[family] = [judged(one, policy, constant) for one in examples if one.family == family]
    created(out)
    for name, policy in fitted.items():
        (out / name).write_text(policy.model_dump_json(indent=1), encoding="utf-8")
    every = [one for some in found.values() for one in some]
    lines = [*found.items(), ("all", every)]
    rows = [[name, str(len(some)), *shares(some)] for name, some in lines]
    say(table(["left out", "thoughts", "no hint", "best constant", "learned", "hinted"], rows))
    _, usual, learned, _ = zip(*every, strict=True)
    gain = paired_difference(usual, learned)
    low, high = 100 * gain.low, 100 * gain.high
    say(f"learned - best constant: {100 * gain.value:+.1f} points [{low:+.1f}, {high:+.1f}]")


def shares(some: Sequence[tuple[bool, ...]]) -> list[str]:
    """What share of these each column is true of, in percent."""
    return [f"{100 * sum(column) / len(some):.1f}" for column in zip(*some, strict=True)]


def main() -> int:
    """The fit; 2 for bad input."""
    parser = CommandLine(prog="python -m recipes.fit_policy", description=__doc__)
    parser.add_argument("matrix", type=Path, help="folder of recipes.hint_matrix")
    parser.add_argument("--out", type=Path, required=True, help="output folder for the policies")
    options = parser.parse_args()
    return program(parser, lambda: run(options.matrix, options.out))


if __name__ == "__main__":
    sys.exit(main())
