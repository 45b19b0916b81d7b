from __future__ import annotations

from itertools import combinations
from math import sqrt

import pytest

from start_sdk import ConfigError
from start_sdk.grading.statistics import (
    McNemar,
    avg_at_k,
    maj_at_k,
    mcnemar,
    mean_interval,
    paired_difference,
    pass_at_k,
    proportion_interval,
)


@pytest.mark.parametrize(("n", "c", "k"), [(6, 2, 1), (6, 2, 3), (6, 0, 2), (6, 5, 2), (4, 4, 4)])
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_sample(n: int, c: int, k: int) -> None:
    subsets = list(combinations([1] * c + [0] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_1_is_the_average() -> None:
    assert avg_at_k([True, False, False, True, False]) == pytest.approx(0.4)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 2, 5), (4, 5, 1), (4, 2, 0), (0, 0, 1)])
def test_impossible_counts_are_rejected(n: int, c: int, k: int) -> None:
    with pytest.raises(ConfigError):
        pass_at_k(n, c, k)


def test_the_majority_counts_equal_answers_together() -> None:
    assert maj_at_k(["1/2", "0.5", "3", "3 ", "4"], [True, True, False, False, False]) == 0.5
    assert maj_at_k(["1/2", "0.5", "3"], [True, True, False]) == 1.0
    assert maj_at_k(["1", r"3\,", "3"], [True, False, False]) == 0.0
    assert maj_at_k([None, None, "1"], [False, False, True]) == 1.0
    assert maj_at_k([None], [False]) == 0.0
    assert maj_at_k([], []) == 0.0


def test_the_bootstrap_agrees_with_the_normal_interval_and_is_reproducible() -> None:
    scores = [1.0] * 300 + [0.0] * 100
    found = mean_interval(scores, seed=5)
    half = 1.96 * sqrt(0.75 * 0.25 / 400)
    assert found.value == 0.75
    assert found.low == pytest.approx(0.75 - half, abs=0.005)
    assert found.high == pytest.approx(0.75 + half, abs=0.005)
    assert found == mean_interval(scores, seed=5)
    uneven = [i**0.5 for i in range(50)]
    assert mean_interval(uneven, seed=5) != mean_interval(uneven, seed=6)


def test_equal_scores_are_not_certain() -> None:
    wilson = proportion_interval(30, 30)
    found = mean_interval([1.0] * 30)
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(wilson.low)
    equal = paired_difference([0.5] * 30, [0.5] * 30)
    assert equal.value == 0
    assert (equal.low, equal.high) == pytest.approx((wilson.low - 1, 1 - wilson.low))
    one = mean_interval([0.25])
    assert 0 < one.low < one.value < one.high < 1
    with pytest.raises(ConfigError):
        mean_interval([])


def test_problems_that_are_drawn_again_count_once() -> None:
    scores = [float(i % 3 == 0) for i in range(60)]
    once = mean_interval(scores)
    again = mean_interval(scores * 4, clusters=[*range(60)] * 4)
    assert again.value == pytest.approx(once.value)
    assert again.high - again.low == pytest.approx(once.high - once.low, rel=0.1)
    assert mean_interval(scores * 4).high - once.value < 0.6 * (once.high - once.value)
    zero, some = [0.0] * 60, scores
    gain = paired_difference(zero * 4, some * 4, clusters=[*range(60)] * 4)
    assert gain.high - gain.low == pytest.approx(once.high - once.low, rel=0.1)


def test_pairing_narrows_the_interval_of_a_difference() -> None:
    first = [i / 100 for i in range(100)]
    second = [s + (0.1 if i % 2 else 0.0) for i, s in enumerate(first)]
    found = paired_difference(first, second)
    assert found.value == pytest.approx(0.05)
    assert 0.03 < found.low < found.value < found.high < 0.07
    with pytest.raises(ConfigError, match="must cover the same problems"):
        paired_difference([1], [1, 1])


def test_mcnemar_is_the_binomial_test_on_discordant_pairs() -> None:
    first = [True] * 9 + [False] * 2 + [True] * 5
    second = [False] * 9 + [True] * 2 + [True] * 5
    # Two tails of Binomial(11, 1/2) at 2: 2 * (1 + 11 + 55) / 2**11.
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second) == (9, 2)
    assert found.p_value == pytest.approx(2 * 67 / 2048)
    assert mcnemar([True], [True]) == McNemar(only_first=0, only_second=0, p_value=1)
    with pytest.raises(ConfigError, match="must cover the same problems"):
        mcnemar([True], [])


def test_the_wilson_interval_has_its_closed_form() -> None:
    z, n, p = 1.959964, 30, 0.9
    middle, half = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    found = proportion_interval(27, 30)
    assert found.value == 0.9
    assert found.low == pytest.approx((middle - half) / (1 + z * z / n), abs=1e-6)
    assert found.high == pytest.approx((middle + half) / (1 + z * z / n), abs=1e-6)
    assert proportion_interval(30, 30).low == pytest.approx(n / (n + z * z), abs=1e-6)
    with pytest.raises(ConfigError):
        proportion_interval(0, 0)


def test_equal_shares_have_a_width_however_they_were_summed() -> None:
    pytest.importorskip("statsmodels")
    by_ten = mean_interval([0.3 - 0.1, 0.4 - 0.2, 0.7 - 0.5, 0.8 - 0.6], bounds=(-1.0, 1.0))
    assert by_ten.low < 0 and by_ten.high > 0.4
