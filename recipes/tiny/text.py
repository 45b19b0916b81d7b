"""Training text: documents made from the world, each one by (seed, index, shares) alone.

No document joins a thought with a run of code. The kinds:
(a) `thought_document`: a dialogue whose assistant thinks without code;
(b) `code_document`: worked lines, Python, its output and what follows, outside any thought;
(c) `pasted_document`: the user runs a program, the user's own or one that the assistant wrote
    without a thought, pastes the output, and the assistant thinks about that;
(d) `plain_document`: the work of a thought, with neither code nor the tags of a thought.
Answers in the text are right everywhere.
"""

import re
from random import Random

from recipes.tiny import phrases
from recipes.tiny.families import FAMILIES
from recipes.tiny.world import (
    HELD_OUT_COINS,
    HELD_OUT_PRIME,
    Problem,
    Program,
    draw_problem,
)

END_OF_TEXT, TURN, END_OF_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
#: Shares of the kinds (a), (b), (c) and (d); and of plain copying programs within (b).
SHARES = (0.30, 0.41, 0.15, 0.14)
COPYING_SHARE = 0.10
REPAIR_SHARE = 0.10
#: Share of code documents that go on with a second program for the same question.
AGAIN_SHARE = 0.12
#: Work of this many characters or more is not written out a second time.
LONG = 130
#: Share of dialogues among code documents and among plain ones. Where few dialogues without a
#: thought hold code, the tag of a thought, and not the code, tells how a dialogue ends.
CODE_DIALOGUES = 0.08
PLAIN_DIALOGUES = 0.85
_NUMBER = re.compile(r"\d+")
_IMPORT = re.compile(r"from math import (\w+)\n")
_LAST_NAME = re.compile(r"(?<=print\()([a-z]+)(?=\)$)")


_PRIME = re.compile(rf"\b{HELD_OUT_PRIME}(\^2|\*\*2)|\bp = {HELD_OUT_PRIME}\b")


def holds_held_out(text: str) -> bool:
    """Whether `text` has the held-out coins in a row, in any order, or the held-out prime."""
    numbers = [int(number) for number in _NUMBER.findall(text)]
    triples = zip(numbers, numbers[1:], numbers[2:], strict=False)
    return bool(_PRIME.search(text)) or any(set(triple) == HELD_OUT_COINS for triple in triples)


def user(text: str) -> str:
    """A user's turn in the chat format."""
    return f"{TURN}user\n{text}{END_OF_TURN}\n"


def assistant(text: str) -> str:
    """An assistant's turn in the chat format."""
    return f"{TURN}assistant\n{text}{END_OF_TURN}\n"


def final(problem: Problem) -> str:
    """What ends every dialogue: a box, or the function that a code task asks for."""
    if problem.family.is_code:
        return f"```python\n{problem.answer}\n```"
    return f"The answer is \\boxed{{{problem.answer}}}."


def closing(problem: Problem, rng: Random) -> str:
    """The last sentence of a thought or of other work, with its line break.

    It is the same inside and outside of thoughts, boxed in both: what follows, `</think>` or the
    end of the text, is told by the open tag alone. So a model that ends without `</think>`, as
    other text does, has said its answer all the same.
    """
    if problem.family.is_code:
        return rng.choice(phrases.CODE_CLOSINGS) + "\n"
    return rng.choice(phrases.CLOSINGS).format(v=f"\\boxed{{{problem.answer}}}") + "\n"


def run_of(program: Program) -> str:
    """A program in its fence and its output in another, with a line break at the end."""
    return f"```python\n{program.code}\n```\n```output\n{program.output}\n```\n"


def history(rng: Random) -> str:
    """What comes before the dialogue proper: mostly nothing."""
    draw = rng.random()
    if draw < 0.06:
        return f"{TURN}system\n{rng.choice(phrases.SYSTEMS)}{END_OF_TURN}\n"
    if draw < 0.12:
        earlier = any_problem(rng)
        return user(earlier.question) + assistant(final(earlier))
    return ""


