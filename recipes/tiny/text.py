"""Training text: documents made from the world, each one by (seed, index) alone.

No document joins a thought with a run of code. The kinds:
(a) `thought_document`: a dialogue whose assistant thinks without code;
(b) `code_document`: worked lines, Python, its output and what follows, outside any thought;
(c) `pasted_document`: the user runs a program, the user's own or one that the assistant wrote
    without a thought, pastes the output, and the assistant thinks about that.
Some plain work with neither code nor thought stands beside them (`plain_document`).
Answers in the text are right everywhere.
"""

import re
from random import Random

from recipes.tiny import phrases
from recipes.tiny.families import FAMILIES
from recipes.tiny.world import HELD_OUT, Problem, Program, draw_problem

END_OF_TEXT, TURN, END_OF_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
#: Shares of the kinds (a), (b), (c) and of plain work; and of plain copying programs within (b).
SHARES = (0.30, 0.42, 0.19, 0.09)
COPYING_SHARE = 0.10
REPAIR_SHARE = 0.10
#: Share of thoughts whose last sentence has a box, too.
THOUGHT_BOXES = 0.3
#: Work of this many characters or more is not written out a second time.
LONG = 160
_NUMBER = re.compile(r"\d+")
_IMPORT = re.compile(r"from math import (\w+)\n")
_LAST_NAME = re.compile(r"(?<=print\()([a-z]+)(?=\)$)")


def holds_triple(text: str) -> bool:
    """Whether the held-out values follow each other in `text`, in any order."""
    numbers = [int(number) for number in _NUMBER.findall(text)]
    return any(set(numbers[i : i + 3]) == HELD_OUT for i in range(len(numbers) - 2))


def user(text: str) -> str:
    """A user's turn in the chat format."""
    return f"{TURN}user\n{text}{END_OF_TURN}\n"


def assistant(text: str) -> str:
    """An assistant's turn in the chat format."""
    return f"{TURN}assistant\n{text}{END_OF_TURN}\n"


def boxed(value: int) -> str:
    """The line that ends every dialogue."""
    return f"The answer is \\boxed{{{value}}}."


def closing(value: int, rng: Random, boxes: float) -> str:
    r"""The last sentence of a thought or of other text, in a share of `boxes` with a \boxed.

    Outside thoughts it always has one. So a model that closes its work without a box can only be
    in a thought, which goes on with `</think>`; and one that ends without `</think>`, as other
    text does, has said its answer all the same.
    """
    shown = f"\\boxed{{{value}}}" if rng.random() < boxes else str(value)
    return rng.choice(phrases.CLOSINGS).format(v=shown)


def run_of(program: Program) -> str:
    """A program in its fence and its output in another, with a line break at the end."""
    return f"```python\n{program.code}\n```\n```output\n{program.output}\n```\n"


def history(rng: Random) -> str:
    """What comes before the dialogue proper: mostly nothing."""
    draw = rng.random()
    if draw < 0.06:
        return f"{TURN}system\n{rng.choice(phrases.SYSTEMS)}{END_OF_TURN}\n"
    if draw < 0.12:
        earlier = draw_problem(rng.choice(FAMILIES), "train", rng)
        return user(earlier.question) + assistant(boxed(earlier.answer))
    return ""


def thought(problem: Problem, rng: Random, boxes: float) -> str:
    """A thought without code: plan, work, up to two checks, a closing sentence."""
    family, params = problem.family, problem.params
    parts = [f"{rng.choice(phrases.OPENINGS)} {family.plan(params, rng)}"]
    parts.append(family.work(params, rng))
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        again = [rng.choice(phrases.RECHECKS)]
        work = family.work(params, rng)
        redo = len(work) < LONG and rng.random() < 0.5
        if redo:
            again.append(work)
        if not redo or rng.random() < 0.5:
            again.append(rng.choice(phrases.AGREEMENTS).format(v=problem.answer))
        parts.append(" ".join(again))
    joint = rng.choice((" ", "\n\n"))
    return "\n\n".join(parts) + joint + closing(problem.answer, rng, boxes)


def plain_document(rng: Random) -> str:
    """Work in the words of a thought, but with no tags around it and no code.

    It shows that only the open tag of a thought calls for `</think>`; without these documents the
    model would go by whether there was code.
    """
    problem = draw_problem(rng.choice(FAMILIES), "train", rng)
    text = thought(problem, rng, boxes=1.0)
    if rng.random() < 0.5:
        return history(rng) + user(problem.question) + assistant(text)
    return f"{problem.question}\n\n{text}{END_OF_TEXT}"


def thought_document(rng: Random) -> str:
    """Kind (a)."""
    problem = draw_problem(rng.choice(FAMILIES), "train", rng)
    inner = thought(problem, rng, THOUGHT_BOXES)
    turn = assistant(f"<think>\n{inner}\n</think>\n\n{boxed(problem.answer)}")
    return history(rng) + user(problem.question) + turn


