"""Fences, LaTeX and joiners: how a session reads and joins text."""

from __future__ import annotations

import pytest

from start_sdk.formats import PLAIN, THINK, Join, ReasoningFormat


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Hm.\n```python\nprint(1)\n```\n", "print(1)\n"),
        ("this problem.```python\nprint(1)\n```\n", "print(1)\n"),  # the way the paper's hints end
        ("```Python3 \nx\n```", "x\n"),
        ("```py\r\nx\r\n```\r\n", "x\r\n"),
        ("```python\na\n```\n and\n```python\nb\n```\n", "b\n"),
        ("````python\ns = '''\n```\n'''\n````\n", "s = '''\n```\n'''\n"),
        ("```python\n[A code template]\n```output\n[...]\nNow.\n```python\nx\n```\n", "x\n"),
        ("```python\nx\n```\nand more", None),
        ("```python\nx\n", None),
        ("```python\n \n```\n", None),
        ("```c\nx\n```\n", None),
        ("```\nx\n```\n", None),
        ("use ```python blocks\n```\n", None),
        ("x = `a` ```\n", None),
    ],
)
def test_calls(text: str, code: str | None) -> None:
    assert THINK.call(text) == code


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        ("```python\nx", True),
        ("idea.\n```python", True),
        ("```python\nx\n```", False),
        ("```\nx", True),
        ("a ``` b", False),
        ("", False),
    ],
)
def test_open_blocks(text: str, is_open: bool) -> None:
    assert (ReasoningFormat.open_block(text) is not None) == is_open


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("\\[ x", True),
        ("\\[ x \\]", False),
        ("\\(a", True),
        ("\\begin{align} 1", True),
        ("$$ x", True),
        ("$$ x $$", False),
        ("so $x = 1", True),
        ("so $x = 1$.", False),
        ("it costs $5. Wait", False),
        ("it costs $1,250.50 in all", False),
        ("it costs $5, and $x", False),  # balanced as LaTeX would read it
        ("$x\nnew line", False),
    ],
)
def test_latex(text: str, inside: bool) -> None:
    assert ReasoningFormat.in_latex(text) == inside


@pytest.mark.parametrize(
    ("tail", "join", "joiner"),
    [
        ("so Wait", "connective", ", "),
        ("so Wait,", "connective", " "),
        ("so Wait, ", "connective", ""),
        ("Wait...", "connective", " "),
        ("等等", "connective", "，"),
        ("等等，", "connective", ""),
        ("It is 5.", "paragraph", "\n\n"),
        ("It is 5.\n", "paragraph", "\n"),
        ("It is 5.\n\n", "paragraph", ""),
        ("", "paragraph", ""),
        ("\n", "paragraph", ""),
        ("```", "line", "\n"),
        ("```\n", "line", ""),
    ],
)
def test_joiners(tail: str, join: Join, joiner: str) -> None:
    assert ReasoningFormat.joiner(tail, join) == joiner


def test_an_empty_output_is_marked() -> None:
    assert ReasoningFormat.show_output("") == "```output\n(no output)\n```\n"


def test_a_model_without_tags_opens_its_answer_with_a_marker() -> None:
    assert PLAIN.thinks_after("anything")
    assert {"**Final Answer**", "\\boxed", "$\\boxed", "\\[\n\\boxed"} < set(PLAIN.end_stops)
    assert PLAIN.closing() == "**Final Answer**\n\n"
    assert THINK.closing() == "</think>\n\n"
