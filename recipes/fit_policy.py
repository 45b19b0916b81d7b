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

import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from recipes.command import CommandLine, created, program
from recipes.markup import table
from recipes.policies import parts
from start_sdk import ConfigError, Trace
from start_sdk.batch import read_rows
from start_sdk.cli import say
from start_sdk.grading.statistics import paired_difference
from start_sdk.hints import Example, LearnedPolicy, best_constant, features


def read(folder: Path) -> dict[str, list[Example]]:
    """The thoughts of a matrix that came to an end, by family.

    Raises:
        ConfigError: there are none, or all are of one family.
    """
    thoughts: dict[str, tuple[str, Example]] = {}
    hinted: defaultdict[str, dict[str, bool]] = defaultdict(dict)
    for row in read_rows(folder):
        kind, hint = parts(row.job.policy)
        if row.result is None or row.job.sample:
            continue
        problem, correct = row.job.problem, bool(row.result["correct"])
        if kind == "end":
            hinted[problem][hint] = correct
        elif kind == "none":
            trace = Trace.model_validate(row.result["trace"])
            example = Example(features(trace), correct, hinted[problem])  # more rows fill these
            thoughts[problem] = str(row.job.input.get("family")), example
    hints = set[str]().union(*hinted.values())
    found = defaultdict[str, list[Example]](list)
    for family, example in thoughts.values():
        if hints and example.hinted.keys() == hints:
            found[family].append(example)
    if not found:
        raise ConfigError(f"{folder} contains no thought with a hint at its end")
    if len(found) < 2:
        raise ConfigError("policies are evaluated on unseen families: give two or more")
    return found


def judged(one: Example, policy: LearnedPolicy, constant: str | None) -> tuple[bool, ...]:
    """Whether a thought was right: without a hint, with the constant one, with the one that the
    policy chooses; and whether that is a hint."""
    hint = policy.choice(one.features)
    return one.correct, one.right(constant), one.right(hint), hint is not None


def run(folder: Path, out: Path) -> None:
    """Fits, judges family by family, writes."""
    families = read(folder)
    fitted = {"all": LearnedPolicy.fit([one for some in families.values() for one in some])}
    found: dict[str, list[tuple[bool, ...]]] = {}
    for family, unseen in sorted(families.items()):
        seen = [one for other in families if other != family for one in families[other]]
        policy, constant = LearnedPolicy.fit(seen), best_constant(seen)
        fitted[f"without-{family}"] = policy
        found[family] = [judged(one, policy, constant) for one in unseen]
    created(out)
    for name, policy in fitted.items():
        (out / f"{name}.json").write_text(policy.model_dump_json(indent=1), encoding="utf-8")
    found["all"] = every = [one for some in found.values() for one in some]
    rows = [[name, str(len(some)), *shares(some)] for name, some in found.items()]
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