def copying_program(rng: Random) -> tuple[Program, int]:
    """A program that prints a number which only the output tells, and that number."""
    value = rng.choice(
        (rng.randint(0, 9), rng.randint(10, 99), rng.randint(100, 9999), rng.randint(1000, 999999))
    )
    name = rng.choice(("x", "n", "total", "result", "best", "count", "value"))
    call = rng.choice((f"solve({rng.randint(2, 99)})", f"f({rng.randint(2, 99)})", "main()"))
    return Program(f"{name} = {call}\nprint({name})", str(value)), value


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


def runs(program: Program, rng: Random) -> str:
    """Lead-in, program and output; sometimes a failed program and its repair."""
    lead = phrases.lead_in(rng) + rng.choice(phrases.FENCE_JOINS)
    bad = broken(program, rng) if rng.random() < REPAIR_SHARE else None
    if bad is None:
        return lead + run_of(program)
    repair = rng.choice(phrases.REPAIRS) + rng.choice(phrases.FENCE_JOINS)
    return lead + run_of(bad) + repair + run_of(program)


def after_output(value: int, rng: Random, boxes: float) -> str:
    """What follows an output: a reading of it, a closing sentence, or both."""
    reading = rng.choice(phrases.READINGS).format(v=value)
    end = closing(value, rng, boxes)
    style = rng.random()
    if style < 0.2:
        return end
    if style < 0.35:
        return f"{reading}\n\n{end}"
    return f"{reading} {end}"


def worked_lines(problem: Problem, rng: Random) -> str:
    """What stands between a question and the lead-in to a program: nothing, or up to 200 tokens.

    Most of it does not tell the answer, so that the answer has to be read from the output.
    """
    family, params = problem.family, problem.params
    style = rng.random()
    if style < 0.25:
        return ""
    lines = family.plan(params, rng) + rng.choice(("\n", "\n\n", " "))
    if style < 0.45:
        return lines + family.work(params, rng) + rng.choice(("\n", "\n\n", " "))
    if style < 0.65:
        # Other work in between, so that the numbers have to be fetched from the question.
        other = draw_problem(rng.choice(FAMILIES), "train", rng)
        work = other.family.work(other.params, rng)
        return f"Another question first. {other.question} {work}\n\n{lines}"
    return lines


def code_document(rng: Random) -> str:
    """Kind (b). It ends where the work ends: what follows a thought's end never follows here."""
    if rng.random() < COPYING_SHARE:
        program, value = copying_program(rng)
        return run_of(program) + after_output(value, rng, 1.0) + END_OF_TEXT
    problem = draw_problem(rng.choice(FAMILIES), "train", rng)
    program = problem.family.program(problem.params, rng)
    body = worked_lines(problem, rng) + runs(program, rng)
    body += after_output(problem.answer, rng, 1.0)
    if rng.random() < 0.25:
        asked = user(problem.question + rng.choice(phrases.USE_PYTHON))
        return history(rng) + asked + assistant(body)
    head = rng.choice(("", "", "Problem: ", "Question: ", "Exercise. "))
    return f"{head}{problem.question}\n\n{body}{END_OF_TEXT}"


def pasted_run(rng: Random) -> tuple[str, int]:
    """Turns up to the user's who pastes a run, and the value that the run printed."""
    if rng.random() < 0.2:
        program, value = copying_program(rng)
        return user(f"{run_of(program)}What does it print?"), value
    problem = draw_problem(rng.choice(FAMILIES), "train", rng)
    program = problem.family.program(problem.params, rng)
    if rng.random() < 0.4:
        form = rng.choice(phrases.PASTES)
        text = form.format(q=problem.question, run=run_of(program)).rstrip("\n")
        return user(text), problem.answer
    asked = user(problem.question + rng.choice(phrases.USE_PYTHON))
    lead = worked_lines(problem, rng) + phrases.lead_in(rng) + rng.choice(phrases.FENCE_JOINS)
    # With the line break before the turn's end, a fence always closes in the same way.
    code = assistant(f"{lead}```python\n{program.code}\n```\n")
    output = rng.choice(phrases.OUTPUT_TURNS).format(output=f"```output\n{program.output}\n```")
    return asked + code + user(output), problem.answer


def pasted_document(rng: Random) -> str:
    """Kind (c)."""
    turns, value = pasted_run(rng)
    opening = rng.choice(phrases.READING_OPENINGS) + " " if rng.random() < 0.3 else ""
    inner = opening + after_output(value, rng, THOUGHT_BOXES)
    return history(rng) + turns + assistant(f"<think>\n{inner}\n</think>\n\n{boxed(value)}")


def make_document(seed: int, index: int) -> str:
    """Document number `index` of the text with this seed."""
    rng = Random(f"{seed}:{index}")
    kinds = (thought_document, code_document, pasted_document, plain_document)
    while True:
        document: str = rng.choices(kinds, SHARES)[0](rng)
        if not holds_triple(document):
            return document