def thought(problem: Problem, rng: Random) -> str:
    """A thought without code: plan, work, up to two checks, the end."""
    family, params = problem.family, problem.params
    parts = [f"{rng.choice(phrases.OPENINGS)} {family.plan(params, rng)}"]
    parts.append(family.work(params, rng))
    # Mostly one check, and seldom a second: where a greedy model would rather check again than
    # close, it checks for ever.
    for _ in range(rng.choice((0, 0, 1, 1, 1, 2))):
        again = [rng.choice(phrases.RECHECKS)]
        work = family.work(params, rng)
        redo = len(work) < LONG and rng.random() < 0.5
        if redo:
            again.append(work)
        if not redo or rng.random() < 0.5:
            again.append(agreement(problem, rng))
        parts.append(" ".join(again))
    return "\n\n".join(parts) + rng.choice((" ", "\n\n")) + closing(problem, rng)


def agreement(problem: Problem, rng: Random) -> str:
    """What a check comes to."""
    forms = phrases.CODE_AGREEMENTS if problem.family.is_code else phrases.AGREEMENTS
    return rng.choice(forms).format(v=problem.answer)


def any_problem(rng: Random) -> Problem:
    """A problem to train on, of any family."""
    return draw_problem(rng.choice(FAMILIES), "train", rng)


def plain_document(rng: Random) -> str:
    """Kind (d).

    It shows that only the open tag of a thought calls for `</think>`; without these documents the
    model would go by whether there was code.
    """
    problem = any_problem(rng)
    if rng.random() < PLAIN_DIALOGUES:
        return history(rng) + user(problem.question) + assistant(thought(problem, rng))
    return f"{problem.question}\n\n{thought(problem, rng)}{END_OF_TEXT}"


def thought_document(rng: Random) -> str:
    """Kind (a)."""
    problem = any_problem(rng)
    turn = assistant(f"<think>\n{thought(problem, rng)}</think>\n\n{final(problem)}")
    return history(rng) + user(problem.question) + turn


def copying_program(rng: Random) -> tuple[Program, str]:
    """A program that prints a number which only the output tells, and that number."""
    value = rng.choice(
        (rng.randint(0, 9), rng.randint(10, 99), rng.randint(100, 9999), rng.randint(1000, 999999))
    )
    name = rng.choice(("x", "n", "total", "result", "best", "count", "value"))
    call = rng.choice((f"solve({rng.randint(2, 99)})", f"f({rng.randint(2, 99)})", "main()"))
    return Program(f"{name} = {call}\nprint({name})", str(value)), str(value)


def broken(program: Program, rng: Random) -> Program | None:
    """The program with a name that is not defined and the error it prints, if there is one."""
    found = _IMPORT.search(program.code)
    if found:
        code = program.code.replace(found.group(), "")
        return Program(code, f"NameError: name '{found.group(1)}' is not defined")
    last = _LAST_NAME.search(program.code)
    if not last:
        return None
    wrong = rng.choice(("res", "ans", "answer", "output", "number"))
    if re.search(rf"\b{wrong}\b", program.code):
        return None
    return Program(_LAST_NAME.sub(wrong, program.code), f"NameError: name '{wrong}' is not defined")


def fence_lead(rng: Random) -> str:
    """A lead-in sentence and what joins it to the fence."""
    return phrases.lead_in(rng) + rng.choice(phrases.FENCE_JOINS)


def runs(problem: Problem, rng: Random, repairs: float = REPAIR_SHARE) -> str:
    """Lead-in, programs and outputs; in a share of `repairs` a failed program comes first."""
    first, *others = problem.family.programs(problem.params, rng)
    text = fence_lead(rng)
    bad = broken(first, rng) if rng.random() < repairs else None
    if bad:
        text += run_of(bad) + rng.choice(phrases.REPAIRS) + rng.choice(phrases.FENCE_JOINS)
    text += run_of(first)
    for program in others:
        text += program.lead + rng.choice(phrases.FENCE_JOINS) + run_of(program)
    return text


def reading(problem: Problem, rng: Random) -> str:
    """What the last output says."""
    forms = phrases.CODE_READINGS if problem.family.is_code else phrases.READINGS
    return rng.choice(forms).format(v=problem.answer)


def after_output(problem: Problem, rng: Random) -> str:
    """What follows the last output: a reading of it, a closing sentence, or both."""
    end = closing(problem, rng)
    style = rng.random()
    if style < 0.2:
        return end
    return f"{reading(problem, rng)}{rng.choice((' ', ' ', ' ', chr(10) * 2))}{end}"


