from __future__ import annotations

import asyncio
import sys

import pytest

from start_sdk import ConfigError, MissingExtra
from start_sdk.grading import Grader, Verdict, grade_all

# (what the model wrote, the gold answer)
RIGHT = [
    ("7", "7"), ("7.0", "7"), ("007", "7"), ("+7", "7"), ("-7.50", "-7.5"), (".5", "0.5"),
    ("3/8", r"\frac38"), (r"\dfrac{3}{8}", r"\frac{3}{8}"), ("0.375", r"\frac 38"), (r"\frac{-3}{8}", r"-\frac{3}{8}"),
    ("0.142857", r"\frac17"), ("1.732051", r"\sqrt3"), (r"\sqrt{2}", "1.41421356"),
    (r"2\sqrt{7}", r"\sqrt{28}"), ("2*sqrt(7)", r"2\sqrt7"), (r"\sqrt{7} \cdot 2", r"2\sqrt{7}"), ("5π", r"5\pi"),
    (r"\left( 1,\,2 \right)", "(1,2)"), ("{4, 9}", r"\{9,4\}"), (r"\{9, 4, 9\}", r"\{4, 9\}"), ("4 and 9", "9, 4"),
    (r"x \in (2,5]", "(2, 5]"), (r"2 < x \le 5", "(2,5]"), (r"x \geq 4", r"[4,\infty)"), ("4 > t", r"(-\infty, 4)"),
    (r"(7,9) \cup (1,2)", r"(1,2)\cup(7,9)"), (r"2 \pm \sqrt{3}", r"2-\sqrt3, 2+\sqrt3"),
    (r"\begin{bmatrix}1 & 0.5\\[2pt] 3&4\end{bmatrix}", r"\begin{pmatrix} 1 & \frac12 \\ 3 & 4 \end{pmatrix}"),
    ("12,345", "12345"), (r"12{,}345", r"12,\!345"), (r"\$8.50", "8.5"), ("8.5 dollars", r"\$8.50"), ("$8.50", "8.5"),
    (r"6\text{ cm}", "6"), ("6 cm^2", r"6 \mbox{ square cm}"), ("6 inches", r"6\text{ in}"), ("6 apples", "6"),
    (r"40\%", "40"), ("40%", "0.4"), ("40", r"40\%"), ("0.4", r"40\%"),
    (r"65^\circ", "65"), ("65 degrees", r"65^{\circ}"), ("2 3/4", r"\frac{11}{4}"), (r"-2\frac34", "-2.75"),
    ("1021_{3}", "1021_3"), ("1021", r"1021_{\text{three}}"), ("34_{10}", "34"),
    ("D", r"\text{(D)}"), ("(d)", "D"), ("D) all of them", "(D)"), ("Answer: **D**", "D"), ("monday", r"\text{Monday}"),
    (r"\text{not enough to tell}", "not enough to tell"), ("k = 12", "12"), ("12", "k=12"), ("3x-1", "f(x)=3x-1"),
    ("y - 2x = 1", "y = 2x + 1"), ("(b-1)(a+2)", "(a+2)(b-1)"), (r"\frac{\sin x}{\cos x}", r"\tan x"), ("x^(n+1)", "x^{n+1}"),
    ("infinity", r"\infty"), (r"1.5 \times 10^{3}", "1500"), ("0.5x", r"\frac{x}{2}"), (r"i \cdot 2 + 1", "1+2i"), ("x+iy", "x + i y"), ("5, 2, 2", "2, 5, 2"),
    ("The answer is 7.", "7"), ("We see 3 cases. So the final answer is: $\\frac{1}{2}$.", "0.5"),
    ("First \\boxed{3}, no: \\boxed{4}", "4"), ("The answers are $2$ and $3$.", r"\{2,3\}"), ("So there are 12 ways", "12"),
]  # fmt: skip
WRONG = [
    ("8", "7"), ("-7", "7"), ("8/3", r"\frac38"), ("0.37", r"\frac38"), ("0.14", r"\frac17"), ("0.0000671", "0.0000672"),
    ("3.14", r"\pi"), ("123456.5", "123456"), ("1.00001", "1"),
    (r"2\sqrt{7}", r"7\sqrt{2}"), ("(2,1)", "(1,2)"), ("(8,-2)", "(9,-2)"), ("(1,2]", "[1,2)"), ("[1,2]", "(1,2)"),
    (r"\{1,2\}", r"\{1,2,3\}"), (r"\{1,2\}", "(1,2)"), ("3", "3, 5"), ("2, 5", "2, 2, 5"), ("1+2i", "1-2i"), ("(1,234)", "1234"), ("1, 234", "1234"),
    ("2+\\sqrt3", r"2 \pm \sqrt3"), (r"(1,2)", r"(1,2)\cup(7,9)"), (r"(1,2)\cap(7,9)", r"(1,2)\cup(7,9)"),
    (r"\begin{pmatrix} 3 \\ 1 \end{pmatrix}", r"\begin{pmatrix} 1 \\ 3 \end{pmatrix}"),
    ("40", "0.4"), (r"0.4\%", "0.4"), ("6 cm", r"6\text{ m}"), ("6 cm", r"6\text{ cm}^2"), ("5 cents", r"\$5"),
    ("2d", "2"), ("2x", r"2\text{ cm}"), (r"2\text{x}", "2"), ("34", "1021_3"), ("1021_4", "1021_3"), ("1021_3", "1021"),
    ("C", r"\text{(D)}"), ("tuesday", r"\text{Monday}"), ("y = 2x + 2", "y = 2x + 1"), ("a-b", "b-a"), (r"|x|", "x"),
    (r"\sqrt{x^2}", "x"), ("11/4", r"2\frac{3}{5}"), ("3 4", "34"), ("7 or 8", "7"), (r"-\infty", r"\infty"),
    ("The answer is 8, not 7.", "7"), (r"\boxed{} 7", "7"), ("", "7"), (None, "7"), (r"\frac{0}{0}", "7"),
]  # fmt: skip


