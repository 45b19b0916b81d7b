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


SIX = "print(6)\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```python\nprint(6)\n```\nIt prints:\n```\n6\n```\n", SIX),
        ("```\nprint(6)\n```\nIt prints:\n```\n6\n```\n", SIX),
        ("```py\nprint(6)\n```\n", SIX),
        ("```python3\nprint(6)\n```\n", SIX),
        ("~~~ {.Python}\nprint(6)\n~~~\n", SIX),
        ("```\nprint(6)\n```\n", SIX),
        ("```\n6\n```\n", "6\n"),
        ("So.```python\nprint(6)\n```\n```output\n5\n```\nDone.", SIX),
        ("So.```python\nprint(6)\n```output\n5\n```\nDone.", SIX),
        ("```python\nprint(6)\n```\n```json\n[6]\n```\n```text\n6\n```\n```output\n6", SIX),
        ("```python\nprint(5)\n```\nNo:\n```python\nprint(6)\n", SIX),
        ("```python\nprint(5)\n```\nNo:\n```python\nprint(6)\n```", SIX),
        ("```python\nprint(6)\n```\nThe rest is told.```python\n", SIX),
        ("1. So:\n    ```python\n    print(6)\n    ```\n2. Done.\n", SIX),
        ("- ```python\n  print(6)\n  ```\n", SIX),
        ("10. ```python\n    if 1:\n        print(6)\n    ```\nDone.", "if 1:\n    print(6)\n"),
        ("```python\ns = '''\n```\n'''\n```\n", "s = '''\n```\n'''\n"),
        ("```python\nprint('\u2028')\n```\n", "print('\u2028')\n"),
        ("```python\r\nprint(6)\r\n```\r\n", "print(6)\r\n"),
        ("```json\n[6]\n```\n```output\n6\n```\n", None),
        ("```python\n```\n", None),
        ("print(6)", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_program_of_a_response_is_found(text: str, code: str | None) -> None:
    assert last_code_block(text) == code
