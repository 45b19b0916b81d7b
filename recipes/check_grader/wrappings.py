"""Wrappings: ways in which a response presents its answer.

Each rule writes whole responses around an answer. Words, labels and units around the answer belong
here; other notations of the answer itself are in `rewritings.py` and `notations.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from recipes.check_grader.writing import (
    Rule,
    has_thousands,
    is_letter,
    is_value,
    items_of,
)


def heading_and_display(gold: str, problem: str) -> Iterator[str]:
    yield f"### Answer\n\n$$\n{gold}\n$$"
    yield f"Both cases give the same.\n\n**Result**\n\n\\[\n{gold}\n\\]"
    yield f"## Solution\n\nWe add the 3 parts.\n\n## Final Answer\n$$ {gold} $$"


def spaces_in_a_box(gold: str, problem: str) -> Iterator[str]:
    yield from (rf"\boxed{{\ {gold}\ }}", rf"So \boxed {{ {gold} }}.", rf"\boxed{{\,{gold}\,}}")
    yield f"\\boxed{{\n{gold}\n}}"


def other_boxes(gold: str, problem: str) -> Iterator[str]:
    yield from (rf"Hence \fbox{{{gold}}}.", rf"We get $\fbox{{${gold}$}}$ in 2 steps.")
    yield from (rf"\[ \boxed{{\displaystyle {gold}}} \]", rf"$$\boxed{{\boxed{{{gold}}}}}$$")


def dollars_in_a_box(gold: str, problem: str) -> Iterator[str]:
    yield from (rf"\boxed{{${gold}$}}", rf"So $\boxed{{{gold}}}$.", rf"\boxed{{\({gold}\)}}")


def the_answer_is(gold: str, problem: str) -> Iterator[str]:
    yield f"We have 3 cases. The answer is: ${gold}$. I hope it is correct."
    yield rf"Hence, the final answer is \({gold}\)."
    yield f"**Final Answer**: The final answer is ${gold}$"
    yield f"Final answer:\n\n{gold}"


def bold(gold: str, problem: str) -> Iterator[str]:
    if "*" not in gold:
        yield f"After 2 steps we have the answer: **${gold}$**"
        yield f"**Answer:** ${gold}$"
        yield f"**Answer: ${gold}$**"
        yield f"The 3 terms add up.\n\n**${gold}$**"


def chinese_phrase(gold: str, problem: str) -> Iterator[str]:
    yield f"共有3种情况，所以答案是 ${gold}$。"
    yield f"综上，最终答案为：${gold}$。"
    yield f"**答案：** ${gold}$"
    yield rf"因此，答案为\(\boxed{{{gold}}}\)。"


def german_phrase(gold: str, problem: str) -> Iterator[str]:
    yield f"Es gibt 3 Fälle. Die Antwort ist ${gold}$."
    yield f"Die Lösung lautet: ${gold}$"
    yield f"**Antwort:** ${gold}$"
    yield f"Das Endergebnis ist ${gold}$."


def after_a_correction(gold: str, problem: str) -> Iterator[str]:
    yield rf"I get \boxed{{977}}, but that is wrong. It is \boxed{{{gold}}}."
    yield rf"\boxed{{977}}. Wait, I forgot a case. So the answer is \boxed{{{gold}}}."


def said_twice(gold: str, problem: str) -> Iterator[str]:
    yield rf"\boxed{{{gold}}}. Check: 2 + 3 = 5, so \boxed{{{gold}}}."
    yield f"**Answer**\n\n\\[\n\\boxed{{{gold}}}\n\\]\n\n\\boxed{{{gold}}}"


def empty_box_beside(gold: str, problem: str) -> Iterator[str]:
    yield rf"The answer goes into \boxed{{}}, so I write \boxed{{{gold}}}."
    yield rf"\boxed{{{gold}}} is the answer, as asked for in \boxed{{}}."


def box_for_each_item(gold: str, problem: str) -> Iterator[str]:
    found = items_of(gold)
    if found and found[0] == "" and len(set(found[1])) > 1:
        boxes = [rf"\boxed{{{item}}}" for item in found[1]]
        yield "The values are " + ", ".join(boxes)
        yield ", ".join(boxes[:-1]) + " and " + boxes[-1]
        yield "$" + "$ or $".join(f"x = {box}" for box in boxes) + "$."
        yield "\\[\n" + r",\quad ".join(boxes) + "\n\\]"


def label(gold: str, problem: str) -> Iterator[str]:
    if "=" in gold or r"\in" in gold.replace(r"\infty", "") or r"\text" in gold or is_letter(gold):
        return
    found = items_of(gold)
    if found and found[0] == "(" and found[2] == ")" and len(found[1]) in (2, 3):
        names = ", ".join("xyz"[: len(found[1])])
        if r"\infty" not in gold:
            yield from (f"({names}) = {gold}", rf"\boxed{{({names})={gold}}}", f"P = {gold}")
            yield rf"(a,b{',c' if len(found[1]) == 3 else ''}) = {gold}"
    elif (found and found[0] == r"\{") or is_value(gold) or has_thousands(gold):
        yield from (rf"\boxed{{T = {gold}}}", f"$$\nS_2 = {gold}\n$$")


def chain_of_equations(gold: str, problem: str) -> Iterator[str]:
    if re.fullmatch(r"\d{1,18}", gold):
        n = int(gold)
        yield rf"\boxed{{m+n = {n - 1} + 1 = {n}}}"
        yield f"Adding up gives\n\n$$\n{n + 7} - 7 = {n}\n$$"
        yield rf"\[ f(2) = {2 * n} / 2 = {n}. \]"


def approximately(gold: str, problem: str) -> Iterator[str]:
    if re.fullmatch(r"-?\d*\.\d+", gold):
        yield from (rf"\boxed{{\approx {gold}}}", rf"x \approx {gold}", f"≈ {gold}")


def option_label(gold: str, problem: str) -> Iterator[str]:
    if re.fullmatch(r"-?\d+", gold):
        yield from (rf"\boxed{{\textbf{{(C) }}{gold}}}", rf"$\boxed{{\textbf{{(B)}}\ {gold}}}$")
        yield rf"\boxed{{\text{{(D) }} {gold}}}"
    elif is_letter(gold) and (letter := re.search("[A-E]", re.sub(r"\\\w+", "", gold))):
        yield rf"\boxed{{\textbf{{({letter[0]}) }}15}}"
        yield r"So \boxed{x^2 \ll 5}." + f"\n\n**Answer: {letter[0]}**"
        yield f"因此答案选{letter[0]}。"
        yield f"Antwort: {letter[0]}"


def joined_by_words(gold: str, problem: str) -> Iterator[str]:
    found = items_of(gold)
    if found and found[0] == "" and not re.search("text|=", gold):
        items, last = ", ".join(found[1][:-1]), found[1][-1]
        yield rf"\boxed{{{items} \text{{ and }} {last}}}"
        yield rf"\boxed{{{items}\text{{ or }}{last}}}"
        yield "\\boxed{" + "、".join(found[1]) + "}"
        yield f"\\boxed{{x={'或x='.join(found[1])}}}"
        yield "\\boxed{" + f"{items} und {last}" + "}"


WRAPPINGS: dict[str, Rule] = {
    "heading and display": heading_and_display,
    "spaces in a box": spaces_in_a_box,
    "fbox, nested box": other_boxes,
    "$ in a box": dollars_in_a_box,
    "the answer is": the_answer_is,
    "bold": bold,
    "Chinese phrase": chinese_phrase,
    "German phrase": german_phrase,
    "after a correction": after_a_correction,
    "said twice": said_twice,
    "empty box beside": empty_box_beside,
    "box for each item": box_for_each_item,
    "label": label,
    "chain of equations": chain_of_equations,
    "approximately": approximately,
    "option label": option_label,
    "joined by words": joined_by_words,
}