def test_equal_answers_are_correct_in_any_notation() -> None:
    verdicts = grade_all(RIGHT)
    missed = [(p, v) for p, v in zip(RIGHT, verdicts, strict=True) if not v.correct]
    assert missed == []


def test_other_answers_are_wrong() -> None:
    verdicts = grade_all(WRONG)
    missed = [(p, v) for p, v in zip(WRONG, verdicts, strict=True) if v.correct]
    assert missed == []


DECIDED = [
    (r"2\sqrt{7}", r"2\sqrt{7}", True, "exact", ""),
    (r"2 \sqrt7", r"2\sqrt{7}", True, "normalised", ""),
    ("0.5", r"\frac12", True, "numeric", ""),
    (r"\sqrt{28}", r"2\sqrt{7}", True, "symbolic", ""),
    ("2.645751", r"\sqrt{7}", True, "numeric", ""),
    ("x+1", "x+2", False, "symbolic", ""),
    ("(B)", r"\text{(C)}", False, "choice", ""),
    ("6 mm", r"6\text{ cm}", False, "normalised", "mm, not cm"),
    (r"\frac{1}{", "x+1", False, "undecided", "cannot be parsed"),
    ("we do not know which of the two it is", "x+1", False, "undecided", "no answer"),
    (r"\boxed{" + "1+" * 2_000 + "1}", "4001", False, "undecided", "longer than 2000 characters"),
]


def test_a_verdict_says_how_it_was_reached() -> None:
    verdicts = grade_all((text, gold) for text, gold, *_ in DECIDED)
    assert [(v.correct, v.how, v.note) for v in verdicts] == [case[2:] for case in DECIDED]


async def test_a_verdict_keeps_the_answer_as_written() -> None:
    async with Grader() as grader:
        verdict = await grader.grade(r"So it is \boxed{ \dfrac{1}{2} }.", "0.5")
    assert verdict == Verdict(correct=True, how="numeric", answer=r"\dfrac{1}{2}")


async def test_choices_are_only_compared_by_letter() -> None:
    async with Grader() as grader:
        right = await grader.grade("The answer is (B), as A and C are too small.", "B", "choice")
        wrong = await grader.grade(r"\boxed{\text{C}}", "B", "choice")
        none = await grader.grade("I do not know.", "B", "choice")
    assert right == Verdict(correct=True, how="choice", answer="B")
    assert wrong == Verdict(correct=False, how="choice", answer="C")
    assert none == Verdict(correct=False, how="undecided", note="no letter")


async def test_a_grader_works_after_a_cancelled_comparison() -> None:
    async with Grader(workers=1, seconds=60) as grader:
        assert (await grader.grade("1+x", "x+1")).correct
        hanging = asyncio.create_task(grader.grade("9^{9^{9^9}}", "x"))
        await asyncio.sleep(0)  # it has its worker now
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        assert (await grader.grade("x+y", "y+x")).correct


async def test_closing_a_grader_ends_running_comparisons() -> None:
    grader = Grader(workers=1, seconds=60)
    assert (await grader.grade("1+x", "x+1")).correct
    hanging = asyncio.create_task(grader.grade("9^{9^{9^9}}", "x"))
    await asyncio.sleep(0)
    await grader.aclose()
    assert (await hanging).how == "undecided"
    await grader.aclose()


def test_limits_are_checked_before_any_work() -> None:
    with pytest.raises(ConfigError, match="must be positive"):
        Grader(seconds=0)
    with pytest.raises(ConfigError, match="did not start: memory_mb=20 may be too low"):
        grade_all([("x+1", "1+x")], memory_mb=20)


def test_without_math_verify_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    monkeypatch.setattr(sys, "meta_path", sys.meta_path[-1:])
    monkeypatch.delitem(sys.modules, "math_verify", raising=False)
    with pytest.raises(MissingExtra, match=r"start-sdk\[grading\]"):
        Grader()
