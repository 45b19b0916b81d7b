"""Arithmetic questions, and the calculator that judges answers to them."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """Two numbers and what to do with them."""

    left: int
    sign: str
    right: int

    def __str__(self) -> str:
        return f"What is {self.left} {self.sign} {self.right}?"

    @property
    def result(self) -> int:
        """What Python makes of it."""
        a, b = self.left, self.right
        return {"+": a + b, "-": a - b, "*": a * b}[self.sign]

    def is_answered_by(self, answer: str | None) -> bool:
        """Whether the last number of an answer is the result: "12 * 13 = 156" answers 156."""
        return numbers(answer or "")[-1:] == [self.result]

    def is_printed_in(self, outputs: Iterable[str]) -> bool:
        """Whether the result is among the numbers of an output."""
        return any(self.result in numbers(output) for output in outputs)


def numbers(text: str) -> list[float]:
    """The numbers of a text, in order."""
    found = re.findall(r"-?\d[\d,]*(?:\.\d+)?", text)
    return [float(number.replace(",", "")) for number in found]


def draw(count: int, seed: int) -> list[Question]:
    """Different questions: products of two digits, sums and differences of three."""
    noise = random.Random(seed)
    found: dict[Question, None] = {}
    while len(found) < count:
        sign = noise.choice("+-*")
        digits = (10, 99) if sign == "*" else (100, 999)
        left, right = noise.randint(*digits), noise.randint(*digits)
        found[Question(max(left, right), sign, min(left, right))] = None
    return list(found)
