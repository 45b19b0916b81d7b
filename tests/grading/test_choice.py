from __future__ import annotations

from collections import Counter

import pytest

from start_sdk import ConfigError
from start_sdk.grading import shuffled

WRONG = ["two", "three", "four"]


def test_the_letter_is_that_of_the_correct_option() -> None:
    choices = shuffled("one", WRONG, problem_id="p7")
    assert sorted(choices.options) == sorted(["one", *WRONG])
    assert choices.options[choices.letters.index(choices.letter)] == "one"
    lines = [f"({a}) {o}" for a, o in zip("ABCD", choices.options, strict=True)]
    assert choices.text == "\n".join(lines)


def test_the_order_depends_only_on_seed_and_problem() -> None:
    first = [shuffled("one", WRONG, problem_id=f"p{i}", seed=3) for i in range(400)]
    assert first == [shuffled("one", WRONG, problem_id=f"p{i}", seed=3) for i in range(400)]
    assert first != [shuffled("one", WRONG, problem_id=f"p{i}", seed=4) for i in range(400)]
    assert all(60 < n < 140 for n in Counter(c.letter for c in first).values())


@pytest.mark.parametrize("wrong", [[], ["one"], ["two", " two"], [""], list("abcdefghij")])
def test_invalid_options_are_rejected(wrong: list[str]) -> None:
    with pytest.raises(ConfigError, match="problem p7"):
        shuffled("one", wrong, problem_id="p7")
