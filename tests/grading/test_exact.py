"""Exact constants are decided exactly, formulas by more than samples."""

from __future__ import annotations

from start_sdk.grading import grade_all

# (what the model wrote, the gold answer)
EQUAL = [
    ("a=c=b", "a=b=c"), ("33", r"33 \pmod{1000}"), (r"\sqrt{xy}", r"\sqrt x\sqrt y"),
    (r"\cos 36^\circ", r"\frac{1+\sqrt5}{4}"),
    (r"\lfloor\frac{n^2}{4}\rfloor", r"\lfloor\frac{n}{2}\rfloor\lceil\frac n2\rceil"),
    (r"\lceil x\rceil", r"-\lfloor -x\rfloor"),
    ("3!", "6"), (r"\binom{5}{2}", "10"), ("2^{10}", "1024"), (r"\frac{10}{4}", r"\frac{5}{2}"),
    (r"\cfrac{1}{2}", "0.5"), (r"\sqrt{8}", r"2\sqrt2"), (r"\frac{1}{\sqrt2}", r"\frac{\sqrt2}{2}"),
    (r"\log_2 8", "3"), (r"\ln e^2", "2"), (r"\sin 30^\circ", r"\frac12"),
    (r"\cos\frac{\pi}{3}", r"\frac12"), (r"\arctan 1", r"\frac{\pi}{4}"), (r"e^{i\pi}", "-1"),
    (r"\sqrt{3+2\sqrt2}", r"1+\sqrt2"), (r"\sqrt[3]{8}", "2"), (r"\lfloor 3.7\rfloor", "3"),
    (r"\left\lfloor\frac{7}{2}\right\rfloor", "3"), (r"\sum_{k=1}^{10} k", "55"),
    (r"\frac{\pi^2}{6}", r"\frac16\pi^2"), (r"\tan^{-1}(1)", r"\frac{\pi}{4}"),
    (r"2\cdot3^5\cdot 7", "3402"), ("2^{2024}-1", "-1+2^{2024}"),
    (r"\frac{2^{2024}-1}{1}", "2^{2024}-1"), ("100!", r"100 \cdot 99!"),
    (r"\binom{200}{100}", r"\frac{200!}{100!\,100!}"),
    (r"\frac{200!}{(100!)^2}", r"\binom{200}{100}"),
    (r"\lfloor\sqrt{n-1}\rfloor", r"\left\lfloor (n-1)^{1/2}\right\rfloor"),
    (r"\lceil\frac{n}{2}\rceil", r"\lfloor\frac{n+1}{2}\rfloor"),
    (r"n - \lfloor n/2 \rfloor", r"\lceil n/2\rceil"), ("n^{2}+n", "n(n+1)"),
    (r"\frac{n(n-1)}{2}", r"\binom n2"), (r"\frac{n(n-1)}{2}", r"\binom{n}{2}"),
    ("(n+1)!", r"(n+1)\cdot n!"), ("2^{n+1}", r"2\cdot 2^n"), ("x^{1/2}", r"\sqrt x"),
    (r"\sin^2 x", r"1-\cos^2x"), (r"\ln(ab)", r"\ln a+\ln b"), (r"\frac{x^2-1}{x-1}", "x+1"),
    (r"-\frac{1}{2}", r"\frac{1}{-2}"), ("x=2y", "2y=x"), ("2x+3y=6", r"y=2-\frac{2}{3}x"),
    ("x^2+y^2=25", "y^2=25-x^2"), (r"\frac{x^2}{4}+\frac{y^2}{9}=1", "9x^2+4y^2=36"),
    (r"y=2x,\ y=-2x", "y=-2x, y=2x"), (r"\{(1,2),(2,1)\}", "(2,1),(1,2)"),
    (r"(1,2),\ (2,1)", r"\{(2,1),(1,2)\}"), (r"\langle 1,2\rangle", "(1,2)"),
    (r"\begin{bmatrix}1\\2\end{bmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
    (r"\begin{cases}x=1\\y=2\end{cases}", "(1,2)"),
    (r"\frac{1+\sqrt5}{2}, \frac{1-\sqrt5}{2}", r"\frac{1\pm\sqrt5}{2}"), (r"\pm2", "2,-2"),
    (r"x=\frac{-1\pm\sqrt5}{2}", r"\frac{-1+\sqrt5}{2}, \frac{-1-\sqrt5}{2}"), (r"1\frac12", "1.5"),
    (r"a\sqrt{b}", r"\sqrt b a"), ("i", "i"), ("2+3i", "3i+2"), (r"\frac{3}{2}i", "1.5i"),
    (r"\sqrt{-4}", "2i"), (r"e^{\frac{\pi i}{3}}", r"\frac12+\frac{\sqrt3}{2}i"),
    (r"\text{cis}\,60^\circ", r"\text{cis}\,60^\circ"),
    (r"\boxed{\left\{\frac12, 3\right\}}", r"\{3, 0.5\}"),
    (r"\boxed{\left\{ 1, 2 \right\}}", r"\{1,2\}"), (r"\boxed{\{x \mid x > 2\}}", r"(2,\infty)"),
]  # fmt: skip
UNEQUAL = [
    (r"1 \pmod 5", r"1 \pmod 4"), ("a=B=c", "a=b=c"), (r"n \equiv 1 \pmod 5", r"n \equiv 1 \pmod 4"), (r"\Gamma", r"\gamma"),
    (r"\lfloor 2x\rfloor", r"2\lfloor x\rfloor"), (r"(-1)^n", r"(-1)^{n+1}"), (r"\ln|x|", r"\ln x^2"),
    (r"e^{\pi\sqrt{163}}", "262537412640768744"), (r"\sqrt{(x-1)^2}", "x-1"),
    ("1e23", "99999999999999999999999"),
    ("2^{2024}-1", "2^{2024}"), ("100!", "100!+1"), ("1-2^{-100}", "1"),
    (r"\binom{200}{100}+1", r"\binom{200}{100}"),
    (r"\lfloor\sqrt{n-2}\rfloor", r"\lfloor\sqrt{n-1}\rfloor"), ("N^2", "n^2"), ("N", "n"),
    ("3R^2", "3r^2"), (r"\frac{N(N+1)}{2}", r"\frac{n(n+1)}{2}"), ("X", "x"), ("aB", "Ab"),
    ("10^{30}", r"\sqrt{10^{60}+1}"), ("e^{2^{-10000}}", "1"), (r"\cos 10^{-40}", "1"),
    (r"\sqrt{1+2^{-300}}", "1"), (r"\pi+10^{-60}", r"\pi"),
    ("3.14159265358979323846264338327950289", "3.14159265358979323846264338327950288"),
    ("1267650600228229401496703205376.9", "2^{100}"), ("1.2676506002282294e+30", "2^{100}"),
    ("0.333334", r"\frac13"), ("0.3333", r"\frac13"), ("3.14", r"\pi"), (r"\frac{22}{7}", "3.14"),
    ("3.15", "3.14"), (r"\pi", "3.15"), (r"\sqrt2", "1.42"),
    (r"\lfloor n/2\rfloor", r"\lceil n/2\rceil"), (r"\lfloor n/2\rfloor", "n/2"),
    (r"\lfloor\frac{n+2}{2}\rfloor", r"\lfloor\frac{n+1}{2}\rfloor"), (r"\lfloor x\rfloor", "x"),
    (r"\lceil x\rceil", r"\lfloor x\rfloor+1"),
    (r"\lfloor\frac{n}{1000}\rfloor", r"\lfloor\frac{n+1}{1000}\rfloor"), ("x^{1000}", "x^{1001}"),
    (r"\frac{x^{1000}-1}{x-1}", r"\frac{x^{1000}}{x-1}"), ("2^{n}", "2^{n}+10^{-40}"),
    ("x + 10^{-50}", "x"), (r"\sin x + 10^{-40}", r"\sin x"), ("x=2y", "y=2x"),
    ("y=2x+1", "y=2x-1"), ("2^{100}=x", "x=2^{100}-1"), ("y=2^{100}x", "y=(2^{100}-1)x"),
    ("f'(x)", "f(x)"), ("x'", "x"), (r"\gcd(a,b)", r"\gcd(a,c)"), (r"\gcd(a,b)", "1"),
    ("a_1", "a_2"), ("ab", "ba+1"), (r"\log x", r"\ln x"), (r"\sqrt{x^2}", "x"), ("|x|", "x"),
    (r"\frac{x}{x}+1", "1"), ("1/2", "2"), ("-5", "5"), (r"\pm5", "5"), ("5", r"\pm5"),
    (r"2\pm\sqrt3", r"3\pm\sqrt2"), ("(1,2,3)", "(1,2)"), ("m+n=34", "33"), ("33=m+n+1", "34"),
    ("33", "m+n=34"), ("123456789012345678901234567890", "123456789012345678901234567891"),
    ("0.99999999999999999999999999999999", "1"), (r"0.\overline{9}8", "1"),
    ("10^{20}", "10^{20}+1"), (r"3^{50}\cdot 2", r"3^{50}\cdot 2+1"),
    (r"\frac{10^{30}}{3}", r"\frac{10^{30}+1}{3}"), ("(10^{30}, 1)", "(10^{30}+1, 1)"),
    (r"\{2^{100}\}", r"\{2^{100}+1\}"),
    (r"\begin{pmatrix}2^{100}\\1\end{pmatrix}", r"\begin{pmatrix}2^{100}+1\\1\end{pmatrix}"),
    ("[0,2^{100}]", "[0,2^{100}+1]"), (r"2^{100}\text{ cm}", "2^{100}+1"),
    (r"2^{100}\%", "2^{100}+1"), (r"\sqrt{2}^{200}", "2^{100}+1"), ("2^{100}i", "(2^{100}+1)i"),
    (r"\sqrt{2}\cdot10^{30}", r"\sqrt{2}\cdot 10^{30}+1"),
    (r"\lfloor 10^{30}\sqrt2\rfloor", r"\lfloor 10^{30}\sqrt2\rfloor+1"), ("e^{100}", "e^{100}+1"),
    (r"\ln(2^{1000}+1)", r"1000\ln 2"),
]  # fmt: skip


def test_equal_constants_and_formulas_are_accepted() -> None:
    verdicts = grade_all(EQUAL)
    assert [(p, v) for p, v in zip(EQUAL, verdicts, strict=True) if not v.correct] == []


def test_constants_and_formulas_that_nearly_agree_are_refused() -> None:
    verdicts = grade_all(UNEQUAL)
    assert [(p, v) for p, v in zip(UNEQUAL, verdicts, strict=True) if v.correct] == []


def test_a_floor_that_cannot_be_proved_is_undecided() -> None:
    pair = (r"\lfloor \sqrt{4n+1} \rfloor", r"\lfloor \sqrt{n} + \sqrt{n+1} \rfloor")
    (verdict,) = grade_all([pair])
    assert (verdict.correct, verdict.how, verdict.note) == (False, "undecided", "not proved")
