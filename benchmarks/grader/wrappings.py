"""Wrappings: ways in which a response presents its answer.

Each rule writes whole responses around an answer. Words, labels and units around the answer belong
here; other notations of the answer itself are in `notations.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from benchmarks.grader.writing import (
    INT,
    LETTER,
    THOUSANDS,
    Rule,
    around,
    is_value,
    items_of,
    list_of,
    matching,
    named,
)


def box_for_each_item(gold: str, problem: str) -> Iterator[str]:
    boxes = [rf"\boxed{{{item}}}" for item in list_of(gold)]
    if len(set(boxes)) > 1:
        yield "The values are " + ", ".join(boxes)
        yield ", ".join(boxes[:-1]) + " and " + boxes[-1]
        yield "$" + "$ or $".join(f"x = {box}" for box in boxes) + "$."
        yield "\\[\n" + r",\quad ".join(boxes) + "\n\\]"


def label(gold: str, problem: str) -> Iterator[str]:
    if re.search(r"=|\\in\b|\\text", gold) or re.fullmatch(LETTER, gold):
        return
    opening, items, closing = items_of(gold) or ("", [], "")
    if opening + closing == "()" and len(items) in (2, 3):
        if r"\infty" not in gold:
            names = ", ".join("xyz"[: len(items)])
            yield from (f"({names}) = {gold}", rf"\boxed{{({names})={gold}}}", f"P = {gold}")
            yield f"({','.join('abc'[: len(items)])}) = {gold}"
    elif opening == r"\{" or is_value(gold) or re.fullmatch(THOUSANDS, gold):
        yield from (rf"\boxed{{T = {gold}}}", f"$$\nS_2 = {gold}\n$$")


def chain_of_equations(gold: str, problem: str) -> Iterator[str]:
    if re.fullmatch(r"\d{1,18}", gold):
        n = int(gold)
        yield rf"\boxed{{m+n = {n - 1} + 1 = {n}}}"
        yield f"Adding up gives\n\n$$\n{n + 7} - 7 = {n}\n$$"
        yield rf"\[ f(2) = {2 * n} / 2 = {n}. \]"


def joined_by_words(gold: str, problem: str) -> Iterator[str]:
    found = list_of(gold)
    if found and not re.search("text|=", gold):
        items, last = ", ".join(found[:-1]), found[-1]
        yield rf"\boxed{{{items} \text{{ and }} {last}}}"
        yield rf"\boxed{{{items}\text{{ or }}{last}}}"
        yield rf"\boxed{{{'、'.join(found)}}}"
        yield rf"\boxed{{x={'或x='.join(found)}}}"
        yield rf"\boxed{{{items} und {last}}}"


WRAPPINGS: dict[str, Rule] = {
    **named(box_for_each_item, label, chain_of_equations, joined_by_words),
    "a sentence around": around(
        "The answer is $<0>$.",
        "Adding the three cases, we find 17 + 4 = 21.\n\nTherefore, the final answer is <0>.",
        "We tried 3 ways.\n\n**Final Answer:** $<0>$",
        r"Thus the value is \boxed{<0>}, as was to be shown in 2 steps.",
        "After step 2 only one value is left, which is $<0>$.",
    ),
    "heading and display": around(
        "### Answer\n\n$$\n<0>\n$$",
        "Both cases give the same.\n\n**Result**\n\n\\[\n<0>\n\\]",
        "## Solution\n\nWe add the 3 parts.\n\n## Final Answer\n$$ <0> $$",
    ),
    "spaces in a box": around(
        *(r"\boxed{\ <0>\ }", r"So \boxed { <0> }.", r"\boxed{\,<0>\,}", "\\boxed{\n<0>\n}")
    ),
    "fbox, nested box": around(
        *(r"Hence \fbox{<0>}.", r"We get $\fbox{$<0>$}$ in 2 steps."),
        *(r"\[ \boxed{\displaystyle <0>} \]", r"$$\boxed{\boxed{<0>}}$$"),
    ),
    "$ in a box": around(r"\boxed{$<0>$}", r"So $\boxed{<0>}$.", r"\boxed{\(<0>\)}"),
    "the answer is": around(
        "We have 3 cases. The answer is: $<0>$. I hope it is correct.",
        r"Hence, the final answer is \(<0>\).",
        "**Final Answer**: The final answer is $<0>$",
        "Final answer:\n\n<0>",
    ),
    "bold": matching(
        (r"[^*]*", "After 2 steps we have the answer: **$<0>$**", "**Answer:** $<0>$"),
        (r"[^*]*", "**Answer: $<0>$**", "The 3 terms add up.\n\n**$<0>$**"),
    ),
    "Chinese phrase": around(
        *("共有3种情况，所以答案是 $<0>$。", "综上，最终答案为：$<0>$。"),
        *("**答案：** $<0>$", r"因此，答案为\(\boxed{<0>}\)。"),
    ),
    "German phrase": around(
        *("Es gibt 3 Fälle. Die Antwort ist $<0>$.", "Die Lösung lautet: $<0>$"),
        *("**Antwort:** $<0>$", "Das Endergebnis ist $<0>$."),
    ),
    "after a correction": around(
        r"I get \boxed{977}, but that is wrong. It is \boxed{<0>}.",
        r"\boxed{977}. Wait, I forgot a case. So the answer is \boxed{<0>}.",
    ),
    "said twice": around(
        r"\boxed{<0>}. Check: 2 + 3 = 5, so \boxed{<0>}.",
        "**Answer**\n\n\\[\n\\boxed{<0>}\n\\]\n\n\\boxed{<0>}",
    ),
    "empty box beside": around(
        r"The answer goes into \boxed{}, so I write \boxed{<0>}.",
        r"\boxed{<0>} is the answer, as asked for in \boxed{}.",
    ),
    "approximately": matching((r"-?\d*\.\d+", r"\boxed{\approx <0>}", r"x \approx <0>", "≈ <0>")),
    "option label": matching(
        (INT, r"\boxed{\textbf{(C) }<0>}", r"$\boxed{\textbf{(B)}\ <0>}$"),
        (INT, r"\boxed{\text{(D) } <0>}"),
        (LETTER, r"\boxed{\textbf{(<1>) }15}", r"So \boxed{x^2 \ll 5}." + "\n\n**Answer: <1>**"),
        (LETTER, "因此答案选<1>。", "Antwort: <1>"),
    ),
}
