"""Answers as models write them: what is read as the answer, and what it is equal to."""

from __future__ import annotations

import asyncio

import pytest

from start_sdk.grading import Grader, grade_all
from start_sdk.trace import Segment, Trace

# (what the model wrote, the gold answer)
EXTRACTED = [
    ("### Solution\n\nFirst 3 + 4.\n\n$$\n70\n$$", "70"), ("**Answer**\n\n\\[\n70\n\\]\n", "70"),
    ("## Result\n\n\\[ x = 70 \\]", "70"), ("# Final\n\n$$x^2+1$$.", "x^2+1"),
    ("We get\n\\begin{align*}\nx &= 3 + 4\\\\\n&= 7\n\\end{align*}", "7"),
    ("We get\n\\begin{equation}\nx = 7\n\\end{equation}", "7"),
    ("We get\n$$\n\\begin{aligned}\nx &= 3 + 4\\\\\n&= 7\n\\end{aligned}\n$$", "7"),
    (r"\boxed{\ 70\ }", "70"), (r"\boxed{~70~}", "70"), (r"\boxed{\quad 70}", "70"),
    (r"\boxed{\;70\;}", "70"), (r"\boxed{70.}", "70"), (r"$\boxed{70}$.", "70"),
    (r"\boxed{\mathbf{70}}", "70"), (r"\boxed{\text{70}}", "70"), (r"\boxed{\textbf{70}}", "70"),
    (r"\boxed{\color{red}{70}}", "70"), (r"\boxed{\displaystyle\frac12}", "1/2"),
    (r"\boxed{\bf 70}", "70"), (r"\boxed{\mathrm{70}}", "70"), (r"\boxed{1}, \boxed{-2}", "1,-2"),
    (r"\boxed{1}, \boxed{-2}", r"\{1,-2\}"), (r"$\boxed{1}$ and $\boxed{-2}$", "-2, 1"),
    (r"$x=\boxed{1}$, $y=\boxed{2}$", "(1,2)"), (r"(a) \boxed{1} (b) \boxed{2}", "1,2"),
    (r"\[\boxed{1} \quad\text{or}\quad \boxed{2}\]", "1,2"),
    (r"Part (a): \boxed{3}. Part (b): \boxed{4}.", "3,4"),
    (r"$\boxed{x=1}$ or $\boxed{x=2}$", "1,2"), ("\\boxed{3}\n\n\\boxed{3}", "3"),
    (r"\boxed{3}和\boxed{5}", "3,5"), (r"\boxed{A} and \boxed{C}", "A,C"),
    (r"\boxed{3} oder \boxed{5}", "3,5"),
    (r"I get \boxed{3}. But wait, that's wrong. \boxed{4}", "4"),
    (r"\boxed{3} is wrong; \boxed{4}", "4"), ("The answer is 42.", "42"),
    ("The answer is: 42", "42"), ("So the answer is **42**.", "42"), ("**42**", "42"),
    ("Answer: $42$", "42"), ("ANSWER: 42", "42"), ("The final answer is therefore 42.", "42"),
    ("the answer would be 42", "42"), (r"Thus, our answer is $\frac{1}{2}$", "0.5"),
    ("The answer must be 42.", "42"), ("The correct answer is $42$", "42"),
    ("So we have the final result: 42", "42"),
    ("It follows that the total is **42 apples**.", "42"), ("Hence $x = 42$.", "42"),
    (r"Therefore, the value is $\boxed{42}$ as desired in 3 steps.", "42"), ("答案是12。", "12"),
    (r"答案为 $\frac{1}{2}$", "0.5"), ("故答案为：12", "12"), ("因此，最终答案是**12**。", "12"),
    ("所以结果是 12 个。", "12"), ("最终答案：12厘米", "12"), ("综上所述，$x=12$。", "12"), ("共有12种方法。", "12"),
    ("Die Antwort lautet 12.", "12"), ("Das Ergebnis ist 12,5.", "12.5"),
    ("Also ist die Lösung: $x=12$", "12"), ("Antwort: 12 Euro", "12"),
    ("Endergebnis: 1.234,5", "1234.5"), ("Die gesuchte Zahl ist 12.", "12"),
    ("La respuesta es 12.", "12"), ("La réponse est 12.", "12"),
    ("Die Lösungen sind 1 und 2.", "1,2"), ("Die richtige Antwort ist $12$.", "12"),
]  # fmt: skip
PRINTED = [
    ("5.88e2", "588"), ("5.88E+02", "588"), ("5e-05", "0.00005"), ("5e-05", r"5 \times 10^{-5}"),
    ("1e6", "1000000"), ("1e+06", "10^6"), ("5.0e-05", r"\frac{1}{20000}"),
    ("6.02e23", r"6.02 \times 10^{23}"), (r"6.02 \cdot 10^{23}", "6.02e23"), ("1e-7", "10^{-7}"),
    ("[1, 2, 3]", "1,2,3"), ("{1, 2, 3}", "1,2,3"), ("(1, 2)", "(1,2)"),
    ("[1, 2, 3]", r"\{1,2,3\}"), ("Fraction(1, 2)", r"\frac12"),
    ("[Fraction(1, 2), Fraction(3, 2)]", r"\frac12, \frac32"), ("(1+2j)", "1+2i"), ("1j", "i"),
    ("-1j", "-i"), ("(2-3j)", "2-3i"), ("sqrt(2)/2", r"\frac{\sqrt2}{2}"),
    ("3*sqrt(5)", r"3\sqrt5"), ("x**2 + 1", "x^2+1"), ("pi/4", r"\frac{\pi}{4}"), ("2*pi", r"2\pi"),
    ("exp(2)", "e^2"), ("oo", r"\infty"), ("-oo", r"-\infty"), ("0.3333333333333333", r"\frac13"),
    ("1.4142135623730951", r"\sqrt2"),
    ("Matrix([[1, 2], [3, 4]])", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
    ("[[1, 2], [3, 4]]", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"), ("True", r"\text{True}"),
    ("set()", r"\emptyset"), ("[]", r"\emptyset"), ("1 + 2*I", "1+2i"), ("I", "i"),
    ("['A', 'C']", "A, C"), ("42.0", "42"), ("2.5e-3", "0.0025"), ("-sqrt(3) + 2", r"2-\sqrt3"),
    ("array([1, 2])", "1,2"), ("[-2, 1]", "-2,1"), ("Interval(0, 1)", "[0,1]"), ("[3]", "3"),
    ("(3,)", "3"), ("{-1, 2}", r"\{-1,2\}"), ("FiniteSet(1, 2)", r"\{1,2\}"),
    ("[(1, 2), (3, 4)]", "(1,2),(3,4)"),
]  # fmt: skip
UNITS = [
    ("3 hours 20 minutes", r"3\text{ hours }20\text{ minutes}"),
    (r"3\text{ hours and }20\text{ minutes}", r"3\text{ hours }20\text{ minutes}"),
    ("200 minutes", r"3\text{ hours }20\text{ minutes}"), ("200", r"200\text{ minutes}"),
    ("5 m", r"500\text{ cm}"), ("500 cents", r"\$5"), ("5 euros", "5"), ("€5", r"5\text{ euros}"),
    ("5 €", "5"), ("£5", "5"), ("5 km/h", "5"), (r"5\text{ km/h}", "5"), (r"5\,\text{m/s}", "5"),
    (r"5\text{ m}^2", "5"), (r"5\text{ square meters}", r"5 \text{ m}^2"), ("5 kg", "5"),
    ("$5", r"\$5"), (r"5\%", "5"), (r"50 \text{ percent}", r"50\%"), ("12厘米", "12"),
    ("12 平方米", r"12\text{ m}^2"), ("30度", r"30^\circ"), (r"30\degree", "30"), (r"\$ 5.00", "5"),
    ("US$5", "5"), ("5 USD", r"\$5"), ("USD 5", "5"), ("5美元", r"\$5"), ("5元", "5"),
    (r"5\ \mathrm{cm}", "5"), (r"5 \mathrm{~cm}", "5"), ("1.5 hours", "90 minutes"),
    (r"5\text{ students}", "5"), (r"5 \text{ (cm)}", "5"), (r"x = 5\text{ cm}", "5"),
    (r"12\text{ feet }6\text{ inches}", "150 inches"), (r"7\frac12\text{ hours}", "7.5"),
]  # fmt: skip
SETS = [
    (r"\mathbb{R}", r"(-\infty,\infty)"), (r"x\in\mathbb{R}", r"(-\infty,\infty)"),
    (r"\{x\mid x\le3\}", r"(-\infty,3]"), (r"\{x : x \leq 3\}", r"(-\infty,3]"),
    (r"\{x \in \mathbb{R} \mid x \le 3\}", r"(-\infty,3]"), (r"(-\infty,3]", r"\{x\mid x\le3\}"),
    ("x <= 3", r"(-\infty,3]"), ("x >= 3", r"[3,\infty)"), (r"x\le3", "x <= 3"),
    (r"-1 \leq x \leq 3", "[-1,3]"), (r"x<1 \text{ or } x>3", r"(-\infty,1)\cup(3,\infty)"),
    ("x < 1 or x > 3", r"(-\infty,1)\cup(3,\infty)"), (r"x\neq 2", r"(-\infty,2)\cup(2,\infty)"),
    (r"\mathbb{R}\setminus\{2\}", r"(-\infty,2)\cup(2,\infty)"),
    (r"\mathbb{R}-\{2\}", r"(-\infty,2)\cup(2,\infty)"),
    (r"\mathbb{R}\setminus\{-1,2\}", r"(-\infty,-1)\cup(-1,2)\cup(2,\infty)"),
    (r"x\ne -1, 2", r"(-\infty,-1)\cup(-1,2)\cup(2,\infty)"), (r"x>1 \text{ and } x<3", "(1,3)"),
    (r"\{x \mid x<1 \text{ or } x>3\}", r"(-\infty,1)\cup(3,\infty)"),
    (r"1<x<3 \text{ or } x=5", r"(1,3)\cup\{5\}"), (r"[1,2]\cup[2,3]", "[1,3]"),
    (r"\emptyset", r"\varnothing"), (r"\{\}", r"\emptyset"), ("no solution", r"\text{no solution}"),
    (r"\text{all real numbers}", r"\mathbb{R}"), (r"a \in (1, 3)", "(1,3)"), ("1 < a < 3", "(1,3)"),
    (r"(-\infty, \infty)", r"\mathbb{R}"), (r"[0, +\infty)", r"[0,\infty)"), ("]1,3[", "(1,3)"),
    (r"\{1,2,3\}\setminus\{2\}", r"\{1,3\}"),
    (r"\left(-\infty,-\frac12\right)\cup\left(3,+\infty\right)", r"x<-\frac12 \text{ or } x>3"),
    (r"m \ge -\frac{1}{4}", r"[-\frac14,\infty)"), ("x∈(1,3)", "(1,3)"),
    (r"x \geqslant 3", r"[3,\infty)"), (r"\theta \in [0,\pi]", r"[0,\pi]"),
]  # fmt: skip
LABELS = [
    ("x = (1,2)", "(1,2)"), ("(x, y) = (3,2)", "(3,2)"), ("(a,b,c)=(1,2,3)", "(1,2,3)"),
    ("(x,y) = (1,2), (3,4)", "(1,2),(3,4)"), (r"(x,y) \in \{(1,2),(3,4)\}", "(1,2),(3,4)"),
    ("x = 3, y = 2", "(3,2)"), ("x=3 and y=2", "(3,2)"), ("a=1,b=2", "1,2"),
    (r"\text{Area} = 12", "12"), ("f(x) = x^2", "x^2"), ("y = x^2", "x^2"), ("AB = 12", "12"),
    (r"\angle ABC = 30^\circ", "30"), (r"\tan\theta = \frac12", r"\frac12"),
    ("P(X>3) = 0.5", "0.5"), ("x_1 = 1, x_2 = 2", "1,2"), ("x_{1}=1 或 x_{2}=2", "1,2"),
    ("x = 1 or x = 2", "1,2"), (r"S = \{1,2\}", r"\{1,2\}"), ("a_n = 2n+1", "2n+1"),
    (r"\boxed{n = 12}", "12"), ("|AB| = 5", "5"), (r"\vec{v} = (1,2)", "(1,2)"),
    ("A(1,2)", "(1,2)"), (r"\sqrt{2} \approx 1.414", r"\sqrt2"), (r"\approx 3.14", "3.14"),
    (r"x \approx 3.14", "3.14"), ("3.14", r"\approx 3.14"), (r"\pi", "3.14"),
    ("f^{-1}(x)=x+1", "x+1"), (r"\frac{dy}{dx} = 2x", "2x"), (r"\cos A = \frac{1}{2}", r"\frac12"),
    (r"x=1,\quad x=2", "1,2"), (r"x = \pm 2", "-2,2"), (r"f(x)=2x \text{ or } f(x)=-2x", "2x,-2x"),
]  # fmt: skip
WORDS = [
    (r"\text{A, C}", "A, C"), ("A,C", r"\text{A, C}"), (r"\text{A},\text{C}", "A, C"),
    (r"\text{A and C}", "A,C"), (r"\textbf{(C) }15", "15"), (r"\textbf{(C) }15", "C"),
    ("(C) 15", "15"), (r"\boxed{\textbf{(C)}~15}", "15"), (r"\text{(C)}", "C"),
    ("C", r"\textbf{(C)}"), (r"\boxed{C}", r"\text{(C) }15"), ("the parabola", r"\text{parabola}"),
    ("Yes", r"\text{yes}"), ("YES.", "Yes"), ("seven", "7"), (r"\text{seven}", "7"),
    ("Evelyn.", r"\text{Evelyn}"), ("The answer is Evelyn.", r"\text{Evelyn}"),
    (r"\boxed{\text{Evelyn}}", "Evelyn"), ("Monday", r"\text{monday}"),
    (r"\mathrm{even}", r"\text{even}"), (r"\textit{even}", "even"),
]  # fmt: skip
NUMBERS = [
    ("1021_3", "1021_{3}"), (r"1021_{\text{three}}", "1021_3"), ("1021 (base 3)", "1021_3"),
    ("1021 base 3", "1021_3"), ("1021_{(3)}", "1021_3"), ("(1021)_3", "1021_3"),
    ("0b1011", "1011_2"), ("0xFF", "FF_{16}"), ("2A_{16}", "2a_{16}"), ("12,345", "12345"),
    (r"12\,345", "12345"), ("12 345", "12345"), ("12'345", "12345"), ("12_345", "12345"),
    ("1.234.567", "1234567"), ("3{,}14", "3.14"), ("12{,}345", "12345"), ("3,14", "3.14"),
    ("½", "0.5"), ("−3", "-3"), ("x²+1", "x^2+1"), ("√2", r"\sqrt2"), ("3√2", r"3\sqrt2"),
    ("2π", r"2\pi"), ("10⁻³", "10^{-3}"), ("2³", "8"), ("x₁", "x_1"),
    (r"0.\overline{3}", r"\frac13"), (r"0.\overline{3}", r"0.\overline{3}"),
    (r"0.1\overline{6}", r"\frac16"), ("0.(3)", r"\frac13"), ("1:2", r"\frac12"), ("1:2", "1:2"),
    ("1 : 2", "1:2"),
]  # fmt: skip
OTHERS = [
    (r"\boxed{1}, \boxed{2}", "2"), (r"\boxed{1}", "1,2"), (r"\boxed{2} no, \boxed{3}", "2"),
    ("The answer is not 42. The answer is 41.", "42"), ("42 is wrong, the answer is 41", "42"),
    (r"\boxed{}", "42"), (r"\boxed{42} hmm, rather \boxed{43}", "42"), ("5 cm", "5 m"),
    ("5 m", "5 cm"), ("50 cm", "5 m"), ("5 euros", r"\$5"),
    ("3 hours 21 minutes", r"3\text{ hours }20\text{ minutes}"),
    ("3 hours", r"3\text{ hours }20\text{ minutes}"), ("20", r"3\text{ hours }20\text{ minutes}"),
    ("5 cents", r"\$5"), (r"5\text{ m}^2", r"5\text{ m}^3"), ("x<3", r"x\le3"),
    (r"\{x\mid x<3\}", r"(-\infty,3]"), (r"\mathbb{R}\setminus\{2\}", r"\mathbb{R}"),
    (r"x\ne2", r"x\ne3"), (r"x\ne 2", "2"), ("x>2", "2"), (r"x<1 \text{ or } x>3", "(1,3)"),
    (r"x>1 \text{ and } x<3", r"(-\infty,3)\cup(1,\infty)"), (r"(1,2)\cup(2,3)", "(1,3)"),
    (r"[1,2]\cup[3,4]", "[1,4]"), (r"\mathbb{Z}", r"\mathbb{R}"), (r"\mathbb{R}^+", r"\mathbb{R}"),
    (r"\emptyset", "0"), (r"(1,3)\setminus\{2\}", "(1,3)"), (r"x\ge 0", "x>0"), ("(2,3)", "(3,2)"),
    ("(y,x)=(3,2)", "(3,2)"), ("x=3,y=2", "(2,3)"), ("[1,2]", "(1,2)"), ("{1,2}", "(1,2)"),
    ("A,B", "A, C"), ("A", r"\text{A, C}"), ("A, B, C", "A, C"), (r"\textbf{(C) }15", "16"),
    (r"\textbf{(C) }15", "B"), ("circle", "ellipse"), ("the odd", "even"), ("seven", "8"),
    ("1021_4", "1021_3"), ("1022_3", "1021_3"), ("5.88e3", "588"), ("5e-04", "0.00005"),
    ("[1, 2, 4]", "1,2,3"), ("(1+2j)", "1-2i"), ("Fraction(1, 3)", r"\frac12"), ("1,234", "1.234"),
    ("12 345", "12346"), ("3,15", "3.14"), (r"\approx 3.15", "3.14"), (r"0.\overline{3}", "0.3"),
    ("1:3", "1:2"), ("2:1", "1:2"),
]  # fmt: skip


@pytest.mark.parametrize(
    "pairs",
    [EXTRACTED, PRINTED, UNITS, SETS, LABELS, WORDS, NUMBERS],
    ids=["extracted", "printed by Python", "units", "sets", "labels", "words", "numbers"],
)
def test_the_right_answer_is_accepted_however_it_is_written(pairs: list[tuple[str, str]]) -> None:
    verdicts = grade_all(pairs)
    assert [(p, v) for p, v in zip(pairs, verdicts, strict=True) if not v.correct] == []


def test_another_answer_is_refused_however_it_is_written() -> None:
    verdicts = grade_all(OTHERS)
    assert [(p, v) for p, v in zip(OTHERS, verdicts, strict=True) if v.correct] == []


def trace_of(response: str, thought: str = "Hm.") -> Trace:
    texts = [("prompt", "?"), ("thinking", thought), ("close", "</think>"), ("answer", response)]
    segments = [
        Segment.model_validate(
            {
                "source": "prompt" if phase == "prompt" else "model",
                "text": text, "token_ids": (), "phase": phase,
            }
        )
        for phase, text in texts
    ]  # fmt: skip
    return Trace(segments=tuple(segments), finish="eos")


@pytest.mark.parametrize(
    ("trace", "answer"),
    [
        (trace_of("The answer is 42."), "42"),
        (trace_of("It is 42."), "42"),
        (trace_of("So \\boxed{6}, no: \\boxed{42}", "\\boxed{6}"), "42"),
        (trace_of("### Result\n\n$$\n42\n$$"), "42"),
        (trace_of("", "So I get \\boxed{42}."), "42"),
        (trace_of("", "There are 42 of them."), None),
        (trace_of("I am not sure.", "So I get \\boxed{42}."), None),
    ],
)
def test_a_trace_is_graded_by_its_response_or_else_by_what_its_prose_states(
    trace: Trace, answer: str | None
) -> None:
    (verdict,) = grade_all([(trace, "42")])
    assert verdict.correct == (answer is not None)
    assert not verdict.correct or verdict.answer == answer


@pytest.mark.parametrize("kind", ["choice", "math"])
@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("Hence \\boxed{\\langle H\\rangle \\ll \\Delta E}.\n\n**Answer: D**", "D"),
        ("We get \\boxed{E = 12.5\\ \\mathrm{eV}}.\n\nAnswer: D", "D"),
        ("As \\boxed{f(A) = 3}, it is option C.", "C"),
        (r"So \boxed{\text{C: some text}}", "C"),
        (r"So \boxed{\textbf{(C) }15}", "C"),
        ("因此答案选B。", "B"),
        ("故选：C", "C"),
        ("正确答案是（D）", "D"),
        ("Antwort:\n\nAntwort: C", "C"),
        ("Die richtige Antwort ist B.", "B"),
    ],
)
def test_a_letter_is_found_behind_formulas_and_in_other_languages(
    text: str, letter: str, kind: str
) -> None:
    async def grade(gold: str) -> bool:
        async with Grader() as grader:
            return (
                await grader.grade(text, gold, "choice" if kind == "choice" else "math")
            ).correct

    assert asyncio.run(grade(letter))
    assert not asyncio.run(grade("A"))
