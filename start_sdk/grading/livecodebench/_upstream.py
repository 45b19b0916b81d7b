"""What upstream asks and how it grades, with its known faults, for comparison with its leaderboard.

Its rules: the code is between the last two lines with a fence in them; numbers have to be equal; a
function's value has to be equal with `==`; 6 s per test. Unlike there, each test has a process of
its own, so state that a program keeps from test to test is not seen.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from importlib.resources import files

from start_sdk.grading.programs import ProgramLimits, ProgramTest, run_program
from start_sdk.protocols import Interpreter, Message

LIMITS = ProgramLimits(cpu_seconds=7, seconds=6)
"""Upstream's clock is on the wall."""
# Its prompt, so that scores can be compared: lcb_runner/prompts/code_generation.py, 28fef95.
_SYSTEM = (
    "You are an expert Python programmer. You will be given a question (problem specification) and "
    "will generate a correct Python program that matches the specification and passes all tests."
)
_STARTER = (
    "You will use the following starter code to write the solution to the problem and enclose your "
    "code within delimiters."
)
_STDIN = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly "
    "test on the sample inputs). Enclose your code within delimiters as follows. Ensure that when "
    "the python program runs, it reads the inputs, runs the algorithm and writes output to STDOUT."
)
_USER = (
    "### Question:\n{question}\n\n### Format: {format}\n```python\n{code}\n```\n\n"
    "### Answer: (use the provided format with backticks)\n\n"
)


def prompt(question: str, starter: str = "") -> list[Message]:
    """What upstream asks a chat model; `starter` is code that a function begins with."""
    wanted = _STARTER if starter else _STDIN
    text = _USER.format(question=question, format=wanted, code=starter or "# YOUR CODE HERE")
    return [Message(role="system", content=_SYSTEM), Message(role="user", content=text)]


async def passes_upstream(
    response: str, tests: Sequence[ProgramTest], interpreter: Interpreter, *, function: str = ""
) -> bool:
    """Whether upstream would count a response as right.

    Args:
        response: of a model, to upstream's prompt.
        tests: all of the problem's.
        interpreter: whose kernels the program runs in.
        function: that is asked for; "" for a program that reads standard input.

    Raises:
        InterpreterError: no kernel could be started.
    """
    lines = response.split("\n")
    fences = [number for number, line in enumerate(lines) if "```" in line]
    code = "\n".join(lines[fences[-2] + 1 : fences[-1]]) if len(fences) > 1 else ""
    if not code.strip():
        return False
    driver = files("start_sdk.grading.livecodebench").joinpath("_driver.py")
    verdict = await run_program(
        code,
        tests,
        interpreter,
        function=function,
        driver=driver.read_text(encoding="utf-8"),
        limits=LIMITS,
        check=_same_value if function else _same_lines,
    )
    return verdict.correct


def _same_lines(printed: str, test: ProgramTest) -> bool:
    """As many lines, each equal as text or as exact decimals."""
    ours, right = (text.strip().split("\n") for text in (printed, test.expected))
    return len(ours) == len(right) and all(
        a.strip() == b.strip() or _decimals(a) == _decimals(b) is not None
        for a, b in zip(ours, right, strict=True)
    )


def _decimals(line: str) -> list[Decimal] | None:
    try:
        return [Decimal(word) for word in line.split()]
    except InvalidOperation:
        return None


def _same_value(returned: str, test: ProgramTest) -> bool:
    """Equal, as Python has it."""
    try:
        return bool(json.loads(returned) == json.loads(test.expected))
    except (ValueError, RecursionError):
        return False
