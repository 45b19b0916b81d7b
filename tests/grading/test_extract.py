from __future__ import annotations

import pytest

from start_sdk.grading import choice_letter, final_answer, last_code_block, last_number


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"It is \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed{1} or rather \boxed{2} (\boxed{3)", "2"),
        ("The final answer is 12.", "12"),
        ("The answer is 3.5. I checked it twice.", "3.5"),
        ("Answer: .25", ".25"),
        ("**Final Answer:** $x+1$", "x+1"),
        ("Final answer:\n\n\\[ (1, 2) \\]", "(1, 2)"),
        ("The answer is $2$, $3$ and $5$.", "2, 3, 5"),
        ("The answer is $\\$4.50$.", r"\$4.50"),
        ("The answer to the first part is 2, the answer to all of it is 9 apples.", "9 apples"),
        ("The answer is 6 because 2 times 3 is 6.", "6"),
        ("The answer is either of both.", "either of both"),
        (r"2\sqrt{3}", r"2\sqrt{3}"),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
        ("Adding 3 and 4 gives us a total\nwhich is $7 - x$, as we know.", "7 - x"),
        ("In the end there remain 1,250 of the 3,000.", "3,000"),
        ("I do not know what it could be.", None),
        (r"\boxed{}", None),
        ("", None),
    ],
)
def test_the_answer_is_found(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"), ("(b)", "B"), ("B.", "B"), ("**B**", "B"), ("B) the second", "B"), ("B. The second", "B"),
        (r"\boxed{B}", "B"), (r"\boxed{\text{(B)}}", "B"), (r"\boxed{\textbf{B}}", "B"), (r"\boxed{B) 12}", "B"),
        ("A is wrong. The answer is B, not C.", "B"), ("Answer: (B)", "B"), ("answer: **B**", "B"),
        ("I choose option B.", "B"), ("Not (A), so it must be (B)", "B"), (r"The answer is $\text{B}$", "B"),
        ("A triangle has three sides.", None), ("E", None), ("The answer is a triangle.", None), ("", None),
    ],
)  # fmt: skip
def test_the_letter_is_found(text: str, letter: str | None) -> None:
    assert choice_letter(text) == letter


def test_the_last_number_is_found() -> None:
    assert last_number("From 3 to 1,234.50 in x2 steps") == "1,234.50"
    assert last_number("-5 or .5.") == ".5"
    assert last_number("3-5") == "5"
    assert last_number("none") is None


def test_the_last_closed_block_of_the_language_is_found() -> None:
    text = "```python\na = 1\n```\nthen\n```\nb = 2\n```\nand\n```js\nc\n```\nand\n```python\nd = 4"
    assert last_code_block(text) == "b = 2\n"
    assert last_code_block(text, "js") == "c\n"
    assert last_code_block("no code") is None
