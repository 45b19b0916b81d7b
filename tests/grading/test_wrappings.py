"""Hypothesis: a gold answer in any wrapping is right, its neighbour wrong; nothing crashes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from start_sdk.grading import Grader, Verdict

WRAPPINGS = [
    r"\boxed{%s}", r"So it is $\boxed{%s}$.", r"\boxed{\ %s\ }", r"\[\boxed{\displaystyle %s}\]",
    "### Answer\n\n$$\n%s\n$$", "We add 3 parts.\n\n**Result**\n\n\\[\n%s\n\\]",
    "There are 3 cases. The answer is $%s$.", r"Hence, the final answer is \(%s\).",
    "**Final Answer**\n\n$%s$", "The answer is: **$%s$**", "**Answer:** $%s$", "$$ T = %s $$",
    r"I get \boxed{977}, but that is wrong. It is \boxed{%s}.", r"\fbox{%s}", "Antwort: $%s$",
    "综上，最终答案为：$%s$。", "所以答案是 $%s$。", "Die Lösung lautet $%s$.", "%s", "Answer: %s",
]  # fmt: skip
PIECES = [
    r"\boxed{", r"\fbox{", "{", "}", "(", ")", "[", "]", r"\{", r"\}", r"\left", r"\right", r"\frac",
    r"\sqrt", "^", "_", "^{", "1", "2", "10", "x", "n", "N", "i", "e", r"\pi", r"\infty", "-", "+",
    "*", "/", "=", "<", r"\le", r"\ne", ",", ";", ".", "$", "$$", r"\[", r"\]", r"\text{", " or ", "cm",
    " hours ", r"\cup", r"\setminus", r"\mathbb{R}", r"\mid", r"\pm", r"\approx", r"\binom", r"\lfloor",
    r"\rfloor", r"\log", r"\sin", r"\begin{pmatrix}", r"\end{pmatrix}", r"\begin{cases}", "&", r"\\",
    "!", r"\%", r"\$", "°", "½", "²", "答案是", "、", "The answer is ", "**", "\n", "\n\n", " ", "\\",
    "'", "|", r"\overline{", r"\sum_{k=1}^{n}", r"\int", "e5", "0x", "Fraction(", "Matrix([", "base ",
    "9^{9^{9^9}}", "C(", "5C2", "log(", "log ", "#### ", "```\n", "<answer>", r"\choose ", "⅔", ":",
    "[1 2]", "{x: 1}", r"\lor ", "^T", "$x$ is ", "all real numbers except ", "\ud800", "\x00", "٣",
]  # fmt: skip
Answer = tuple[str, str]
"""An answer and its neighbour."""
Grade = Callable[[list[tuple[str, str]]], list[Verdict]]


@pytest.fixture(scope="module")
def grade() -> Iterator[Grade]:
    with asyncio.Runner() as runner:
        grader = Grader()

        async def all_of(pairs: list[tuple[str, str]]) -> list[Verdict]:
            return await asyncio.gather(*(grader.grade(text, gold) for text, gold in pairs))

        yield lambda pairs: runner.run(all_of(pairs))
        runner.run(grader.aclose())


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    n = draw(st.integers(-(10**6), 10**6) | st.integers(10**20, 10**40))
    m = draw(st.integers(2, 99))
    pairs: list[Answer] = [
        (str(n), str(n + 1)),
        (rf"\frac{{{n}}}{{{m}}}", rf"\frac{{{n + 1}}}{{{m}}}"),
        (f"{n}.{m:03d}", f"{n}.{m + 1:03d}"),
        (rf"{m}\sqrt{{3}}", rf"{m + 1}\sqrt{{3}}"),
        (rf"{n}+\sqrt{{{m}}}", rf"{n + 1}+\sqrt{{{m}}}"),
        (f"2^{{{m + 80}}}", f"2^{{{m + 80}}}+1"),
        (f"{m}!-1", f"{m}!+1"),
        (f"({n}, {m})", f"({n}, {m + 1})"),
        (f"[{n}, {n + m})", f"[{n}, {n + m}]"),
        (rf"\{{{n}, {n + m}\}}", rf"\{{{n}, {n + m + 1}\}}"),
        (f"{m}x^2+{m + 1}", f"{m}x^2+{m + 2}"),
        (f"N^{{{m}}}+n", f"n^{{{m}}}+n"),
        (rf"\lfloor \frac{{n}}{{{m}}} \rfloor", rf"\lceil \frac{{n}}{{{m}}} \rceil"),
        (rf"\frac{{{m}\pi}}{{7}}", rf"\frac{{{m + 1}\pi}}{{7}}"),
    ]
    return draw(st.sampled_from(pairs))


def check_wrappings(grade: Grade, answer: Answer) -> None:
    gold, other = answer
    right = grade([(wrapping.replace("%s", gold), gold) for wrapping in WRAPPINGS])
    wrong = grade([(wrapping.replace("%s", other), gold) for wrapping in WRAPPINGS])
    refused = [w for w, v in zip(WRAPPINGS, right, strict=True) if not v.correct]
    accepted = [w for w, v in zip(WRAPPINGS, wrong, strict=True) if v.correct]
    assert (refused, accepted) == ([], []), answer


def check_time(grade: Grade, pieces: list[str], gold: list[str]) -> None:
    began = time.monotonic()
    (verdict,) = grade([("".join(pieces), "".join(gold))])
    assert time.monotonic() - began < 5
    assert not verdict.correct or verdict.how != "undecided"


few = settings(max_examples=12, deadline=None, derandomize=True)
many = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
latex = st.lists(st.sampled_from(PIECES), min_size=1, max_size=20)


@few
@given(answers())
def test_an_answer_is_right_in_any_wrapping_and_its_neighbour_wrong(
    grade: Grade, answer: Answer
) -> None:
    check_wrappings(grade, answer)


@settings(few, max_examples=60)
@given(latex, latex)
def test_random_latex_gets_a_verdict_in_time(
    grade: Grade, pieces: list[str], gold: list[str]
) -> None:
    check_time(grade, pieces, gold)


@pytest.mark.slow
@many
@given(answers())
def test_many_answers_in_any_wrapping(grade: Grade, answer: Answer) -> None:
    check_wrappings(grade, answer)


@pytest.mark.slow
@settings(many, max_examples=2_000)
@given(latex, latex)
def test_much_random_latex(grade: Grade, pieces: list[str], gold: list[str]) -> None:
    check_time(grade, pieces, gold)
