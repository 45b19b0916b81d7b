"""Compares an answer with the right one as far as that goes without computer algebra.

What is undecided here goes to a worker process (`grader.py`), which runs `engine.py`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

from start_sdk.grading._extract import choice_letter
from start_sdk.grading._normalise import Answer, is_decimal, normalise, number
from start_sdk.trace import Frozen

How = Literal["exact", "normalised", "symbolic", "numeric", "choice", "undecided"]
_LETTER = re.compile(r"\(?([A-J])\)?")


class Verdict(Frozen):
    """Whether an answer is right, and how that was found."""

    correct: bool
    """Never true for what is undecided."""
    how: How
    """"exact": the same characters; "normalised": the same after the rules of `normalise`;
    "numeric": numbers were compared; "symbolic": computer algebra, or the shape of lists, sets
    and intervals; "choice": letters were compared; "undecided": no answer, or none readable."""
    answer: str | None = None
    """What was taken for the answer."""
    note: str = ""
    """Why it is undecided, or what differs beside the number ("mm, not cm")."""


def grade_choice(text: str | None, gold: str, letters: str = "ABCDEFGHIJ") -> Verdict:
    """Compares the letter that a response chose with the right one ("B", "(B)")."""
    letter = choice_letter(text, letters) if text else None
    if letter is None:
        return Verdict(correct=False, how="undecided", note="no letter")
    return Verdict(correct=letter == choice_letter(gold, letters), how="choice", answer=letter)


def is_letter(gold: str) -> bool:
    r"""Whether a gold answer is the letter of an option: `C`, `(C)`, `\text{(C)}`."""
    return _LETTER.fullmatch(normalise(gold).text) is not None


def compare_texts(answer: str, gold: str) -> Verdict | None:
    """The verdict on an extracted answer, if characters and plain numbers decide it; else None."""
    if answer.strip() == gold.strip():
        return Verdict(correct=True, how="exact", answer=answer)
    ours, right = normalise(answer), normalise(gold)
    if conflict := _conflict(ours, right):
        return Verdict(correct=False, how="normalised", answer=answer, note=conflict)
    if ours.words or right.words:
        same = ours.text.casefold() == right.text.casefold()
        return Verdict(correct=same, how="normalised", answer=answer)
    a, b = number(ours.text), number(right.text)
    if a is not None and b is not None and right.base is None:
        return _compare_numbers(answer, ours, right, a, b)
    if ours.text == right.text or right.base is not None:
        return Verdict(correct=ours.text == right.text, how="normalised", answer=answer)
    return None


def _conflict(ours: Answer, right: Answer) -> str:
    """Why two answers differ, whatever their numbers are; "" if nothing beside them says so."""
    if ours.unit and right.unit and ours.unit != right.unit:
        return f"{ours.unit}, not {right.unit}"
    # The base may be left out, as the problem asks for it; a number in base ten is itself.
    if ours.base not in (None, right.base) and (ours.base, right.base) != (10, None):
        return f"base {ours.base}, not {right.base or 10}"
    return ""


def _compare_numbers(answer: str, ours: Answer, right: Answer, a: Fraction, b: Fraction) -> Verdict:
    same_text = ours.text == right.text and ours.percent == right.percent
    if ours.percent != right.percent:
        # The sign is a unit where the problem asks for percents: then it may be left out, or put
        # behind a number that is no share of one. Otherwise 50% is 0.5.
        as_unit = right.percent or abs(b) >= 1
        as_value = (a / 100 if ours.percent else a) == (b / 100 if right.percent else b)
        return Verdict(correct=(as_unit and a == b) or as_value, how="numeric", answer=answer)
    correct = a == b or stands_for(ours.text, b, right.text) or stands_for(right.text, a, ours.text)
    return Verdict(correct=correct, how="normalised" if same_text else "numeric", answer=answer)


def stands_for(decimal: str, value: Fraction, written: str) -> bool:
    """Whether a decimal such as 0.333333 is meant for a value that it cannot write.

    It needs six significant digits, and may be off by less than one in its last place (rounded
    or cut). A value that is `written` as a decimal itself is compared exactly.
    """
    digits = re.fullmatch(r"-?(\d+)\.(\d+)", decimal)
    if not digits or is_decimal(written):
        return False
    significant = len((digits[1] + digits[2]).lstrip("0"))
    return significant >= 6 and abs(Fraction(decimal) - value) < Fraction(1, 10 ** len(digits[2]))
