"""Compares an answer with the gold answer without computer algebra, where possible.

Pairs that stay undecided go to a worker process (`_grader.py`), which runs `_engine.py`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

from start_sdk.grading._extract import choice_letter
from start_sdk.grading._normalise import OPTION, Answer, normalise
from start_sdk.grading._numbers import approximates, number
from start_sdk.grading._units import ratio
from start_sdk.values import Frozen

How = Literal["exact", "normalised", "symbolic", "numeric", "choice", "undecided"]
_LETTER = re.compile(r"\(?[A-J]\)?")


class Verdict(Frozen):
    """Whether an answer is correct, and how this was decided."""

    correct: bool
    """Never true if undecided."""
    how: How
    """"exact": the same characters; "normalised": compared after `normalise`; "numeric": numbers
    were compared; "symbolic": computer algebra, or the shape of lists, sets and intervals;
    "choice": letters were compared; "undecided": no answer, or none that can be read."""
    answer: str | None = None
    """The extracted answer."""
    note: str = ""
    """Why it is undecided, or what differs besides the number ("mm, not cm")."""


def grade_choice(text: str | None, gold: str, letters: str = "ABCDEFGHIJ") -> Verdict:
    """Compares the letter chosen in a response with the gold one ("B", "(B)")."""
    letter = choice_letter(text, letters) if text else None
    if letter is None:
        return Verdict(correct=False, how="undecided", note="no letter")
    return Verdict(correct=letter == choice_letter(gold, letters), how="choice", answer=letter)


def is_letter(gold: str) -> bool:
    r"""Whether a gold answer is an option, or its letter: `C`, `\text{(C)}`, `\textbf{(C) }15`."""
    return bool(_LETTER.fullmatch(normalise(gold).text) or OPTION.match(gold))


def compare_texts(answer: str, gold: str) -> Verdict | None:
    """The verdict on an extracted answer if text and plain numbers decide it, else None."""
    if answer.strip() == gold.strip():
        return Verdict(correct=True, how="exact", answer=answer)
    ours, right = normalise(answer), normalise(gold)
    a, b = number(ours.text), number(right.text)
    if ours.unit and right.unit and ours.unit != right.unit and a is not None and b is not None:
        factor = ratio(ours.unit, right.unit)
        if factor is not None and a * factor == b:
            return Verdict(correct=True, how="numeric", answer=answer)
    if conflict := _conflict(ours, right):
        return Verdict(correct=False, how="normalised", answer=answer, note=conflict)
    if ours.words or right.words:
        word, gold_word = (side.text.rpartition("=")[2].strip() for side in (ours, right))
        same = word.casefold() == gold_word.casefold()
        return Verdict(correct=same, how="normalised", answer=answer)
    if a is not None and b is not None and right.base is None:
        return _compare_numbers(answer, ours, right, a, b)
    if ours.text == right.text + right.unit and right.unit:  # `5m` is a product if read alone
        return Verdict(correct=True, how="normalised", answer=answer)
    if ours.text == right.text or right.base is not None:
        return Verdict(correct=ours.text == right.text, how="normalised", answer=answer)
    comma = re.fullmatch(r"(-?\d+),(\d+)", ours.text)
    point = f"{comma[1]}.{comma[2]}" if comma else ""
    if comma and (point == right.text or (comma[1] == "0" and number(point) == b)):
        # A comma for the point, as in German; "1,234" has been read as one number above.
        return Verdict(correct=True, how="normalised", answer=answer)
    return None


def _conflict(ours: Answer, right: Answer) -> str:
    """Why two answers differ whatever their numbers are (unit, base), or ""."""
    if ours.unit and right.unit and ours.unit != right.unit:
        return f"{ours.unit}, not {right.unit}"
    # The base may be omitted, since the problem states it; base ten is the default.
    if ours.base not in (None, right.base) and (ours.base, right.base) != (10, None):
        return f"base {ours.base}, not {right.base or 10}"
    return ""


def _compare_numbers(answer: str, ours: Answer, right: Answer, a: Fraction, b: Fraction) -> Verdict:
    same_text = ours.text == right.text and ours.percent == right.percent
    if ours.percent != right.percent:
        # If the problem asks for percents, the sign is a unit: it may be omitted, or added to a
        # number that is not a fraction of one. Otherwise 50% equals 0.5.
        as_unit = right.percent or abs(b) >= 1
        ours_as_value, value = (a / 100 if ours.percent else a), (b / 100 if right.percent else b)
        as_value = ours_as_value == value or (
            ours.percent and approximates(ours.text, 100 * b, right.text)
        )
        return Verdict(correct=(as_unit and a == b) or as_value, how="numeric", answer=answer)
    correct = (
        a == b or approximates(ours.text, b, right.text) or approximates(right.text, a, ours.text)
    )
    return Verdict(correct=correct, how="normalised" if same_text else "numeric", answer=answer)
