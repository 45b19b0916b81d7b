"""Problems that are in an evaluation are found, and others are not."""

from __future__ import annotations

from typing import Any

import pytest

from start_sdk import ConfigError
from start_sdk.grading.contamination import Overlap, words


def test_overlap_needs_words_in_a_row_and_enough_in_common() -> None:
    known = " ".join(f"word{i}" for i in range(20))
    overlap = Overlap([known, "Find x."], run=13, share=0.6)
    assert known.upper().replace(" ", ",  ") in overlap
    assert " ".join(known.split()[4:]) + " and more" in overlap
    scattered = " ".join(f"{w} x" for w in known.split())
    assert scattered not in overlap
    long = " ".join(known.split()[:13] + [f"other{i}" for i in range(40)])
    assert long in overlap
    assert long not in Overlap([known], share=0.8)
    assert "" not in overlap
    turned = " ".join([*known.split()[:13], *known.split()[:12:-1]])  # 14 of 20 in the same order
    assert turned in Overlap([known], share=0.7) and turned not in Overlap([known], share=0.75)
    assert words("Is $x^2=4$?") == ("is", "x", "2", "4")


@pytest.mark.parametrize(
    ("one", "other", "overlaps"),
    [
        ("What is 12*13?", "what is 12 * 13", True),
        ("What is 12*13?", "What is 12*14?", False),
        ("What is 12*13?", "What is 12*13*14?", False),
        ("What is 12*13?", "What is 112*13?", False),
        ("What is 12*13?", f"{'Some story about Tom. ' * 9} What is 12*13? Think well.", True),
        ("What is 12*13?", f"{'Some story about Tom. ' * 9} What is 12*14? Think well.", False),
        ("Find x.", "find X!", True),
        ("Find x.", "Find x and y.", False),
        ("Find x.", f"{'A line meets a circle. ' * 9} Find x.", False),
        ("Which of these is true?", f"{'A line meets a circle. ' * 9} Which of these is true?", False),
        ("How many primes are there below one hundred?",
         "Tell me: how many primes are there below one hundred, please?", True),
        ("求12乘以13的积。", "请问：求１２乘以１３的积", True),
        ("求12乘以13的积。", "求12乘以14的积。", False),
        ("证明根号二是无理数。", "请证明根号二是无理数！", True),
        ("证明根号二是无理数。", "证明根号三是无理数。", False),
        ("甲乙两人从相距若干里的两地同时出发相向而行，三小时后相遇。",
         "已知甲乙两人从相距若干里的两地同时出发相向而行，问何时相遇？", True),
    ],
)  # fmt: skip
def test_short_texts_overlap_if_one_contains_the_other(
    one: str, other: str, overlaps: bool
) -> None:
    for known, asked in ((one, other), (other, one)):
        assert (asked in Overlap([known])) is overlaps
        among = Overlap([*(f"What is {n}*{n + 5}?" for n in range(90)), known])
        assert (asked in among) is overlaps


def test_templates_with_other_numbers_do_not_overlap() -> None:
    known = Overlap([f"What is {a}*{b}?" for a in range(2, 40) for b in range(2, 40)])
    asked = [f"What is {a}*{b}?" for a in range(30, 60) for b in range(30, 60)]
    found = [text for text in asked if text in known]
    assert found == [f"What is {a}*{b}?" for a in range(30, 40) for b in range(30, 40)]


@pytest.mark.parametrize("rules", [{"run": 0}, {"share": 1.1}, {"share": -0.1}])
def test_rules_out_of_range_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="needs run >= 1 and 0 <= share <= 1"):
        Overlap(["Find x."], **rules)