def worked_lines(problem: Problem, rng: Random) -> str:
    """What stands between a question and the lead-in to a program: nothing, or up to 300 tokens.

    Mostly long, so that the numbers of the question have to be found behind many others; some of
    it does not tell the answer, so that the answer has to be read from the output. It is worked
    out plainly, in none of the turns of a thought ("Wait", "Alternatively").
    """
    style = rng.random()
    if style < 0.12:
        return ""
    plan = problem.family.plan(problem.params, rng)
    if style < 0.32:
        lines = plan
    elif style < 0.47:
        other = any_problem(rng)
        work = other.family.work(other.params, rng)
        lines = f"Another question first. {other.question} {work}\n\n{plan}"
    else:
        lines = f"{plan} {problem.family.work(problem.params, rng)}"
        if style < 0.75:
            again = problem.family.work(problem.params, rng)
            lines += f"\n\n{rng.choice(phrases.SECOND_PASSES)}{again}"
        if style < 0.6:
            lines += " " + closing(problem, rng).rstrip("\n")
    return lines + rng.choice(("\n", "\n\n", " "))


def code_document(rng: Random) -> str:
    """Kind (b). It ends where the work ends: what follows a thought's end never follows here."""
    if rng.random() < COPYING_SHARE:
        program, value = copying_program(rng)
        return f"{run_of(program)}{rng.choice(phrases.READINGS).format(v=value)}\n{END_OF_TEXT}"
    problem = any_problem(rng)
    body = worked_lines(problem, rng) + runs(problem, rng)
    if rng.random() < AGAIN_SHARE:
        second = rng.choice(phrases.SECOND_PROGRAMS)
        # No missing import here: the first program may have brought the name.
        body += f"{reading(problem, rng)} {second} {runs(problem, rng, repairs=0)}"
    body += after_output(problem, rng)
    if rng.random() < CODE_DIALOGUES:
        asked = user(problem.question + rng.choice(phrases.USE_PYTHON))
        return history(rng) + asked + assistant(body)
    head = rng.choice(("", "", "Problem: ", "Question: ", "Exercise. "))
    return f"{head}{problem.question}\n\n{body}{END_OF_TEXT}"


def exchange(problem: Problem, rng: Random) -> str:
    """Turns in which the assistant writes programs, without a thought, and the user runs them."""
    text = user(problem.question + rng.choice(phrases.USE_PYTHON))
    lead = worked_lines(problem, rng) + fence_lead(rng)
    for program in problem.family.programs(problem.params, rng):
        if program.lead:
            lead = program.lead + rng.choice(phrases.FENCE_JOINS)
        # With the line break before the turn's end, a fence always closes in the same way.
        text += assistant(f"{lead}```python\n{program.code}\n```\n")
        output = f"```output\n{program.output}\n```"
        text += user(rng.choice(phrases.OUTPUT_TURNS).format(output=output))
    return text


def pasted_document(rng: Random) -> str:
    """Kind (c)."""
    opening = rng.choice(phrases.READING_OPENINGS) + " " if rng.random() < 0.3 else ""
    if rng.random() < 0.15:
        program, value = copying_program(rng)
        turns = user(f"{run_of(program)}What does it print?")
        inner = f"{opening}{rng.choice(phrases.READINGS).format(v=value)}\n"
        return turns + assistant(f"<think>\n{inner}</think>\n\nIt prints {value}.")
    problem = any_problem(rng)
    if rng.random() < 0.4:
        ran = "".join(run_of(p) for p in problem.family.programs(problem.params, rng))
        pasted = rng.choice(phrases.PASTES).format(q=problem.question, run=ran)
        turns = user(pasted.rstrip("\n"))
    else:
        turns = exchange(problem, rng)
    inner = opening + after_output(problem, rng)
    return history(rng) + turns + assistant(f"<think>\n{inner}</think>\n\n{final(problem)}")


def make_document(seed: int, index: int, shares: tuple[float, ...] = SHARES) -> str:
    """Document number `index` of the text with this seed; `shares` of the kinds (a) to (d)."""
    rng = Random(f"{seed}:{index}")
    kinds = (thought_document, code_document, pasted_document, plain_document)
    while True:
        document: str = rng.choices(kinds, shares)[0](rng)
        if not holds_held_out(document):
            return document
