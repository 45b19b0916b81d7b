"""Answers of our own, one of each kind: what a file of problems may lack."""

from __future__ import annotations

ANSWERS = [
    "17", "6.0", "-3", r"\frac{3}{8}", r"\frac17", r"-\frac{22}{7}", "0.0009", "45,600", r"\$4.50",
    r"105^\circ", r"2\frac{3}{5}", "1021_3", r"\text{(D)}", r"\text{Monday}", r"\text{not enough}",
    r"7\sqrt{3}", r"9\pi", r"\frac{\sqrt{5}}{2}", "(4,-1)", "[2,6)", r"(-\infty,1]\cup(3,9)",
    r"\{-1,\sqrt2\}", "2, 9", r"2\pm\sqrt{5}", "(a+1)(b-3)", "3x^2-x+5", "y = 4x - 1",
    r"\begin{pmatrix} 1 \\ \frac12 \end{pmatrix}", r"4\text{ cm}", "12.75", r"\infty", "0", "D",
    "588", "3.14", "1, -2", "(3,2)", r"(-\infty,3]", r"(-\infty,\infty)", "A, C", "15",
    r"3\text{ hours }20\text{ minutes}", r"200\text{ minutes}", r"\text{parabola}", "1234567",
    r"(-\infty,2)\cup(2,\infty)", r"[-4,4]", "2, 3, 5", r"\left\lfloor \sqrt{n-1} \right\rfloor",
    r"\left\lceil \frac{n}{2} \right\rceil", "N^2", r"\frac{n(n+1)}{2}", "4+3i", "2^{n}-1",
    r"\frac{x^{40}-1}{x-1}", "n! + 1", r"\sin 2x", r"e^{x}+1", r"\ln 2", r"\log_2 3",
    r"\sqrt[3]{2}",
    r"\frac{1+\sqrt{5}}{2}", "(1,2,3)", r"x^2+y^2=25", r"k \pi", r"\frac{\pi}{6}", r"a^2 b - c",
    r"75\%", r"(0,1)\cup(1,4)", r"5 \text{ euros}", "16!", r"2^{10} \cdot 3^4", r"\binom{20}{10}",
]  # fmt: skip
