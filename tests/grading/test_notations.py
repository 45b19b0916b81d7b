"""Notations and styles that other graders stumble over, each with answers that look alike."""

from __future__ import annotations

import pytest

from start_sdk.grading import grade_all

# (what the model wrote, the gold answer, another one that it must not be taken for)
STYLES = [
    ("She has 3 + 4 = <<3+4=7>>7 apples.\n#### 7", "7", "3"), ("#### 42", "42", "4"),
    ("```\n42\n```", "42", "43"), ("The result is:\n\n```output\n42\n```", "42", "41"),
    ("Final answer:\n\n```\n42\n```\nAs I said in step 1.", "42", "1"), ("→ $42$", "42", "4"),
    ("```\nx = 42\n```", "42", "x"), ("**Final Answer:** ✅ $42$", "42", "2"),
    ("<answer>\n$\\frac{1}{2}$\n</answer>", "0.5", "2"), ("<answer>42</answer> 7", "42", "7"),
    ("**Answer**: The value of $x$ is 7.", "7", "x"), ("So $x$ equals 7.", "7", "x"),
    ("**Answer**: The value of $x$ is $\\pi$.", r"\pi", "x"),
    ("The remainder when $2^{100}$ is divided by 7 is 2.", "2", "2^{100}"),
    ("The answer is\n\\begin{equation*}\n\\frac{8}{21}\n\\end{equation*}", "8/21", "21"),
    ("Answer:\n\\[\n\\begin{aligned}\nx &= 2\\\\ &= 5\n\\end{aligned}\n\\]", "5", "2"),
    (r"It is\[A=\begin{pmatrix}1\\2\end{pmatrix}\]", r"\begin{pmatrix}1\\2\end{pmatrix}", "2"),
    ("The answer is 42 (forty-two).", "42", "43"), ("The function is **even**.", "even", "odd"),
    ("So $a = 3$, $b = 4$, and $a + b = 7$.", "7", "3,4,7"), ("The polynomial is x^2 - 1.", "x^2-1", "1"), ("x is 2 and y is 3, so (2, 3).", "(2,3)", "3"),
    ("x的值是$12$。", "12", "2"), ("答案：无解", r"\text{no solution}", "0"), ("Ответ: 42", "42", "2"),
    ("Lösung: (3|2)", "(3,2)", "(2,3)"), ("I would go with B.", "B", "A"),
    ("A and C fail. So B is the correct answer.", "B", "A"), ("No solution exists.", r"\emptyset", "0"),
    ("It is a circle.", r"\text{circle}", r"\text{ellipse}"), ("forty-two", "42", "43"),
    ("Thirteen", "13", "14"), ("DNE", r"\text{does not exist}", "0"),
]  # fmt: skip
NUMBERS = [
    ("1⅘", "1.8", "18/5"), ("⅔", r"\frac23", r"\frac32"), ("3⁄4", "0.75", "3"), ("42nd", "42", "4"),
    (r"11^{\text{th}}", "11", "1"), ("137 and 1/2", r"137\frac12", "137"), ("0.333...", r"\frac13", "0.333"),
    ("0.272727...", r"\frac{3}{11}", "0.27"),
    (r"\nicefrac{3}{4}", "0.75", r"\frac43"), (r"^{3}/_{4}", "0.75", "3"), ("1.5 x 10^3", "1500", "15"),
    ("0.30000000000000004", "0.3", "0.30000000000000002"), ("33.333333%", r"\frac13", "0.33"),
    ("3 to 4", "3:4", "4:3"), ("6:8:10", "3:4:5", "3:5:4"), ("3:4:5", "6:8:10", r"\frac{3}{20}"),
    ("2:30 p.m.", r"2\!:\!30\text{ pm}", "2:30 am"), ("30 mph", r"30\text{ miles per hour}", "30 km/h"),
    (r"30\text{ km/h}", "30", r"30\text{ mph}"), (r"9.8\,\mathrm{m\,s^{-2}}", "9.8", "9.8^2"),
    (r"5\text{ N}", "5", r"5\text{ J}"), ("R$ 42", "42", "4"), ("5 N", "5N", "5"),
    (r"30\ \frac{\text{miles}}{\text{hour}}", "30", r"30\text{ km/h}"),
    (r"204_{\text{base }5}", "204_5", "204_6"), ("100.00000000000001", "100.00000000000001", "100"),
]  # fmt: skip
FORMULAS = [
    ("log(2)", r"\ln 2", r"\ln 3"), ("log(2)", r"\log 2", r"\log_2 2"), ("log(8, 2)", "3", "8"),
    ("exp(log(2)/2)", r"\sqrt2", "2"), ("x*log(x) - x", r"x\ln x-x", r"x\ln(x+1)-x"), ("ln 2", r"\ln 2", "2"), ("log_3 9", "2", "9"),
    (r"\log_{e} 2", r"\ln 2", r"\log_2 e"), ("math.log(2)/2", r"\ln\sqrt2", "1"),
    ("sin^2 x", r"1-\cos^2x", r"\sin x"), ("E**2", "e^2", "E^2"), ("atan(1/2)", r"\arctan\frac12", "2"),
    (r"\operatorname{arctan} 1", r"\frac{\pi}{4}", "1"), ("cbrt(27)", "3", "27"),
    ("C(5,2)", "10", "20"), ("C(5,2)", r"\binom{5}{2}", "(2,5)"), (r"{5 \choose 2}", "10", "5"),
    ("C_5^2", "10", "C^2"), (r"\frac{C_4^2}{C_{10}^{2}}", r"\frac{2}{15}", r"\frac{4}{10}"),
    ("{}_5C_2", "10", "5"), ("5C2", "10", "2"), ("10 choose 3", "120", "3"), ("P(5,2)", "20", "10"),
    ("C(n,2)", r"\frac{n(n-1)}{2}", r"\frac{n(n+1)}{2}"), ("comb(5,2)", "10", "2"),
    ("math.factorial(5)", "120", "5"), ("fractions.Fraction(3, 56)", r"\frac{3}{56}", "56"),
]  # fmt: skip
GROUPS = [
    ("(y,x)=(3,2)", "(2,3)", "(3,2)"), ("y=3, x=2", "(2,3)", "(3,2)"), ("b=2, a=1", "(1,2)", "(2,1)"),
    ("m=110, p=17", "(110,17)", "(17,110)"), (r"\{(2,4)\}", "(2,4)", r"\{2,4\}"), ("[(8, -2)]", "(8,-2)", "-2"),
    (r"\{-2,1+\sqrt5,1-\sqrt5\}", r"\{1\pm\sqrt5,-2\}", r"\{1+\sqrt5,-2\}"),
    (r"-2,\ 1\pm\sqrt5", r"\{1\pm\sqrt5,-2\}", r"\{1\pm\sqrt5\}"), ("[3 5 7]", "3,5,7", "7"),
    (r"\frac15\begin{pmatrix}1\\-18\end{pmatrix}", r"\begin{pmatrix}1/5\\-18/5\end{pmatrix}", r"\begin{pmatrix}1\\-18\end{pmatrix}"),
    (r"\left[\begin{array}{cc}1&0\\0&2\end{array}\right]", r"\begin{pmatrix}1&0\\0&2\end{pmatrix}", r"\begin{pmatrix}1&0\\0&1\end{pmatrix}"),
    ("[[1 2]\n [3 4]]", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}"),
    ("(1,2)^T", r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}"),
    ("Interval.Lopen(3, 4)", "(3,4]", "[3,4)"), (r"x\in\left]3;4\right]", "(3,4]", "[3,4]"),
    ("[np.int64(3), np.int64(5)]", "3,5", "5"), ("dict_values([3, 5])", "3,5", "5"), ("tuple([1, 2])", "(1,2)", "(2,1)"),
    ("[{x: -2}, {x: 1}]", "-2,1", "1"), ("[{y: 2, x: 1}, {x: 3, y: 4}]", "(1,2),(3,4)", "(2,1),(3,4)"),
    (r"x<2 \lor x>3", r"(-\infty,2)\cup(3,\infty)", "(2,3)"), (r"2<x<9, x\ne 5", r"(2,5)\cup(5,9)", "(2,9)"),
    ("(-oo, 2) U (3, oo)", r"(-\infty,2)\cup(3,\infty)", "(2,3)"),
    ("all real numbers except 1", r"(-\infty,1)\cup(1,\infty)", "1"), ("range(3)", r"\text{range(3)}", "3"),
]  # fmt: skip


@pytest.mark.parametrize(
    "cases", [STYLES, NUMBERS, FORMULAS, GROUPS], ids=["styles", "numbers", "formulas", "groups"]
)
def test_an_answer_is_right_in_its_notation_and_not_taken_for_another(
    cases: list[tuple[str, str, str]],
) -> None:
    right = grade_all((text, gold) for text, gold, _ in cases)
    assert [(c, v) for c, v in zip(cases, right, strict=True) if not v.correct] == []
    wrong = grade_all((text, other) for text, _, other in cases)
    assert [(c, v) for c, v in zip(cases, wrong, strict=True) if v.correct] == []
