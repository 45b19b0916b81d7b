"""Statistics over graded samples: problems x samples, each correct or not.

`right[i][j]` says whether sample j of problem i is correct. Scores are means over problems, and so
are intervals: samples of the same problem are not independent.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import comb
from typing import TYPE_CHECKING, Any

from start_sdk.errors import ConfigError, MissingExtra
from start_sdk.values import Frozen

if TYPE_CHECKING:
    from types import ModuleType


class Interval(Frozen):
    """An estimate with its interval."""

    value: float
    low: float
    high: float


class McNemar(Frozen):
    """McNemar's exact test: are two systems correct equally often on the same problems?"""

    only_first: int
    """Problems that only the first system got right."""
    only_second: int
    p_value: float


def avg_at_k(right: Sequence[bool]) -> float:
    """Share of correct samples of one problem: pass@1, estimated from k samples."""
    return pass_at_k(len(right), sum(right), 1)


def pass_at_k(samples: int, right: int, k: int) -> float:
    """Unbiased estimate of the probability that one of k samples of a problem is correct.

    Chen et al. 2021 (arXiv 2107.03374), section 2.1, equation 1: 1 - C(n - c, k) / C(n, k).

    Args:
        samples: n, the number of samples.
        right: c, the number of correct samples.
        k: 1 to n.

    Raises:
        ConfigError: k or `right` is out of range for the number of samples.
    """
    if not (1 <= k <= samples and 0 <= right <= samples):
        raise ConfigError(
            f"pass@{k} of {samples} samples, {right} correct: needs 1 <= k <= samples and "
            "0 <= correct <= samples"
        )
    return 1 - comb(samples - right, k) / comb(samples, k)


def maj_at_k(answers: Sequence[str | None], right: Sequence[bool]) -> float:
    """Majority vote over the samples of one problem (self-consistency, arXiv 2203.11171).

    All correct samples count as one answer, however it is written; so do wrong ones that mean the
    same (they are compared as `Grader` does). None abstains.

    Args:
        answers: `Verdict.answer` of each sample.
        right: `Verdict.correct` of each sample.

    Returns:
        1.0 or 0.0; for a tie at the top, the correct answer's chance in a random draw.

    Raises:
        MissingExtra: math-verify is not installed, and formulas have to be compared.
    """
    from start_sdk.grading._vote import votes_for

    pairs = list(zip(answers, right, strict=True))
    hits = sum(map(bool, right))
    wrong = votes_for([answer for answer, ok in pairs if answer is not None and not ok], hits)
    if not hits or max(wrong, default=0) > hits:
        return 0.0
    return 1 / (1 + wrong.count(hits))


def mean_interval(
    scores: Sequence[float],
    *,
    clusters: Sequence[Hashable] | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = 9_999,
) -> Interval:
    """Mean over problems with a percentile bootstrap interval (problems drawn with replacement).

    Where all problems score the same there is nothing to resample, and the mean is still not
    certain: then at most Wilson's upper bound of the problems would score elsewhere in `bounds`.

    Args:
        scores: one per problem.
        clusters: one per score; equal ones are drawn together, e.g. the same question asked under
            several seeds or drawn twice. Each score is its own by default.
        bounds: lowest and highest possible score.
        confidence: of the interval.
        seed: of the draws.
        resamples: number of draws.

    Raises:
        ConfigError: there are no scores.
        MissingExtra: scipy or statsmodels is not installed.
    """
    values = [float(s) for s in scores]
    if not values:
        raise ConfigError("no scores to average: give the score of at least one problem")
    groups: dict[Hashable, list[float]] = {}
    for cluster, value in zip(clusters or range(len(values)), values, strict=True):
        groups.setdefault(cluster, []).append(value)
    value = sum(values) / len(values)
    # Rounded: the same share comes out of several sums.
    if len({round(sum(group) / len(group), 12) for group in groups.values()}) == 1:
        others = proportion_interval(0, len(groups), confidence=confidence).high
        low, high = value - others * (value - bounds[0]), value + others * (bounds[1] - value)
        return Interval(value=value, low=low, high=high)
    import numpy as np

    def mean(sums: Any, sizes: Any, axis: int = -1) -> Any:
        return sums.sum(axis) / sizes.sum(axis)

    sums = np.array([sum(group) for group in groups.values()])
    sizes = np.array([len(group) for group in groups.values()])
    found = _load("scipy.stats").bootstrap(
        (sums, sizes), mean, paired=True, confidence_level=confidence, n_resamples=resamples,
        method="percentile", rng=np.random.default_rng(seed), batch=1_000,
    ).confidence_interval  # fmt: skip
    return Interval(value=value, low=float(found.low), high=float(found.high))


def paired_difference(
    first: Sequence[float],
    second: Sequence[float],
    *,
    clusters: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Mean of `second - first` over the same problems, in the same order, with its interval.

    Clusters are those of `mean_interval`.
    """
    if len(first) != len(second):
        raise ConfigError(
            f"{len(first)} and {len(second)} scores: they must cover the same problems"
        )
    differences = [b - a for a, b in zip(first, second, strict=True)]
    return mean_interval(
        differences, clusters=clusters, bounds=(-1.0, 1.0), confidence=confidence, seed=seed
    )


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> McNemar:
    """McNemar's exact test on the same problems, in the same order, one sample each."""
    if len(first) != len(second):
        raise ConfigError(
            f"{len(first)} and {len(second)} results: they must cover the same problems"
        )
    pairs = list(zip(map(bool, first), map(bool, second), strict=True))
    a, b = pairs.count((True, False)), pairs.count((False, True))
    contingency = [[pairs.count((True, True)), a], [b, pairs.count((False, False))]]
    test = _load("statsmodels.stats.contingency_tables").mcnemar(contingency, exact=True)
    return McNemar(only_first=a, only_second=b, p_value=float(test.pvalue))


def proportion_interval(right: int, problems: int, *, confidence: float = 0.95) -> Interval:
    """Share of correctly solved problems, one sample each, with its Wilson score interval."""
    if not 0 <= right <= problems or problems == 0:
        raise ConfigError(f"{right} correct of {problems} problems is not a proportion")
    estimate = _load("statsmodels.stats.proportion").proportion_confint
    low, high = estimate(right, problems, alpha=1 - confidence, method="wilson")
    return Interval(value=right / problems, low=float(low), high=float(high))


def _load(name: str) -> ModuleType | Any:
    """Imports a module of scipy or statsmodels lazily, since this takes a second."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtra("statistics", "grading") from error
